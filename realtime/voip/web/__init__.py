"""``fullband voip web``: one page that lets people speak and hear themselves full-band, over WebRTC.

How media travels. aiortc's own receiver holds four packets, whatever the network does, and conceals nothing. So of
aiortc only DTLS-SRTP is used, and of aioice ICE: the page's packets leave aiortc decrypted and undecoded, and go
through the same :class:`~realtime.voip.leg.Leg` as those of a telephone call, with its adaptive jitter buffer,
concealment, RTCP and counters. For that ``transport.py`` overrides two private methods of ``RTCDtlsTransport``, calls a
third, and stands in for the transport below it by two more; all of that is in one class or the other of that module.
Each page is one stream of the exchange. What it says may come as Opus, G.722 or PCMU; what it hears is always Opus at
48 kHz.

What a demonstration needs is done here and not in the browser: the voice's band is cut to a telephone's before the
network hears it, and spectrograms and recordings are taken right before and right after the network, so that they show
the network and nothing else.

Recordings that are uploaded are converted by the code of ``fullband file``, in a process of their own.

Media is bound to the address that the page is served on. Firefox uses no loopback candidates: there *media_address* has
to be an address of the machine. There is no TURN, and no STUN server is asked.

| module | one reason |
|---|---|
| `host.py` | started, watched, ended |
| `server.py` | HTTP: routes, and what each answers |
| `guard.py` | who may ask, how often, and how a refusal looks |
| `offer.py` | an SDP offer read, and its answer |
| `transport.py` | ICE and DTLS-SRTP of one page, as the sockets of a leg |
| `session.py`, `sessions.py` | one page that listens to itself; all of them |
| `band.py` | a full-band voice made a telephone's |
| `taps.py` | spectra and recordings before and after the network |
| `uploads.py`, `conversion.py` | uploaded recordings: kept; converted, in another process |
| `card.py` | the model card's tables |
| `metrics.py`, `settings.py` | how it goes; what is wished |
| `static/` | the page: HTML, CSS and JavaScript as they are |
"""
