"""A SIP user agent (RFC 3261): it answers, or it bridges a caller to a configured target.

Two Python stacks were tried before this was written, sipua 0.5.7 and aiosipua 0.7.1:

| | sipua | aiosipua |
|---|---|---|
| an INVITE that is sent again | the same call | a call more, each time |
| an INVITE that nobody answers, in 4 s | sent 4 times | sent once: one lost packet loses the call |
| exceptions raised by 3,000 mutated messages | 2,216 | 136 |
| ringing | given up after 32 s (timer B) | ok |
| digest, session timers, CANCEL, re-INVITE | none | yes; Route set of a caller in the wrong order |
| TCP | one read is taken for one message | framed by Content-Length |
| asks for | aiortc < 1.16 | nothing |
| licence, state | BSD, maintained | MIT, maintained, alpha |

So the grammar is aiosipua's, which is lenient enough to answer what is wrong by the standard's own code: messages,
headers, SDP and digest. What decides whether calls survive a network is here, by the tables of RFC 3261 §17 and
RFC 6026: transactions, dialogs and transports. Not built: PRACK (a call that requires 100rel is answered 420), SRTP
keys in SDP (488), TLS, SRV records, and redirection, which would be an open relay.

| module | one reason |
|---|---|
| `transport.py` | datagrams and streams to messages, and back |
| `messages.py` | requests and responses built; what is wrong with one that came |
| `transaction.py` | retransmission and its end |
| `dialog.py`, `session.py` | what two parties know of each other; that the other is still there |
| `sdp.py`, `media.py` | offer and answer; the RTP leg that they agree on |
| `call.py`, `incoming.py`, `outgoing.py` | one party of a call |
| `conversation.py`, `bridge.py`, `answering.py` | a call; two parties joined; a caller answered by a file or an echo |
| `agent.py`, `desk.py` | messages to calls, and the way out; what is done with callers |
| `registration.py` | a name kept at a registrar |
| `counters.py`, `records.py`, `metrics.py`, `settings.py` | how much; what was; how it goes; what is wished |
| `host.py` | started, drained, ended |
"""
