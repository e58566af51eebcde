"""The instrument that judges paths: stalls are seen once, all paths do the same work, and verdicts follow counts."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.engine.clocks import Served, SimulatedClock
from bench.engine.paths import PATHS, EngineWork, WorkerWork, pyaudio_callback
from bench.engine.report import make_plan, make_report, verdicts
from bench.engine.run import Cell, Look, Run, Setting, run_once
from bench.machine.floor import Floor, FloorResult
from bench.machine.loads import LOADS, load
from bench.names import check_names
from realtime.backends.simulated import SimulatedDevice
from realtime.engine import StreamFormat
from realtime.errors import FullbandError
from realtime.native.histogram import Histogram
from realtime.onnx.contract import read_contract
from realtime.onnx.session import Session
from realtime.paths import find_model
from tests.models import identity_model
from tests.realtime.test_cli import run

MODEL = find_model("default")
assert MODEL is not None
SETTING = Setting("default", MODEL, 128, 2.0)


def _slower_than(histogram: Histogram, ms: float) -> int:
    return sum(int(count) for edge, count in histogram.as_dict()["buckets"] if edge > ms)  # type: ignore[attr-defined]


def test_a_planted_stall_is_seen_in_the_histogram_and_counted_once() -> None:
    floor = Floor(every_ms=4.0, slack_ms=4.6)
    floor.plant(at_s=0.2, seconds=0.02)
    with floor:
        time.sleep(0.5)
    found = floor.result()
    (planted,) = [late for when, late in found.stalls if abs(when - 0.2) < 0.002]
    assert planted >= 20.0
    # Whatever else the machine did meanwhile: one stall is one entry.
    assert _slower_than(found.lateness, 19.9) == sum(late >= 20.0 for _, late in found.stalls)
    assert found.missed == sum(int((late - 4.6) // 4.0) + 1 for _, late in found.stalls)
    assert (planted - 4.6) // 4.0 + 1 >= 4


def test_a_planted_stall_of_the_device_is_lost_audio_once() -> None:
    with SimulatedDevice(np.zeros((1, 24_000), np.float32), 48_000, block_frames=128) as device:
        device.stall(0.02, at_s=0.1)
        device.run_callbacks(0, 0, 0)
        device.wait()
        longest_ns = int(device.record["longest_lost_ns"])
        assert longest_ns >= 20_000_000
        assert int(device.record["lost_ns"]) >= longest_ns
        assert _slower_than(Histogram.of(device.lateness_histogram), 19.9) <= device.xruns


def test_every_path_does_the_same_work() -> None:
    assert MODEL is not None
    stream = StreamFormat(48_000, 48_000, 128)
    # As loud as a voice is by turns: to steady noise the engine adds nothing.
    swell = 1.0 - 0.9 * np.cos(2 * np.pi * 8.0 * np.arange(128 * 200) / 48_000)
    noise = (0.05 * swell * np.random.default_rng(1).standard_normal(128 * 200)).astype(np.float32)
    played: dict[str, np.ndarray] = {}
    for path in ("python_callback", "pyaudio", "python_worker"):
        work: EngineWork | WorkerWork
        if path == "python_worker":
            work = WorkerWork(stream, MODEL, 2.0, 2.0)
        else:
            work = EngineWork(stream, MODEL, 2.0, native=False)
        through_bytes = pyaudio_callback(work, time.monotonic_ns)
        out = np.zeros_like(noise)
        for first in range(0, len(noise), 128):
            now = slice(first, first + 128)
            if path == "pyaudio":
                given, proceed = through_bytes(noise[now].tobytes(), 128, {}, 0)
                out[now] = np.frombuffer(given, np.float32)
                assert proceed == 0
            else:
                work.process(noise[now], out[now], time.monotonic_ns())
            due = (first + 128) // work.contract.hop_samples
            while work.counters()[0] < due:
                time.sleep(0.0005)
        assert work.counters()[:2] == (128 * 200 // work.contract.hop_samples, 0)
        assert work.response().count > 0
        work.close()
        played[path] = out
    np.testing.assert_array_equal(played["python_callback"], played["pyaudio"])
    # The engine also looks after DC and a high band too loud, which here only the onset has.
    settled = slice(4_800, None)
    np.testing.assert_allclose(played["python_worker"][settled], played["python_callback"][settled], atol=2e-5)
    assert np.abs(played["python_worker"]).max() > 0.05


@pytest.mark.parametrize("path", PATHS)
def test_hops_that_are_due_are_done_or_missed(path: str) -> None:
    result, cell = run_once(path, SimulatedClock(128, 0.5), SETTING, "idle", 0.5)
    cell.runs.append(result)
    due = result.seconds / 0.004
    assert cell.hops == pytest.approx(due, abs=40.0)
    assert cell.deadline_misses <= cell.hops
    assert cell.response.count > 0
    assert result.floor.lateness.count == pytest.approx(due, abs=60.0)


@pytest.mark.parametrize("name", sorted(LOADS))
def test_a_load_begins_and_ends(name: str) -> None:
    with load(name):
        time.sleep(0.05)


def _cell(path: str, late: int, floor: int, *, hops: int = 2_500, lost_s: float = 0.0, guard_ms: float = 2.0) -> Cell:
    assert MODEL is not None
    with Session(MODEL) as session:
        contract = read_contract(session)
    served = Served(3_750, 3_750, int(lost_s > 0), lost_s, lost_s)
    empty = Histogram.empty()
    look = Look(10.0, 10.0, late, 0.3, 1.0)
    stalls = FloorResult(floor, [], empty)
    done = Run(10.0, served, hops, late, min(late, 3), 0.0, 3.5 if not late else -4.1, empty, stalls, [look])
    setting = replace(SETTING, guard_ms=guard_ms)
    return Cell(setting, "gil_loop", path, contract, "simulated device", 10.0 + guard_ms, None, [done])


def test_lost_audio_is_missed_hops_even_if_all_that_were_done_were_in_time() -> None:
    cell = _cell("python_callback", late=0, floor=0, lost_s=1.0, hops=2_250)
    assert (cell.hops, cell.deadline_misses, cell.longest_miss_run) == (2_500, 250, 250)


def test_the_verdict_forgives_what_the_machine_does_and_no_more() -> None:
    (line,) = verdicts([_cell("native", late=9, floor=9)])
    assert line == "native holds 128 frames at 2 ms guard: 9 of 2500 hops late or lost, by the machine alone 9."
    (line,) = verdicts([_cell("native", late=50, floor=1)])
    assert "does not hold 128 frames at 2 ms guard" in line
    assert "gil_loop 2.0 %" in line
    assert "a guard of 6.1 ms would have done" in line


def test_of_several_settings_the_least_delay_that_holds_is_named() -> None:
    cells = [
        _cell("native", 90, 0, guard_ms=0.0),
        _cell("native", 0, 0, guard_ms=2.0),
        _cell("native", 0, 0, guard_ms=10.0),
    ]
    summary, least = verdicts(cells)
    assert summary == "native with default holds 128 frames at 2 ms guard."
    assert least.startswith("The least delay that holds here: 12.0 ms")
    assert verdicts(cells[:1] + cells[:1])[0].startswith("native does not hold")


def test_a_guard_is_no_remedy_for_blocks_that_the_device_lost() -> None:
    (line,) = verdicts([_cell("native", 0, 0, lost_s=1.0)])
    assert "does not hold" in line
    assert "would have done" not in line


def test_names_that_are_none_are_answered_with_the_nearest() -> None:
    with pytest.raises(FullbandError, match=r"no load named 'gc_strom'.*gc_storm"):
        check_names("load", ["gc_strom"], LOADS)
    with pytest.raises(FullbandError, match="no path named 'x'"):
        make_plan(["default"], [128], [2.0], ["idle"], ["x"], 1.0, 1)


def test_a_plan_with_little_time_still_runs_everything(tmp_path: Path) -> None:
    model = identity_model(tmp_path / "identity.onnx", mode="additive")
    plan = make_plan([str(model)], [64, 256], [0.0, 5.0], ["idle"], ["native"], 5.0, 1, at_most_s=0.0)
    seen: list[str] = []
    report = make_report(plan, seen.append).as_dict()
    assert len(report["tables"][0]["rows"]) == 4
    assert len(seen) == 4
    assert set(report["loads"]) == {"idle"}
    assert report["distributions"]
    assert report["waterfalls"][0]["parts"]


def test_the_command_gives_every_path_its_counts(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    arguments = ["--seconds", "0.5", "--rounds", "1", "--load", "idle", "--json", "-", "--html", page]
    done = run("bench", "engine", *arguments)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    for path in PATHS:
        figures = report["loads"]["idle"][path]
        assert figures["hops"] > 0
        assert {"deadline_misses", "hops", "xruns", "stall_floor_misses"} <= set(figures)
        assert figures["clock"] == "simulated device"
    assert any("128 frames at 2 ms guard" in line for line in report["verdicts"])
    assert "asleep only" in page.read_text()
