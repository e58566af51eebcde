"""One path under one load: what was late, and what the machine itself did in the same seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from realtime.native.histogram import Histogram
from realtime.onnx.contract import RATE_HZ, Contract

from ..machine.about import Yardstick
from ..machine.floor import Floor, FloorResult
from ..machine.loads import load
from ..report.samples import interpolated_median
from .clocks import Clock, DeviceClock, Served, SimulatedClock
from .paths import make_work

#: How often a run is looked at. A load that holds the interpreter makes it less often.
_LOOK_SECONDS = 0.25

#: Of a run whose time is short. Some hundred hops still.
_LEAST_SECONDS = 0.4

_YARDSTICK_TIMES = 20


@dataclass(frozen=True)
class Setting:
    """What is tried: a model, blocks of so many frames, and the delay held against late hops."""

    name: str
    model: Path
    block_frames: int
    guard_ms: float


@dataclass(frozen=True)
class Look:
    """The run at one moment: seconds, hops that were late since the last look, the slowest of those done since."""

    at_s: float
    seconds: float
    late: int
    median_ms: float
    worst_ms: float


@dataclass(frozen=True)
class Run:
    """One round of one path under one load.

    *late_hops* were done, but after playback had asked for them; hops of audio that the device lost were never done.
    """

    seconds: float
    served: Served
    hops: int
    late_hops: int
    longest_late_run: int
    dull_seconds: float
    least_margin_ms: float | None
    response: Histogram
    floor: FloorResult
    looks: list[Look]
    yardstick_ms: float | None = None


@dataclass
class Cell:
    """All rounds of one path under one load in one setting, and the sums of them."""

    setting: Setting
    load: str
    path: str
    contract: Contract
    clock: str
    delay_ms: float | None
    budget: dict[str, float | None] | None
    runs: list[Run] = field(default_factory=list)

    def _sum(self, of: Callable[[Run], float]) -> float:
        return sum(of(run) for run in self.runs)

    @property
    def seconds(self) -> float:
        return self._sum(lambda run: run.seconds)

    @property
    def lost_hops(self) -> int:
        """Hops of audio that the device could not take or give, because its callback did not come back."""
        return round(1000.0 * self._sum(lambda run: run.served.lost_seconds) / self.contract.hop_ms)

    @property
    def hops(self) -> int:
        """Hops that were due: done, or lost."""
        return round(self._sum(lambda run: run.hops)) + self.lost_hops

    @property
    def deadline_misses(self) -> int:
        """Hops whose high band was not there when a listener's ear would have needed it: late, or lost."""
        return round(self._sum(lambda run: run.late_hops)) + self.lost_hops

    @property
    def stall_floor_misses(self) -> int:
        return round(self._sum(lambda run: run.floor.missed))

    @property
    def longest_miss_run(self) -> int:
        """In hops."""
        lost = max(run.served.longest_lost_seconds for run in self.runs)
        return max(round(1000.0 * lost / self.contract.hop_ms), *(run.longest_late_run for run in self.runs))

    @property
    def xruns(self) -> int:
        return round(self._sum(lambda run: run.served.xruns))

    @property
    def lost_seconds(self) -> float:
        return self._sum(lambda run: run.served.lost_seconds)

    @property
    def dull_seconds(self) -> float:
        return self._sum(lambda run: run.dull_seconds)

    @property
    def served_percent(self) -> float:
        due = self._sum(lambda run: run.served.blocks_due)
        return 100.0 * self._sum(lambda run: run.served.blocks) / max(due, 1.0)

    @property
    def least_margin_ms(self) -> float | None:
        """By how much the latest hop was in time; negative: it was late by so much."""
        known = [run.least_margin_ms for run in self.runs if run.least_margin_ms is not None]
        return min(known) if known else None

    @property
    def response(self) -> Histogram:
        return _joined([run.response for run in self.runs])

    @property
    def floor(self) -> Histogram:
        return _joined([run.floor.lateness for run in self.runs])


def _joined(histograms: list[Histogram]) -> Histogram:
    counts = np.sum([one.counts for one in histograms], axis=0)
    return Histogram(counts, sum(one.sum_ms for one in histograms))


@dataclass(frozen=True)
class Plan:
    """What a bench runs: every path in every setting under every load, *seconds* each, in *rounds* by turns.

    With *at_most_s* each gets less where all together would take longer, on a machine that is slow to start them.
    """

    settings: tuple[Setting, ...]
    loads: tuple[str, ...]
    paths: tuple[str, ...]
    seconds: float
    rounds: int
    capture: str | None = None
    playback: str | None = None
    at_most_s: float | None = None
    keep_awake: bool = False

    @property
    def on_devices(self) -> bool:
        return self.capture is not None or self.playback is not None

    def clock(self, setting: Setting) -> Clock:
        if self.on_devices:
            return DeviceClock(self.capture, self.playback, setting.block_frames)
        return SimulatedClock(setting.block_frames, self.seconds / self.rounds)


def run_once(
    path: str, clock: Clock, setting: Setting, load_name: str, seconds: float, floor: Floor | None = None
) -> tuple[Run, Cell]:
    """*seconds* of one path; the floor is measured beside it. Gives the run, and a cell that has none yet."""
    work = make_work(path, clock.stream, setting.model, setting.guard_ms, seconds + 2.0)
    engine = getattr(work, "engine", None)
    contract = work.contract
    cell = Cell(
        setting,
        load_name,
        path,
        contract,
        clock.name,
        engine.latency.host_ms if engine is not None else None,
        engine.latency.as_dict() if engine is not None else None,
    )
    # A hop has to be done when the device next calls, which is a block later, and the guard. Whoever wakes up with
    # less time left than a hop takes has missed it.
    slack_ms = max(1000.0 * setting.block_frames / RATE_HZ + setting.guard_ms - work.hop_cost_ms, 0.1)
    floor = floor or Floor(contract.hop_ms, slack_ms)
    margins: list[float] = []
    looks: list[Look] = []
    with ExitStack() as stack:
        stack.callback(work.close)
        stack.enter_context(load(load_name))
        stack.enter_context(floor)
        began_s = time.monotonic()
        with clock.run(path, work):
            before, late_before, at_s = work.response(), 0, 0.0
            while at_s < seconds:
                time.sleep(min(_LOOK_SECONDS, max(seconds - at_s, 0.001)))
                now_s = time.monotonic() - began_s
                response, late = work.response(), work.counters()[1]
                newest = response.since(before)
                median_ms, worst_ms = interpolated_median(newest), newest.percentile_ms(100)
                looks.append(Look(now_s, now_s - at_s, late - late_before, median_ms, worst_ms))
                before, late_before, at_s = response, late, now_s
                margin = work.least_margin_ms()
                if margin is not None:
                    margins.append(margin)
        hops, late, longest = work.counters()
        run = Run(
            seconds=at_s,
            served=clock.served(),
            hops=hops,
            late_hops=late,
            longest_late_run=longest,
            dull_seconds=work.dull_seconds(),
            least_margin_ms=min(margins) if margins else None,
            response=work.response(),
            floor=floor.result(),
            looks=looks,
        )
    return run, cell


def measure(plan: Plan, progress: Callable[[str], None] | None = None) -> list[Cell]:
    """Everything in *plan*. Rounds are by turns, so that the machine's moods meet all paths alike."""
    began_s = time.monotonic()
    first = plan.settings[0]
    for path in plan.paths:  # what is compiled, or imported, is so here
        run_once(path, plan.clock(first), first, "idle", 0.1)
    cells: dict[tuple[Setting, str, str], Cell] = {}
    turns = [
        (number, setting, load_name, path)
        for number in range(plan.rounds)
        for setting in plan.settings
        for load_name in plan.loads
        for path in plan.paths
    ]
    spent_beside_s = 0.0
    yardstick = Yardstick() if plan.rounds > 1 else None  # one round is compared with nothing
    for index, (number, setting, load_name, path) in enumerate(turns):
        if progress is not None:
            what = f"{setting.name}, {setting.block_frames} frames, guard {setting.guard_ms:g} ms"
            progress(f"{what}: {path}, {load_name}, round {number + 1} of {plan.rounds}")
        seconds = plan.seconds / plan.rounds
        if plan.at_most_s is not None:
            left_s = plan.at_most_s - (time.monotonic() - began_s)
            beside_s = spent_beside_s / index if index else 0.0
            seconds = min(seconds, max(left_s / (len(turns) - index) - beside_s, _LEAST_SECONDS))
        turn_s = time.monotonic()
        run, cell = run_once(path, plan.clock(setting), setting, load_name, seconds)
        if yardstick is not None:
            run = replace(run, yardstick_ms=yardstick.median_ms(_YARDSTICK_TIMES))
        spent_beside_s += time.monotonic() - turn_s - seconds
        cells.setdefault((setting, load_name, path), cell).runs.append(run)
    return list(cells.values())
