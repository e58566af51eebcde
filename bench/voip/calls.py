"""How many calls a machine holds: telephone in, network, full-band out, all over RTP, until frames leave late.

Packets come from another process, as they would from elsewhere, spread over time. With one lane in each batch every
call runs the network by itself, on a thread of its own; with more they share it. A thread on each core that only sleeps
tells what the machine did meanwhile to anybody.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from realtime.native.histogram import Histogram
from realtime.voip.codecs import PCMU, find_codec
from realtime.voip.exchange import Exchange, ExchangeStatistics
from realtime.voip.frames import FRAME_MS
from realtime.voip.leg import Leg
from realtime.voip.media import Direction, Media

from ..machine.floor import Floor
from .mouth_to_ear import RATE_HZ, voice

#: Tried shortly, until far too much is missed; then, from above, those between, for as long as was asked for.
ROUGHLY = (8, 16, 32, 64)
CALLS = (1, 2, 4, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64)
LANES = (1, 16)

_SETTLE_S, _LOOK_S = 1.0, 1.0

#: Share of frames that may leave late, and what of them is too much at first sight.
MOST_MISSED, FAR_TOO_MANY = 0.001, 0.03

#: Stalls of the machine that are shorter harm no frame.
_LEAST_STALL_MS = 1.0

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
    """So many *calls* in batches of *lanes*, for *seconds*. Shares are of the frames: *late_share* left more than 10 ms
    after they were due, or never; *dull_share* without the network. *floor_share*: what the machine's own stalls alone
    would have made late of as much work, *longest_stall_ms* the longest of them."""

    calls: int
    lanes: int
    seconds: float
    tick_p50_ms: float
    tick_p99_ms: float
    tick_max_ms: float
    late_share: float
    dull_share: float
    floor_share: float
    longest_stall_ms: float
    concealed_share: float
    cores: float

    @property
    def missed_share(self) -> float:
        """Late, or without the network."""
        return self.late_share + self.dull_share

    @property
    def held(self) -> bool:
        """Whether no more was missed, beyond what the machine does to anybody, than may be."""
        return self.misses_at_most(MOST_MISSED)

    @property
    def hopeless(self) -> bool:
        """Whether so much was missed that it need not be looked at for longer."""
        return not self.misses_at_most(FAR_TOO_MANY)

    def misses_at_most(self, most: float) -> bool:
        """Whether the share of frames missed, beyond the floor, is *most* or less."""
        return self.missed_share - self.floor_share <= most and self.tick_p50_ms < FRAME_MS


def _payloads() -> bytes:
    import soxr

    narrow = soxr.resample(voice(), RATE_HZ, 8_000).astype(np.float32)
    return PCMU.encoder().encode(narrow) or b""


def measure(model: str, calls: int, lanes: int, seconds: float, codec_out: str) -> Load:
    """Hold *calls* for *seconds*, or until more is missed than may be in all that time."""
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
        floors = [Floor(1.0, _LEAST_STALL_MS, cpu, above=10) for cpu in sorted(os.sched_getaffinity(0))]
        before, cells = exchange.statistics(), Histogram.of(exchange.cells)
        cpu_s, began_s = time.process_time(), time.monotonic()
        for floor in floors:
            stack.enter_context(floor)
        while True:
            passed_s = time.monotonic() - began_s
            time.sleep(min(max(seconds - passed_s, 0.0), _LOOK_S))
            passed_s = time.monotonic() - began_s
            stalls = merged(stall for floor in floors for stall in floor.result().stalls)
            load = _load(calls, lanes, passed_s, before, exchange.statistics(), cells, exchange.cells, stalls)
            most = MOST_MISSED * max(seconds / passed_s, 1.0)
            if passed_s >= seconds or not load.misses_at_most(most):
                break
        return replace(
            load,
            cores=(time.process_time() - cpu_s) / passed_s,
            concealed_share=max(leg.statistics().concealed_share for leg in legs),
        )


def _load(
    calls: int,
    lanes: int,
    seconds: float,
    before: ExchangeStatistics,
    after: ExchangeStatistics,
    cells_before: Histogram,
    cells: NDArray[np.int64],
    stalls: list[tuple[float, float]],
) -> Load:
    ticked = Histogram.of(cells).since(cells_before)
    skipped = after.skipped_ticks - before.skipped_ticks
    frames = max(after.ticks - before.ticks + skipped, 1)
    p50_ms = ticked.percentile_ms(50.0)
    return Load(
        calls=calls,
        lanes=lanes,
        seconds=seconds,
        tick_p50_ms=p50_ms,
        tick_p99_ms=ticked.percentile_ms(99.0),
        tick_max_ms=ticked.percentile_ms(100.0),
        late_share=(after.late_ticks - before.late_ticks + skipped) / frames,
        dull_share=(after.dull_ticks - before.dull_ticks) / frames,
        floor_share=late_by_stalls(stalls, FRAME_MS - p50_ms) / (1000.0 * seconds / FRAME_MS),
        longest_stall_ms=max((length_ms for _, length_ms in stalls), default=0.0),
        concealed_share=0.0,
        cores=0.0,
    )


def merged(stalls: Iterable[list[float]]) -> list[tuple[float, float]]:
    """Stalls [when in s, how long in ms] of all cores, those that overlap as one, in order."""
    whole: list[tuple[float, float]] = []
    for when_s, length_ms in sorted(stalls):
        if whole and when_s <= (end_s := whole[-1][0] + whole[-1][1] / 1000.0):
            end_s = max(end_s, when_s + length_ms / 1000.0)
            whole[-1] = (whole[-1][0], 1000.0 * (end_s - whole[-1][0]))
        else:
            whole.append((when_s, length_ms))
    return whole


def late_by_stalls(stalls: list[tuple[float, float]], slack_ms: float) -> int:
    """Frames of one batch that *stalls* alone make late, where each is done *slack_ms* before it has to be."""
    slack_ms = max(slack_ms, 0.0)
    return sum(1 + int((length_ms - slack_ms) // FRAME_MS) for _, length_ms in stalls if length_ms > slack_ms)


def run(model: str, seconds: float, codec_out: str, progress: Callable[[str], None] = lambda _: None) -> list[Load]:
    """For each size of batch: more and more calls for a moment, until too many; then fewer, until they are held."""
    loads: list[Load] = []
    for lanes in LANES:
        most = CALLS[-1] + 1
        for calls in ROUGHLY:
            progress(f"{calls} calls, {lanes} to a batch, for a moment")
            loads.append(measure(model, calls, lanes, max(seconds / 10.0, 1.0), codec_out))
            if loads[-1].hopeless:
                most = calls
                break
        for calls in reversed([calls for calls in CALLS if calls < most]):
            progress(f"{calls} calls, {lanes} to a batch, for {seconds:.0f} s")
            loads.append(measure(model, calls, lanes, seconds, codec_out))
            if loads[-1].held:
                break
    return loads


def most_held(loads: list[Load], lanes: int, seconds: float) -> int:
    """The most calls that were held in batches of *lanes*, for *seconds*."""
    tried = (load for load in loads if load.lanes == lanes and load.seconds >= seconds)
    return max((load.calls for load in tried if load.held), default=0)
