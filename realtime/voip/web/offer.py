"""A page's SDP offer read, and answered (RFC 8829, RFC 3264): one audio stream, and nothing else."""

from __future__ import annotations

import ipaddress
import re
import secrets
from dataclasses import dataclass

from aioice import Candidate
from aiortc import RTCDtlsFingerprint, RTCIceParameters
from aiortc.sdp import MediaDescription, SessionDescription

from ..codecs import G722, OPUS, PCMA, PCMU, Codec, codec_of
from .guard import Refused

#: What a page may send. It is answered in Opus.
CODECS = (OPUS, G722, PCMU, PCMA)

#: No browser needs more; a list without end would have us knock at as many doors.
_MOST_CANDIDATES = 64

_DIGESTS = {"sha-256": 32, "sha-384": 48, "sha-512": 64}

#: RFC 8839 section 5.4.
_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}")
_PASSWORD = re.compile(r"[A-Za-z0-9+/]{22,256}")

#: What aiortc's parser raises on what is no SDP.
_PARSER_ERRORS = (ValueError, AssertionError, KeyError, IndexError, AttributeError, TypeError, StopIteration)


@dataclass(frozen=True)
class Offer:
    """What a page offers: *codec* comes as *receive_type*, Opus may be sent to it as *send_type*."""

    codec: Codec
    receive_type: int
    send_type: int
    mid: str
    index: int
    others: tuple[MediaDescription, ...]
    ufrag: str
    password: str
    candidates: tuple[Candidate, ...]
    fingerprints: tuple[RTCDtlsFingerprint, ...]


def read_offer(text: str) -> Offer:
    """The offer in *text*. Raises :class:`Refused`: 400 for what is no offer, 422 for one that we cannot take."""
    try:
        description = SessionDescription.parse(text)
    except _PARSER_ERRORS:
        raise Refused(400, "this is no session description (SDP, RFC 8866)") from None
    streams = [(k, m) for k, m in enumerate(description.media) if m.kind == "audio" and m.port]
    if not streams:
        raise Refused(400 if not description.media else 422, "the offer has no audio stream")
    index, audio = streams[0]
    if "SAVP" not in audio.profile:
        raise Refused(422, "audio has to be encrypted: UDP/TLS/RTP/SAVPF")
    if not audio.rtcp_mux:
        raise Refused(422, "RTCP has to share the port of RTP: a=rtcp-mux (RFC 8834)")
    if audio.direction not in (None, "sendrecv"):
        raise Refused(422, f"audio has to go both ways: a=sendrecv, not a={audio.direction}")
    if not re.fullmatch(r"[\w.~-]{1,64}", audio.rtp.muxId or "", re.ASCII):
        raise Refused(400, "the audio stream has no a=mid")
    ice = audio.ice or RTCIceParameters()
    ufrag, password = ice.usernameFragment or "", ice.password or ""
    if not _UFRAG.fullmatch(ufrag) or not _PASSWORD.fullmatch(password):
        raise Refused(400, "a=ice-ufrag or a=ice-pwd is missing or wrong (RFC 8839)")
    codec, receive_type, send_type = _codecs(audio)
    return Offer(
        codec=codec,
        receive_type=receive_type,
        send_type=send_type,
        mid=audio.rtp.muxId,
        index=index,
        others=tuple(description.media),
        ufrag=ufrag,
        password=password,
        candidates=_candidates(audio),
        fingerprints=_fingerprints(audio),
    )


def _codecs(audio: MediaDescription) -> tuple[Codec, int, int]:
    offered = {c.payloadType: codec_of(c.name, c.clockRate) for c in audio.rtp.codecs}
    usable = [(codec, kind) for kind in audio.fmt if (codec := offered.get(kind)) in CODECS and codec is not None]
    opus = next((kind for codec, kind in usable if codec is OPUS), None)
    if opus is None:
        raise Refused(422, "the page has to take Opus: that is what it hears")
    return *usable[0], opus


def _candidates(audio: MediaDescription) -> tuple[Candidate, ...]:
    """Those that can be used at once. Names under .local are left out: such a page is met when it knocks."""
    if len(audio.ice_candidates) > _MOST_CANDIDATES:
        raise Refused(400, f"more than {_MOST_CANDIDATES} ICE candidates")
    found = []
    for c in audio.ice_candidates:
        if not 0 <= c.port <= 65_535 or not 0 <= c.priority < 1 << 32 or c.component not in (1, 2):
            raise Refused(400, "an ICE candidate has a port, a priority or a component that there cannot be (RFC 8839)")
        try:
            address = ipaddress.ip_address(c.ip)
        except ValueError:
            if c.ip.endswith(".local"):
                continue
            raise Refused(400, "an ICE candidate has no address (RFC 8839)") from None
        if c.protocol.lower() != "udp" or c.component != 1 or c.port == 0 or address.is_multicast:
            continue
        found.append(Candidate(c.foundation, 1, "udp", c.priority, c.ip, c.port, c.type))
    return tuple(found)


def _fingerprints(audio: MediaDescription) -> tuple[RTCDtlsFingerprint, ...]:
    if audio.dtls is None or audio.dtls.role != "auto":
        raise Refused(422, "an offer says a=setup:actpass (RFC 8842)")
    for fingerprint in audio.dtls.fingerprints:
        size = _DIGESTS.get(fingerprint.algorithm.lower())
        if size and not re.fullmatch(rf"[0-9A-Fa-f]{{2}}(:[0-9A-Fa-f]{{2}}){{{size - 1}}}", fingerprint.value):
            raise Refused(400, "a=fingerprint is no digest of that kind (RFC 8122)")
    known = tuple(f for f in audio.dtls.fingerprints if f.algorithm.lower() in _DIGESTS)
    if not known:
        raise Refused(400, "a=fingerprint is missing, or none of sha-256, sha-384 and sha-512")
    return known


@dataclass(frozen=True)
class Own:
    """This side's end of the stream."""

    ufrag: str
    password: str
    candidates: tuple[Candidate, ...]
    fingerprints: tuple[RTCDtlsFingerprint, ...]


def write_answer(offer: Offer, own: Own) -> str:
    """The answer: the page's first codec comes, Opus is sent, all other streams are refused."""
    codecs = [(offer.receive_type, offer.codec)]
    if offer.codec is not OPUS:
        codecs.append((offer.send_type, OPUS))
    lines = [
        "v=0",
        f"o=- {secrets.randbelow(1 << 62)} 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        f"a=group:BUNDLE {offer.mid}",
        "a=msid-semantic: WMS *",
    ]
    for number, media in enumerate(offer.others):
        if number != offer.index:
            # RFC 3264 section 6: a stream that is not wanted is answered by port 0.
            lines.append(f"m={media.kind} 0 {media.profile} {' '.join(map(str, media.fmt))}")
            lines += ["c=IN IP4 0.0.0.0", *([f"a=mid:{media.rtp.muxId}"] if media.rtp.muxId else [])]
            continue
        lines += [
            f"m=audio 9 UDP/TLS/RTP/SAVPF {' '.join(str(kind) for kind, _ in codecs)}",
            "c=IN IP4 0.0.0.0",
            f"a=mid:{offer.mid}",
            "a=sendrecv",
            "a=rtcp-mux",
            "a=msid:fullband voice",
        ]
        for kind, codec in codecs:
            lines.append(f"a=rtpmap:{kind} {codec.rtpmap}")
            if codec.fmtp:
                lines.append(f"a=fmtp:{kind} {codec.fmtp}")
        lines.append("a=ptime:20")
        lines += [f"a=candidate:{candidate.to_sdp()}" for candidate in own.candidates]
        lines += [
            "a=end-of-candidates",
            f"a=ice-ufrag:{own.ufrag}",
            f"a=ice-pwd:{own.password}",
            *(f"a=fingerprint:{f.algorithm} {f.value}" for f in own.fingerprints),
            "a=setup:active",
        ]
    return "\r\n".join(lines) + "\r\n"
