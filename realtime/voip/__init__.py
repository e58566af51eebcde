"""Telephony through the host: RTP legs, an adaptive jitter buffer, and all calls as one batch of the network.

Everything moves as frames of 10 ms at 48 kHz (:mod:`.frames`). A :class:`~.leg.Leg` is one end of a call over RTP; the
:class:`~.exchange.Exchange` carries frames from any source through the network to any sink:

    with Exchange("default") as exchange:
        caller, callee = Leg("127.0.0.1"), Leg("127.0.0.1")
        caller.negotiate(Media(PCMU, remote=("127.0.0.1", 40000)))
        callee.negotiate(Media(OPUS, remote=("127.0.0.1", 40002)))
        there = exchange.connect(caller, callee)
        back = exchange.connect(callee, caller, enhance=False)
"""
