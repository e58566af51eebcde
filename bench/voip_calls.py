"""How many calls a machine holds: telephone in, network, full-band out, all over RTP, until frames leave late.

Packets come from another process, as they would from elsewhere, spread over time. With one lane in each batch every
call runs the network by itself, on a thread of its own; with more they share it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from realtime.backends.simulated import SimulatedDevice
from realtime.native.histogram import Histogram, upper_edges_ns
from realtime.voip.codecs import PCMU, find_codec
from realtime.voip.exchange import Exchange
from realtime.voip.leg import Leg
from realtime.voip.media import Direction, Media

from .voip import RATE_HZ, voice

CALLS = (1, 2, 4, 8, 16, 32, 64)
LANES = (1, 16)

_PACKET_MS = 20
_SETTLE_S = 1.0

#: Share of frames that may leave late.
MOST_MISSED = 0.001

#: The other end of all calls, in a process of its own: it sends the payloads in a file to every port, in turn over 20
#: ms, and reads nothing.
_FEEDER = """
import socket, struct, sys, time
payloads = open(sys.argv[1], "rb").read()
ports = [int(port) for port in sys.argv[2:]]
line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
line.bind(("127.0.0.1", 0))
print(line.getsockname()[1], flush=True)
began, packet = time.monotonic(), 0
while True:
    for number, port in enumerate(ports):
        due = began + 0.02 * (packet + number / len(ports))
        time.sleep(max(due - time.monotonic(), 0.0))
        first = (packet + 37 * number) * 160 % (len(payloads) - 160)
        header = struct.pack("!BBHII", 0x80, 0, packet & 0xFFFF, packet * 160 & 0xFFFFFFFF, 1000 + number)
        line.sendto(header + payloads[first : first + 160], ("127.0.0.1", port))
    packet += 1
"""


@dataclass(frozen=True)
class Load:
    """So many *calls* in batches of *lanes*. *missed_share*: of frames, those that left more than 10 ms late or without
    the network. *floor_share*: how often a thread that only sleeps was woken too late for as much work."""

    calls: int
    lanes: int
    tick_p50_ms: float
    tick_p99_ms: float
    tick_max_ms: float
    missed_share: float
    floor_share: float
    concealed_share: float
    cores: float

    @property
    def held(self) -> bool:
        """Whether no more was missed, beyond what the machine does to anybody, than may be."""
        return self.missed_share - self.floor_share <= MOST_MISSED and self.tick_p50_ms < 10.0


def _payloads() -> bytes:
    import soxr

    narrow = soxr.resample(voice(), RATE_HZ, 8_000).astype(np.float32)
    return PCMU.encoder().encode(narrow) or b""


def measure(model: str, calls: int, lanes: int, seconds: float, codec_out: str) -> Load:
    """Hold *calls* for *seconds*."""
    out = find_codec(codec_out)
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.NamedTemporaryFile())
        Path(file.name).write_bytes(_payloads())
        exchange = stack.enter_context(Exchange(model, max_streams=calls, lanes=lanes))
        legs = [stack.enter_context(Leg()) for _ in range(calls)]
        ports = [str(leg.local[1]) for leg in legs]
        feeder = subprocess.Popen([sys.executable, "-c", _FEEDER, file.name, *ports], stdout=subprocess.PIPE, text=True)
        stack.callback(feeder.wait)
        stack.callback(feeder.kill)
        assert feeder.stdout is not None
        remote = ("127.0.0.1", int(feeder.stdout.readline()))
        for leg in legs:
            leg.negotiate(Media(PCMU, remote=remote, direction=Direction.RECVONLY))
            sender = stack.enter_context(Leg())
            sender.negotiate(Media(out, remote=remote, direction=Direction.SENDONLY))
            exchange.connect(leg, sender)
        time.sleep(_SETTLE_S)
        silent = np.zeros((1, 480), np.float32)
        floor = stack.enter_context(SimulatedDevice(silent, RATE_HZ, block_frames=480, seconds=600.0))
        before, cells = exchange.statistics(), Histogram.of(exchange.cells)
        cpu_s, began_s = time.process_time(), time.monotonic()
        floor.run_callbacks(0, 0, 0)
        time.sleep(seconds)
        after, ticked = exchange.statistics(), Histogram.of(exchange.cells).since(cells)
        spent = (time.process_time() - cpu_s) / (time.monotonic() - began_s)
        floor.stop()
        ticks = max(after.ticks - before.ticks, 1)
        missed = (after.late_ticks - before.late_ticks) + (after.dull_ticks - before.dull_ticks)
        missed += after.skipped_ticks - before.skipped_ticks
        p50_ms = ticked.percentile_ms(50.0)
        concealed = max(leg.statistics().concealed_share for leg in legs)
        return Load(
            calls=calls,
            lanes=lanes,
            tick_p50_ms=p50_ms,
            tick_p99_ms=ticked.percentile_ms(99.0),
            tick_max_ms=ticked.percentile_ms(100.0),
            missed_share=missed / ticks,
            floor_share=_later_than(Histogram.of(floor.lateness_histogram), 10.0 - p50_ms),
            concealed_share=concealed,
            cores=spent,
        )


def _later_than(lateness: Histogram, limit_ms: float) -> float:
    later = lateness.counts[upper_edges_ns() / 1e6 > max(limit_ms, 0.0)].sum()
    return float(later) / max(lateness.count, 1)


def run(model: str, seconds: float, codec_out: str, progress: Callable[[str], None] = lambda _: None) -> list[Load]:
    """More and more calls for each size of batch, until they are not held twice in a row."""
    loads: list[Load] = []
    for lanes in LANES:
        failed = 0
        for calls in CALLS:
            progress(f"{calls} calls, {lanes} to a batch")
            loads.append(measure(model, calls, lanes, seconds, codec_out))
            failed = 0 if loads[-1].held else failed + 1
            if failed == 2:
                break
    return loads


def most_held(loads: list[Load], lanes: int) -> int:
    """The most calls that were held in batches of *lanes*."""
    return max((load.calls for load in loads if load.lanes == lanes and load.held), default=0)
