"""Have everything compiled, or loaded, before a call begins: numba does it at the first use."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .codecs import PCMU
from .frames import FRAME_SAMPLES
from .media import Media
from .receiver import Receiver
from .rtp import Packet, parse
from .sender import Sender


@lru_cache(maxsize=1)
def warm_up() -> None:
    """Run a short call in memory, with a packet lost, and both kinds of time-scaling."""
    packets: list[Packet | None] = []
    sender = Sender(Media(PCMU), lambda datagram: packets.append(parse(datagram)))
    receiver = Receiver(sender.media)
    tone = (0.1 * np.sin(np.arange(FRAME_SAMPLES) * 2 * np.pi / 240)).astype(np.float32)
    now_ns = 10**12
    for k in range(120):
        sender.push(tone)
        # Late packets for a while: the delay is stretched, and shortened again when they have been forgotten.
        for packet in packets:
            if packet is not None and k != 31:
                receiver.accept(packet, now_ns)
        packets.clear()
        receiver.pull(now_ns + (60_000_000 if 40 < k < 60 else 0))
        now_ns += 10_000_000
