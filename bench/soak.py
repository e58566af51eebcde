"""Thirty minutes, or a night, of random faults in real time: does anything grow, click or come later than before?

Microphone and speaker are the simulated device on two clocks; the voice is said again and again, with the probe of
:mod:`bench.trial` in the network's place, so that what is heard can be judged as it comes.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.backends.simulated import SimulatedDevice
from realtime.engine import Engine, EngineSettings

from .alignment import align
from .clicks import RATE_HZ, find_clicks, thresholds
from .injection import PROBE_GAIN, Injection, injected
from .loads import LOADS, load
from .material import TELEPHONE_HZ, at_48_khz, telephone_voice

#: What is judged at a time, and what is looked back on, so that nothing falls between two pieces.
_PIECE_S = 2.0
_LAP_S = 0.25

#: Further behind than this the judge gives up what it has missed.
_MOST_BEHIND_S = 6.0

#: Before this, memory is still being touched for the first time and the drift is still being learnt.
WARM_UP_S = 30.0

#: Between faults, on average.
_CALM_S = 8.0

#: What the issue of a growing process is measured by.
MOST_GROWTH = 0.02

#: Two clocks are steered to this.
_SAME_MS = 1.0


@dataclass(frozen=True)
class Sample:
    """One line of the time series. Rings: samples that are written and not yet played, at 48 kHz."""

    seconds: float
    rss_kb: int
    low_fill: int
    high_fill: int
    delay_ms: float | None
    drift_ppm: float
    dull_seconds: float
    xruns: int
    resyncs: int
    clicks: int


@dataclass
class SoakReport:
    """What has been seen so far. A report of a run that was broken off is as good as it is long."""

    seed: int
    capture_ppm: float
    minutes: float
    series: list[Sample] = field(default_factory=list)
    faults: list[tuple[float, str]] = field(default_factory=list)
    clicks_at_s: list[float] = field(default_factory=list)
    largest_excess: float = 0.0
    skipped_s: float = 0.0

    def _settled(self) -> list[Sample]:
        settled = [sample for sample in self.series if sample.seconds >= WARM_UP_S]
        return settled or self.series[-1:]

    def figures(self) -> dict[str, Any]:
        """Sums and the verdict, ready for JSON."""
        settled = self._settled()
        if not settled:
            return {"seed": self.seed, "seconds": 0.0, "problems": ["it ended before anything was seen"]}
        delays = [sample.delay_ms for sample in settled if sample.delay_ms is not None]
        tenth = max(len(delays) // 10, 1)
        first_ms = float(np.median(delays[:tenth])) if delays else float("nan")
        last_ms = float(np.median(delays[-tenth:])) if delays else float("nan")
        resident = [sample.rss_kb for sample in settled]
        growth = max(resident) / resident[0] - 1.0
        last = settled[-1]
        problems = []
        if self.clicks_at_s:
            problems.append(f"{len(self.clicks_at_s)} clicks")
        if growth > MOST_GROWTH:
            problems.append(f"memory grew by {100 * growth:.1f} %")
        if not delays:
            problems.append("no voice was found in what was heard")
        elif abs(last_ms - first_ms) > _SAME_MS:
            problems.append(f"the delay went from {first_ms:.2f} to {last_ms:.2f} ms")
        return {
            "seed": self.seed,
            "seconds": last.seconds,
            "capture_ppm": self.capture_ppm,
            "faults": len(self.faults),
            "unjudged_seconds": self.skipped_s,
            "clicks": len(self.clicks_at_s),
            "clicks_at_s": self.clicks_at_s,
            "largest_excess": round(self.largest_excess, 3),
            "rss_first_kb": resident[0],
            "rss_last_kb": resident[-1],
            "rss_growth": round(growth, 4),
            "largest_low_fill": max(sample.low_fill for sample in settled),
            "largest_high_fill": max(sample.high_fill for sample in settled),
            "delay_first_ms": round(first_ms, 3),
            "delay_last_ms": round(last_ms, 3),
            "dull_seconds": round(last.dull_seconds, 3),
            "xruns": last.xruns,
            "resyncs": last.resyncs,
            "problems": problems,
        }

    def as_dict(self) -> dict[str, Any]:
        """All of it."""
        return {
            **self.figures(),
            "fault_list": [{"at_s": round(at, 2), "fault": name} for at, name in self.faults],
            "series": [asdict(sample) for sample in self.series],
        }


def _rss_kb() -> int:
    """Resident memory of this process, from the kernel."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


class _Faults:
    """Draws a fault from *dice* now and then, and puts it in."""

    def __init__(self, dice: random.Random, device: SimulatedDevice, network: Injection, engine: Engine) -> None:
        self._dice = dice
        self._device = device
        self._network = network
        self._engine = engine
        self._next_s = 1.0 + dice.expovariate(1.0 / _CALM_S)
        self._stop_load: threading.Event | None = None
        self._load_ends_s = 0.0

    def poll(self, now_s: float) -> str | None:
        """The fault that was put in at *now_s*, if any."""
        if self._stop_load is not None and now_s > self._load_ends_s:
            self._stop_load.set()
            self._stop_load = None
        if now_s < self._next_s:
            return None
        self._next_s = now_s + self._dice.expovariate(1.0 / _CALM_S)
        kinds: list[Callable[[float], str]] = [
            self._stall_engine, self._stall_device, self._poison, self._slow, self._load, self._bypass, self._guard,
        ]  # fmt: skip
        return self._dice.choice(kinds)(now_s)

    def close(self) -> None:
        if self._stop_load is not None:
            self._stop_load.set()

    def _low_s(self) -> float:
        return self._engine.low.written / RATE_HZ

    def _stall_engine(self, now_s: float) -> str:
        ms = self._dice.choice((5, 20, 100))
        self._network.stall(ms / 1000.0)
        return f"engine thread stalls {ms} ms"

    def _stall_device(self, now_s: float) -> str:
        ms = self._dice.choice((5, 20, 100))
        self._device.stall(ms / 1000.0)
        return f"device thread stalls {ms} ms"

    def _poison(self, now_s: float) -> str:
        hops = self._dice.choice((1, 3, 50))
        self._network.poison(hops)
        return f"NaN for {hops} hops"

    def _slow(self, now_s: float) -> str:
        seconds = self._dice.uniform(0.5, 3.0)
        low_s = self._low_s()
        self._network.slow_down(0.0077, low_s, low_s + seconds)
        return f"slow model for {seconds:.1f} s"

    def _load(self, now_s: float) -> str:
        name = self._dice.choice([name for name in LOADS if name != "idle"])
        if self._stop_load is not None:
            return "no further load"
        seconds = self._dice.uniform(1.0, 4.0)
        stop = self._stop_load = threading.Event()
        self._load_ends_s = now_s + seconds

        def work() -> None:
            with load(name):
                stop.wait()

        threading.Thread(target=work, daemon=True).start()
        return f"{name} for {seconds:.1f} s"

    def _bypass(self, now_s: float) -> str:
        enabled = not int(self._engine.playback["enabled"])
        self._engine.set_enabled(enabled)
        return "bypass off" if enabled else "bypass on"

    def _guard(self, now_s: float) -> str:
        self._engine.set_guard_ms(2.0 if self._engine.guard_ms > 2.0 else 6.0)
        return f"guard {self._engine.guard_ms:.0f} ms"


class _Judge:
    """Judges what is heard piece by piece, as it comes."""

    def __init__(
        self, device: SimulatedDevice, capture_ppm: float, expected: Callable[[], int], limit: NDArray[np.float64]
    ) -> None:
        self._device = device
        self._ppm = capture_ppm
        self._expected = expected
        once = _once()
        self._voice = once
        self._limit = limit
        self.skipped_s = 0.0
        self._next = round(_PIECE_S * RATE_HZ)

    def poll(self) -> tuple[float | None, float, tuple[float, ...]] | None:
        """The next piece, if there is one: delay in ms, largest jump over its threshold, the clicks' places in s."""
        piece = round(_PIECE_S * RATE_HZ)
        behind = self._device.played_frames - self._next
        if behind < RATE_HZ // 10:
            return None
        if behind > _MOST_BEHIND_S * RATE_HZ:
            # The device keeps ten seconds; on a machine this busy some of them go by unjudged.
            skipped = behind // piece
            self._next += skipped * piece
            self.skipped_s += skipped * _PIECE_S
            return None
        judged = self._judge(self._next - piece - round(_LAP_S * RATE_HZ), self._next)
        self._next += piece
        return judged

    def _judge(self, first: int, last: int) -> tuple[float | None, float, tuple[float, ...]]:
        first = max(first, 0)
        count = last - first
        heard = self._device.heard(first, last)[0]
        # Where the microphone's clock, and so the voice, was when the speaker's was at each of these samples.
        index = (first + np.arange(count)) * (1.0 + 1e-6 * self._ppm) % len(self._voice)
        around = np.arange(len(self._voice) + 1)
        said = np.interp(index, around, np.append(self._voice, self._voice[0]))
        alignment = align(heard, said, self._expected(), steered=True, step=4096)
        if not len(alignment.places):
            return None, 0.0, ()
        samples = np.arange(count)
        along = self._limit[(index - alignment.at(samples)).astype(np.int64) % len(self._limit)]
        if len(alignment.changes()):
            # One signal ends at one delay while the other begins at another.
            along = np.full(count, 2.0 * along.max())
        clicks = find_clicks(heard, along)
        delay = float(np.median(alignment.delays))
        return 1000.0 * delay / RATE_HZ, clicks.excess, tuple(first / RATE_HZ + place for place in clicks.places_s)


def _once() -> NDArray[np.float32]:
    return at_48_khz(telephone_voice())[0]


@contextmanager
def _running(model: Path, capture_ppm: float, seconds: float) -> Iterator[tuple[SimulatedDevice, Engine, Injection]]:
    with ExitStack() as stack:
        device = stack.enter_context(
            SimulatedDevice(telephone_voice(), TELEPHONE_HZ, seconds=seconds, repeat=True, capture_ppm=capture_ppm)
        )
        settings = EngineSettings(model, guard_ms=2.0, cutoff_hz=TELEPHONE_HZ / 2)
        engine = stack.enter_context(Engine(device.stream, settings))
        injection = stack.enter_context(injected(engine, device, probe=True))
        engine.start()
        device.start(engine)
        stack.callback(device.stop)
        yield device, engine, injection


def soak(
    model: Path,
    minutes: float,
    seed: int,
    progress: Callable[[SoakReport], None] | None = None,
) -> SoakReport:
    """Run for *minutes* with the faults that *seed* draws; Ctrl-C ends it with what has been seen so far."""
    dice = random.Random(seed)
    report = SoakReport(seed, round(dice.uniform(-300.0, 300.0), 1), minutes)
    voice = _once()
    limit = thresholds([voice, PROBE_GAIN * voice])
    with _running(model, report.capture_ppm, 60.0 * minutes) as (device, engine, network):
        judge = _Judge(device, report.capture_ppm, lambda: engine.delay_samples + device.stream.block_frames, limit)
        faults = _Faults(dice, device, network, engine)
        try:
            while device.active:
                now_s = device.played_frames / RATE_HZ
                fault = faults.poll(now_s)
                if fault is not None:
                    report.faults.append((now_s, fault))
                judged = judge.poll()
                if judged is not None:
                    delay_ms, excess, places = judged
                    report.largest_excess = max(report.largest_excess, excess)
                    for place in places:
                        # A piece begins within the one before.
                        if not report.clicks_at_s or place > report.clicks_at_s[-1] + 0.01:
                            report.clicks_at_s.append(round(place, 3))
                    report.skipped_s = judge.skipped_s
                    report.series.append(_sample(device, engine, delay_ms, report))
                    if progress is not None:
                        progress(report)
                time.sleep(0.05)
        except KeyboardInterrupt:
            pass
        finally:
            faults.close()
    return report


def _sample(device: SimulatedDevice, engine: Engine, delay_ms: float | None, report: SoakReport) -> Sample:
    playback = engine.playback
    statistics = engine.statistics()
    inference = engine.inference
    assert inference is not None
    index = int(playback["cursor"]) + inference.contract.latency_samples - inference.contract.hop_samples
    return Sample(
        seconds=round(device.played_frames / RATE_HZ, 2),
        rss_kb=_rss_kb(),
        low_fill=engine.low.written - int(playback["cursor"]),
        high_fill=inference.high.written - index,
        # A guard that was asked for is no growth.
        delay_ms=None if delay_ms is None else round(delay_ms - engine.guard_ms, 3),
        drift_ppm=round(engine.drift_ppm, 2),
        dull_seconds=round(statistics.dull_seconds, 3),
        xruns=device.xruns,
        resyncs=statistics.resyncs,
        clicks=len(report.clicks_at_s),
    )
