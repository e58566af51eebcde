"""A call in virtual time: said frames, packets, a bad network, heard frames. Nothing here depends on the machine."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.voip.impairment import Impairment, Link
from realtime.voip.codecs import Codec
from realtime.voip.media import Media
from realtime.voip.receiver import Receiver
from realtime.voip.rtp import Packet, parse
from realtime.voip.sender import Sender

Samples = NDArray[np.float32]

#: Virtual time does not begin at zero, as no real clock does.
EPOCH_NS = 10**12

#: Packets come between two frames of the listener.
PHASE_S = 0.004


def at_ns(seconds: float) -> int:
    return EPOCH_NS + round(seconds * 1e9)


def packets(media: Media, said: Samples, ssrc: int = 1) -> list[tuple[float, Packet]]:
    """What a sender makes of *said* [n], and when."""
    made: list[tuple[float, Packet]] = []
    now = 0.0

    def keep(datagram: bytes) -> None:
        packet = parse(datagram)
        assert packet is not None
        made.append((now, packet))

    sender = Sender(media, keep, ssrc=ssrc)
    for k in range(len(said) // 480):
        now = (k + 1) * 0.01
        sender.push(said[k * 480 : (k + 1) * 480])
    return made


def impaired(sent: Iterable[tuple[float, Packet]], link: Link) -> list[tuple[float, Packet]]:
    """The same as they arrive over *link*."""
    queue: list[tuple[float, int, Packet]] = []
    for number, (sent_s, packet) in enumerate(sent):
        for arrival_s in link.arrivals_s(sent_s):
            heapq.heappush(queue, (arrival_s, number, packet))
    return [(arrival_s, packet) for arrival_s, _, packet in (heapq.heappop(queue) for _ in range(len(queue)))]


@dataclass
class Heard:
    """What came out, frame by frame, and the buffer's own view of it."""

    samples: Samples
    delays_ms: NDArray[np.float64]
    receiver: Receiver

    @property
    def concealed_share(self) -> float:
        counts = self.receiver.counts
        return counts.concealed_samples / max(counts.samples, 1)


def listen(
    media: Media,
    arriving: list[tuple[float, Packet]],
    seconds: float,
    each: Callable[[Receiver, int], None] | None = None,
) -> Heard:
    """Give *arriving* packets to a receiver and pull a frame every 10 ms. *each* may meddle before a frame."""
    receiver = Receiver(media)
    frames, delays = [], []
    position = 0
    for k in range(round(seconds * 100)):
        now = k * 0.01 + PHASE_S
        while position < len(arriving) and arriving[position][0] <= now:
            receiver.accept(arriving[position][1], at_ns(arriving[position][0]))
            position += 1
        if each is not None:
            each(receiver, k)
        frames.append(receiver.pull(at_ns(now)))
        delays.append(receiver.heard_delay_ms)
    return Heard(np.concatenate(frames), np.array(delays), receiver)


def call(codec: Codec, said: Samples, impairment: Impairment | None = None, seed: int = 1) -> tuple[Heard, Link]:
    """All of it."""
    seconds = len(said) / 48_000
    media = Media(codec, ptime_ms=10 if codec.rate_hz == 48_000 and codec.name == "L16" else 20)
    link = Link(impairment or Impairment(), seed, seconds)
    return listen(media, impaired(packets(media, said), link), seconds), link
