"""Ten thousand broken packets from the very address of a call: it goes on, and nothing grows."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest

from bench.signals.alignment import align
from bench.signals.material import at_48_khz, telephone_voice
from realtime.voip import rtcp, rtp
from realtime.voip.codecs import PCMU
from realtime.voip.leg import Leg
from realtime.voip.media import Media

from .line import at_ns, packets

BROKEN = 10_000
_PER_FRAME = 2


def _broken(datagram: bytes, draw: random.Random) -> bytes:
    """*datagram* as a bad line, a bad program or a bad person would make it."""
    data = bytearray(datagram)
    kind = draw.randrange(6)
    if kind == 0:
        for _ in range(draw.randint(1, 8)):
            data[draw.randrange(min(len(data), 16))] ^= 1 << draw.randrange(8)
    elif kind == 1:
        del data[draw.randrange(len(data)) :]
    elif kind == 2:
        data[:0] = draw.randbytes(draw.randint(1, 8))
    elif kind == 3:
        data += draw.randbytes(draw.randint(1, 2_000))
    elif kind == 4:
        data[draw.randrange(12) :] = draw.randbytes(draw.randint(0, 200))
    else:
        data[:] = rtcp.build(draw.getrandbits(32), "x", None, (1, 2, 3, 4), bye=draw.random() < 0.5)
        for _ in range(draw.randint(1, 20)):
            data[draw.randrange(len(data))] = draw.getrandbits(8)
    return bytes(data)


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
def test_a_call_goes_on_through_ten_thousand_broken_packets_and_memory_stays_flat() -> None:
    draw = random.Random(1)
    frames = BROKEN // _PER_FRAME
    said = at_48_khz(telephone_voice(frames / 100))[0]
    media = Media(PCMU, remote=("127.0.0.1", 40_000), events_type=101)
    sent = [(when, rtp.build(packet)) for when, packet in packets(media, said)]
    heard = np.full((frames, 480), 1.0, np.float32)  # touched, so that it is there from the beginning
    position, sizes = 0, []
    with Leg() as leg:
        leg.negotiate(media)
        assert leg.remote is not None
        for frame in range(frames):
            now_s = frame * 0.01 + 0.004
            while position < len(sent) and sent[position][0] <= now_s:
                leg.take(sent[position][1], leg.remote, at_ns(sent[position][0]))
                position += 1
            for _ in range(_PER_FRAME):
                leg.take(_broken(sent[max(position - 1, 0)][1], draw), leg.remote, at_ns(now_s))
            heard[frame] = leg.pull(at_ns(now_s))
            if frame % (frames // 4) == frames // 4 - 1:
                sizes.append(_resident_bytes())
        statistics = leg.statistics()
    assert statistics.malformed > 0.3 * BROKEN
    assert statistics.concealed_share < 0.05
    assert statistics.delay_ms < 120.0
    assert sizes[-1] - sizes[0] < 2_000_000
    # Packets that are whole but forged are heard, for their length: from the right address they are the call's own.
    found = align(heard.reshape(-1), said, 960, steered=True, step=4096)
    assert found.unheard < 0.15 * len(said)
