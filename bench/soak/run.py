"""Thirty minutes, or a night, of random faults in real time: does anything grow, click or come later than before?

A whole session runs on simulated devices on two clocks. The voice is said again and again, with the probe of
:mod:`bench.trial` in the network's place, so that what is heard can be judged as it comes.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from realtime.backends.simulated import SimulatedDevice
from realtime.native.ring import Ring
from realtime.session import Session
from realtime.settings.live import LiveSettings
from realtime.signals import Signals

from ..faults.injection import injected
from ..faults.succession import Succession
from ..signals.clicks import RATE_HZ
from ..signals.material import TELEPHONE_HZ
from .faults import SoakFaults, microphone
from .judge import Judge, Piece

#: What the issue of a growing process is measured by.
MOST_GROWTH = 0.02

#: Two clocks are steered to this.
_SAME_MS = 1.0

#: What a ring may hold more at the end than at the beginning: it is written in whole hops, and models differ in them.
_SAME_IN_RING_MS = 4.0

#: Looks at everything, in a second.
_LOOKS = 20

#: Readings of a ring until nobody has written meanwhile.
_READINGS = 50


@dataclass(frozen=True)
class Sample:
    """One line of the time series.

    *off_ms*: the delay that was heard less the one that the host claims. *low_over* and *high_over*: samples at 48 kHz
    that lie in the two rings beyond what the claimed delay needs.
    """

    seconds: float
    rss_kb: int
    low_over: int
    high_over: int | None
    off_ms: float | None
    drift_ppm: float
    guard_ms: float
    dull_seconds: float
    xruns: int
    floor_xruns: int
    resyncs: int
    device_losses: int
    clicks: int


#: Of the time, before growth is looked at.
_SETTLING_SHARE = 0.1

#: Values at each end, at least: one alone depends on where a block or a hop happens to be.
_LEAST_AT_ENDS = 10


def _ends(values: list[float]) -> tuple[float, float]:
    """The median of the first and of the last tenth of *values*."""
    tenth = max(len(values) // 10, min(_LEAST_AT_ENDS, len(values) // 2), 1)
    if not values:
        return float("nan"), float("nan")
    return float(np.median(values[:tenth])), float(np.median(values[-tenth:]))


@dataclass
class SoakReport:
    """What has been seen so far. A report of a run that was broken off is as good as it is long.

    *settled_s*: when every fault had been put in once, after a tenth of the time at least. Until then memory is touched
    for the first time, and the heap finds how much it needs to spare.
    """

    seed: int
    capture_ppm: float
    minutes: float
    series: list[Sample] = field(default_factory=list)
    faults: list[tuple[float, str]] = field(default_factory=list)
    notices: list[tuple[float, str]] = field(default_factory=list)
    clicks_at_s: list[float] = field(default_factory=list)
    largest_excess: float = 0.0
    skipped_s: float = 0.0
    settled_s: float | None = None
    broken_off: bool = False

    def figures(self) -> dict[str, Any]:
        """Sums and the verdict, ready for JSON."""
        if not self.series:
            return {"seed": self.seed, "seconds": 0.0, "problems": ["it ended before anything was seen"]}
        since_s = self.settled_s if self.settled_s is not None else self.series[-1].seconds
        settled = [sample for sample in self.series if sample.seconds >= since_s] or self.series[-1:]
        first, last = settled[0], settled[-1]
        growth = max(sample.rss_kb for sample in settled) / first.rss_kb - 1.0
        high = [sample.high_over for sample in settled]
        ends = {
            "delay_off": _ends([sample.off_ms for sample in settled if sample.off_ms is not None]),
            "low_ring": _ends([1e3 * sample.low_over / RATE_HZ for sample in settled]),
            "high_ring": _ends([1e3 * over / RATE_HZ for over in high if over is not None]),
        }
        problems = []
        if self.clicks_at_s:
            problems.append(f"{len(self.clicks_at_s)} clicks")
        if self.settled_s is None and not self.broken_off:
            problems.append("it was too short for every fault: nothing is known of growth")
        if growth > MOST_GROWTH:
            problems.append(f"memory grew by {100 * growth:.1f} %")
        for name, (before_ms, after_ms) in ends.items():
            allowed_ms = _SAME_MS if name == "delay_off" else _SAME_IN_RING_MS
            if not abs(after_ms - before_ms) <= allowed_ms:
                problems.append(f"{name.replace('_', ' ')} went from {before_ms:.2f} to {after_ms:.2f} ms")
        if self.skipped_s > 0.1 * last.seconds:
            problems.append(f"{self.skipped_s:.0f} s were not listened to")
        return {
            "seed": self.seed,
            "seconds": last.seconds,
            "broken_off": self.broken_off,
            "settled_s": self.settled_s,
            "capture_ppm": self.capture_ppm,
            "faults": len(self.faults),
            "unjudged_seconds": round(self.skipped_s, 1),
            "clicks": len(self.clicks_at_s),
            "clicks_at_s": self.clicks_at_s,
            "largest_excess": round(self.largest_excess, 3),
            "rss_first_kb": first.rss_kb,
            "rss_last_kb": last.rss_kb,
            "rss_growth": round(growth, 4),
            **{f"{name}_first_ms": round(before_ms, 3) for name, (before_ms, _) in ends.items()},
            **{f"{name}_last_ms": round(after_ms, 3) for name, (_, after_ms) in ends.items()},
            "dull_seconds": round(last.dull_seconds, 3),
            "device_losses": last.device_losses,
            "xruns": last.xruns,
            "floor_xruns": last.floor_xruns,
            "resyncs": last.resyncs,
            "problems": problems,
        }

    def as_dict(self) -> dict[str, Any]:
        """All of it."""
        return {
            **self.figures(),
            "fault_list": [{"at_s": round(at, 2), "fault": name} for at, name in self.faults],
            "notices": [{"at_s": round(at, 2), "notice": line} for at, line in self.notices],
            "samples": [asdict(sample) for sample in self.series],
        }


def _rss_kb() -> int:
    """Resident memory of this process, from the kernel."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


@dataclass(frozen=True)
class _Soak:
    """All that runs."""

    session: Session
    devices: Succession
    floor: SimulatedDevice
    judge: Judge
    faults: SoakFaults

    def _over(self, ring: Ring, lead: int) -> int:
        """What lies in *ring* beyond the claimed delay, when playback's place in it is *lead* before its own."""
        engine = self.session.engine
        for _ in range(_READINGS):
            written, cursor = ring.written, int(engine.playback["cursor"])
            if ring.written == written:
                break
        return written - cursor - lead - engine.delay_samples

    def sample(self, off_ms: float | None, clicks: int) -> Sample:
        """What holds now."""
        engine = self.session.engine
        statistics = self.session.statistics()
        high_over = None
        inference = engine.inference
        if inference is not None:
            contract = inference.contract
            high_over = self._over(inference.high, contract.latency_samples - contract.hop_samples)
        return Sample(
            seconds=round(self.judge.heard_s, 2),
            rss_kb=_rss_kb(),
            low_over=self._over(engine.low, 0),
            high_over=high_over,
            off_ms=None if off_ms is None else round(off_ms, 3),
            drift_ppm=round(engine.drift_ppm, 2),
            guard_ms=round(engine.guard_ms, 2),
            dull_seconds=round(statistics.dull_seconds, 3),
            xruns=self.devices.xruns,
            floor_xruns=self.floor.xruns,
            resyncs=statistics.resyncs,
            device_losses=statistics.device_losses,
            clicks=clicks,
        )


@contextmanager
def _running(model: str, capture_ppm: float, seconds: float, dice: random.Random) -> Iterator[_Soak]:
    with ExitStack() as stack:
        devices = Succession([microphone(TELEPHONE_HZ, capture_ppm, seconds)])
        stack.callback(devices.stop)
        settings = LiveSettings.model_validate({"model": model, "guard_ms": 2.0, "cutoff_hz": TELEPHONE_HZ / 2})
        session = stack.enter_context(Session(settings, devices))
        network = stack.enter_context(injected(session.engine, devices.current, probe=True))
        engine = session.engine
        judge = Judge(capture_ppm, lambda: engine.delay_samples + engine.stream.block_frames)
        faults = SoakFaults(dice, session, devices, network, judge, capture_ppm, seconds)
        devices.followers.append(faults.follow)
        # A thread that only sleeps, beside: what the machine does to anybody.
        floor = SimulatedDevice(np.zeros((1, TELEPHONE_HZ), np.float32), TELEPHONE_HZ, seconds=2 * seconds, repeat=True)
        stack.callback(floor.stop)
        session.start()
        floor.run_callbacks(0, 0, 0)
        stack.callback(faults.close)
        yield _Soak(session, devices, floor, judge, faults)


def soak(
    model: str,
    minutes: float,
    seed: int,
    progress: Callable[[SoakReport], None] | None = None,
) -> SoakReport:
    """Run for *minutes* with the faults that *seed* draws; Ctrl-C ends it with what has been seen so far."""
    dice = random.Random(seed)
    report = SoakReport(seed, round(dice.uniform(-300.0, 300.0), 1), minutes)
    with Signals() as signals, _running(model, report.capture_ppm, 60.0 * minutes, dice) as running:
        began_s = time.monotonic()
        while running.session.running and not signals.ending:
            heard_s = running.judge.heard_s
            report.notices += [(heard_s, line) for line in running.session.poll()]
            fault = running.faults.poll(time.monotonic() - began_s, heard_s)
            if fault is not None:
                report.faults.append((heard_s, fault))
            seen = running.faults.all_seen and heard_s >= _SETTLING_SHARE * 60.0 * minutes
            if report.settled_s is None and seen and not running.session.lost:
                report.settled_s = round(heard_s, 2)
            piece = running.judge.poll()
            if piece is not None:
                _take(report, running, piece)
                if progress is not None and report.series:
                    progress(report)
            time.sleep(1.0 / _LOOKS)
        report.broken_off = signals.ending
    return report


def _take(report: SoakReport, running: _Soak, piece: Piece) -> None:
    report.largest_excess = max(report.largest_excess, piece.excess)
    for place in piece.clicks_at_s:
        # A piece begins within the one before.
        if not report.clicks_at_s or place > report.clicks_at_s[-1] + 0.01:
            report.clicks_at_s.append(round(place, 3))
    report.skipped_s = running.judge.skipped_s
    if not running.session.lost:  # without devices rings say nothing
        report.series.append(running.sample(piece.off_ms, len(report.clicks_at_s)))
