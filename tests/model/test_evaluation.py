"""The protocol as a whole: conditions, baselines, groups, probes, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy import signal
from typer.testing import CliRunner

from model.cli import app
from model.data.corpus import find_clips
from model.metrics import conditions, matched, pool, systems
from model.metrics.evaluation import CHAIN, OTHER, Plan, evaluate, groups_of, spread
from model.metrics.probes import muted_error_db, probe
from model.metrics.scores import prepare, score
from model.metrics.systems import Given, System, estimate, find_systems
from model.networks.shaper import CROSSOVER
from model.report.marks import MUTED_DB
from realtime.errors import FullbandError
from realtime.paths import find_model, shipped_models

from .speech import RATE_HZ, speech_like, write_corpus


@pytest.mark.parametrize("way", [conditions.protocol(16_000), *conditions.filters(16_000)], ids=lambda way: way.name)
def test_every_filter_keeps_the_low_band_in_line_and_removes_the_high_one(way: conditions.Condition) -> None:
    time = np.arange(RATE_HZ) / RATE_HZ
    kept = (0.3 * np.sin(2 * np.pi * 1_000.0 * time)).astype(np.float32)
    removed = (0.3 * np.sin(2 * np.pi * 11_000.0 * time)).astype(np.float32)
    middle = slice(9_600, -9_600)
    error = way.apply(kept + removed)[middle] - kept[middle]
    assert np.abs(error).max() < 0.01


def test_names_of_conditions_are_unique() -> None:
    ways = [way for rate in conditions.RATES_HZ for way in (*conditions.filters(rate), *conditions.codecs(rate))]
    assert len({(way.rate_hz, way.name) for way in ways}) == len(ways)


def test_the_oracle_crosses_over_where_the_networks_do() -> None:
    assert systems.ORACLE_CROSSOVER == CROSSOVER


def test_the_oracle_has_the_originals_level_and_beats_folding() -> None:
    speech = speech_like(2.0)
    low = conditions.protocol(8_000).apply(speech)
    given = [Given(low, 4_000.0, speech)]
    original = prepare(speech)
    oracle, fold, sinc = (
        score(estimate(System(name), given)[0], original, 4_000.0) for name in ("oracle", "fold", "sinc")
    )
    assert abs(oracle.level_error_db) < 1.0
    assert oracle.lsd < 1.0 < fold.lsd
    assert oracle.low_snr_db == pytest.approx(sinc.low_snr_db, abs=0.5)  # it leaves the low band alone


def test_folding_mirrors_the_low_band_at_its_own_level() -> None:
    time = np.arange(RATE_HZ) / RATE_HZ
    low = (0.25 * np.sin(2 * np.pi * 1_000.0 * time)).astype(np.float32)
    (folded,) = estimate(System("fold"), [Given(low, 4_000.0)])
    spectrum = np.abs(np.fft.rfft(folded)) * 2.0 / RATE_HZ
    images_hz = [7_000, 9_000, 15_000, 17_000, 23_000]
    assert spectrum[[1_000, *images_hz]] == pytest.approx(0.25, abs=0.01)


def test_groups_keep_recording_chains_apart() -> None:
    assert groups_of("voicebank_nsd") == ("all", CHAIN, "voicebank_nsd")
    assert groups_of("vctk")[1] == CHAIN and groups_of("bibletts")[1] == OTHER


def test_models_are_found_and_told_apart(tmp_path: Path) -> None:
    twin = tmp_path / "default.onnx"
    shipped = find_model("default")
    assert shipped is not None
    twin.write_bytes(shipped.read_bytes())
    names = [system.name for system in find_systems(["default", str(twin)])]
    assert len(set(names)) == 2
    with pytest.raises(FullbandError, match="no such checkpoint"):
        find_systems(["nothing.pt"])


def test_work_is_done_in_any_number_of_processes_and_failures_come_through() -> None:
    assert {result for _, result in pool.run(abs, [-3, 2, -1], jobs=2)} == {1, 2, 3}
    assert [result for _, result in pool.run(abs, [-3, 2], jobs=1)] == [3, 2]
    with pytest.raises(ValueError, match="invalid literal"):
        list(pool.run(int, ["1", "x"], jobs=2))


def test_hosted_models_are_what_is_heard_of_them() -> None:
    (bare,), (hosted,) = (find_systems(["default"], hosted=kind) for kind in (False, True))
    assert hosted.name == "default, hosted"
    low = conditions.protocol(8_000).apply(speech_like(2.0))
    given = [Given(low, 4_000.0)]
    alone, heard = (estimate(system, given)[0] for system in (bare, hosted))
    assert len(heard) == len(low)
    (alone_db,), (heard_db,) = (probe(system, [8_000], []).noise_gain_db for system in (bare, hosted))
    assert heard_db < 3.0 < alone_db, "the host fades the high band of steady noise out, the network adds it"
    assert np.max(np.abs(heard - alone)[RATE_HZ:]) < 1e-4, "and leaves voices alone"
    with pytest.raises(FullbandError, match="export"):
        find_systems(["run/checkpoint.pt"], hosted=True)


def test_a_voice_in_a_call_is_scored_after_what_came_before() -> None:
    (fresh,), (late,) = (find_systems(["default"], in_call=kind) for kind in (False, True))
    assert late.name == "default, in a call"
    voice = conditions.protocol(8_000).apply(speech_like(2.0))
    muted = np.zeros(RATE_HZ, np.float32)
    after = estimate(late, [Given(voice, 4_000.0)])[0]
    by_hand = estimate(fresh, [Given(np.concatenate([*[voice] * 11, muted, voice]), 4_000.0)])[0]
    assert np.array_equal(after, by_hand[-len(voice) :])
    assert not np.array_equal(after, estimate(fresh, [Given(voice, 4_000.0)])[0])


@pytest.mark.parametrize("hosted", [False, True])
def test_a_model_is_scored_as_the_listener_wishes_it(hosted: bool) -> None:
    low = conditions.protocol(8_000).apply(speech_like(1.0))
    (plain,), (soft,), (tilted,) = (
        find_systems(["default"], hosted=hosted, **wish) for wish in ({}, {"level_db": -6.0}, {"tilt_db": -3.0})
    )
    assert soft.name.endswith(", level -6") and tilted.name.endswith(", tilt -3")
    section = signal.butter(8, 9_000.0, "high", fs=RATE_HZ, output="sos")
    high_db = [
        10.0 * np.log10(np.mean(signal.sosfilt(section, estimate(system, [Given(low, 4_000.0)])[0]) ** 2))
        for system in (plain, soft, tilted)
    ]
    assert high_db[1] - high_db[0] == pytest.approx(-6.0, abs=0.1)
    assert high_db[2] - high_db[0] < -3.0


def test_a_system_that_adds_nothing_passes_every_probe() -> None:
    voiced = probe(System("sinc"), [8_000], [speech_like(3.0)])
    assert voiced.step_error_db == voiced.muted_error_db == [0.0]
    measured = probe(System("sinc"), [8_000], [])
    assert measured.silence_dbfs == [-300.0]
    assert measured.noise_gain_db[0] == pytest.approx(0.0, abs=0.01)
    assert measured.noise_density_db[0] < -30.0


def test_a_system_that_extends_noise_is_caught() -> None:
    measured = probe(System("fold"), [8_000], [speech_like(3.0)])
    assert measured.noise_density_db[0] == pytest.approx(0.0, abs=1.0)
    assert measured.noise_gain_db[0] > 20.0
    assert measured.step_error_db[0] < 0.1  # a linear system keeps every ratio
    assert measured.muted_error_db[0] < 0.01


@pytest.mark.parametrize("name", ["default", "low-latency", "light"])
def test_a_voice_that_begins_after_silence_sounds_as_it_would_without(name: str) -> None:
    room = 1e-3 * np.random.default_rng(0).standard_normal((2, 4 * RATE_HZ))
    voices = [(speech_like(4.0, seed) + noise).astype(np.float32) for seed, noise in enumerate(room, 1)]
    given = [Given(conditions.protocol(8_000).apply(voice), 4_000.0) for voice in voices]
    assert muted_error_db(System(name, shipped_models()[name]), given) < MUTED_DB


def test_spread_takes_from_each_corpus_in_turn(tmp_path: Path) -> None:
    rows = [("a", 3), ("b", 2)]
    listed = [f"test,{corpus},s,{corpus}{n}.wav,1,pcm,,CC0" for corpus, count in rows for n in range(count)]
    (tmp_path / "manifest.csv").write_text(
        "split,corpus,speaker,path,seconds,codec,cutoff_hz,licence\n" + "\n".join(listed) + "\n"
    )
    clips = spread(find_clips(tmp_path, "test"), 3)
    assert [clip.path.stem for clip in clips] == ["a0", "b0", "a1"]


def test_progress_adds_up_and_every_clip_counts_once(tmp_path: Path) -> None:
    clips = find_clips(write_corpus(tmp_path / "vctk-like"), "test")
    plan = Plan(clips, [], rates_hz=[16_000], baselines=["sinc", "oracle"], filters="none", codecs=False, visqol=False)
    shares: list[float] = []
    result = evaluate(plan, shares.append)
    assert sum(shares) == pytest.approx(1.0)
    assert len(result.rows) == 2 * len(clips)
    assert [line.system for line in result.find("all", "protocol")] == ["sinc", "oracle"]
    (line,) = result.find(CHAIN, "protocol", 16_000, "oracle")
    assert line.scores["lsd"].count == len(clips)
    assert "visqol" not in line.scores


@pytest.mark.parametrize("baselines", [[], ["sinc", "fold"]])
def test_codecs_are_scored_beside_the_low_band_where_baselines_are(tmp_path: Path, baselines: list[str]) -> None:
    clips = find_clips(write_corpus(tmp_path / "voices", speakers=1, clips=1), "test")
    plan = Plan(clips, find_systems(["light"]), rates_hz=[8_000], baselines=baselines, filters="none", visqol=False)
    lines = evaluate(plan).find("all", "codec")
    assert {line.system for line in lines} == {"light", *baselines[:1]}


def test_the_command_scores_several_models_side_by_side(tmp_path: Path) -> None:
    data = write_corpus(tmp_path / "voices", speakers=1)
    options = ("--rate", "16000", "--quick", "--jobs", "1", "--json", "-", "--markdown", str(tmp_path / "report.md"))
    twin = tmp_path / "twin.onnx"
    shipped = find_model("default")
    assert shipped is not None
    twin.write_bytes(shipped.read_bytes())
    result = CliRunner().invoke(app, ["evaluate", "default", str(twin), "--data", str(data), *options])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    lines = {
        line["system"]: line["scores"]["lsd"]["value"]
        for line in report["summaries"]
        if line["kind"] == "protocol" and line["group"] == "all"
    }
    assert list(lines) == ["sinc", "default", "twin"]
    assert lines["default"] == pytest.approx(lines["twin"]) and lines["default"] < lines["sinc"]
    assert {mark["what"].split(",")[0] for mark in report["marks"]} >= {
        "LSD",
        "one hop",
        "high band in digital silence",
    }
    assert "AP-BWE" in (tmp_path / "report.md").read_text()


def test_an_unknown_rate_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["evaluate", "--data", str(tmp_path), "--rate", "9000"])
    assert isinstance(result.exception, FullbandError) and "9000" in str(result.exception)


def test_a_clip_is_matched_by_other_recordings_never_by_itself(tmp_path: Path) -> None:
    data = write_corpus(tmp_path / "voices", speakers=2, clips=2, seconds=2.0)
    section = signal.butter(2, 8_000.0, "high", fs=RATE_HZ, output="sos")
    for path in (data / "s0").iterdir():
        samples, _ = soundfile.read(path)
        soundfile.write(path, samples - 0.9 * signal.sosfiltfilt(section, samples), RATE_HZ, subtype="PCM_24")
    clips = find_clips(data, "test")
    dark, bright = ([clip for clip in clips if clip.speaker == speaker] for speaker in ("s0", "s1"))
    assert [matched.others(clip, clips) for clip in (dark[0], bright[1])] == [bright, dark]
    assert matched.others(dark[0], dark) == [dark[1]]
    shares: list[float] = []
    wanted = matched.match(clips, [16_000], find_systems(["default"]), 1, shares.append)
    assert sum(shares) == pytest.approx(1.0)
    by_speaker = {place.clip.speaker: system for place, system in wanted.items()}
    by_dark, by_bright = by_speaker["s1"], by_speaker["s0"]
    assert by_dark.level_db + by_dark.tilt_db < by_bright.level_db + by_bright.tilt_db - 6.0
    with pytest.raises(FullbandError, match="voices has one recording"):
        matched.match(clips[:1], [16_000], find_systems(["default"]), 1, shares.append)


def test_the_command_scores_with_the_microphone_known(tmp_path: Path) -> None:
    data = write_corpus(tmp_path / "voices", speakers=2, clips=1, seconds=2.0)
    command = ["evaluate", "--data", str(data), "--rate", "16000", "--quick", "--no-baseline", "--jobs", "1", "--json"]
    lsd = {}
    for extra in ([], ["--matched"]):
        result = CliRunner().invoke(app, [*command, "-", *extra])
        assert result.exit_code == 0, result.output
        (line,) = (x for x in json.loads(result.stdout)["summaries"] if (x["kind"], x["group"]) == ("protocol", "all"))
        lsd[line["system"]] = line["scores"]["lsd"]["value"]
    assert lsd["default, matched"] < lsd["default"]
    both = CliRunner().invoke(app, [*command, "-", "--matched", "--tilt", "3"])
    assert isinstance(both.exception, FullbandError) and "--tilt" in str(both.exception)
