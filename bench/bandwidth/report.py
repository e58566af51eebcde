"""``fullband bench bandwidth`` and ``noise``: from recordings to a report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from realtime.errors import FullbandError
from realtime.paths import find_model

from ..report.document import Document, Table, columns, rounded
from . import cases, flips, noise

_PATHS = columns(
    ("case", "case"), ("edge_hz", "edge Hz", ".0f"), ("right_percent", "right %", ".1f"),
    ("p90_error_percent", "p90 off %", ".1f"), ("median_s", "median s", ".2f"), ("p90_s", "p90 s", ".2f"),
    ("never", "never", "d"), ("wrong_first", "wrong first", "d"), ("flips_per_minute", "flips/min", ".2f"),
)  # fmt: skip
_PATHS_NOTE = (
    f"The edge is where what comes out is {cases.EDGE_DB:g} dB down. Right: the middle of the crossover is within "
    f"{100 * cases.TOLERANCE:g} % of it, half an auditory filter, of the time after the first second of speech; "
    "full: nothing is added to what is there (recordings that reach 20 kHz). Seconds are those of speech until the "
    "first right opinion."
)
_NOISES = columns(
    ("noise", "noise"), ("by", "comes by"), ("level_dbfs", "dBFS", "g"), ("minutes", "minutes", ".1f"),
    ("flips", "false flips", "d"),
)  # fmt: skip
_GAINS = columns(
    ("colour", "noise"), ("level_dbfs", "dBFS", "g"), ("cutoff_hz", "cutoff Hz", "g"), ("full_band", "goes on above"),
    ("first_step_db", "step dB, at first", ".1f"), ("again_step_db", "again", ".1f"), ("later_step_db", "later", ".1f"),
    ("first_gain_db", "gain dB, at first", ".1f"), ("again_gain_db", "again", ".1f"), ("later_gain_db", "later", ".1f"),
)  # fmt: skip
_GAINS_NOTE = (
    "Step: what is added above the cutoff against the noise below it, by density. Gain: what a noise that goes on "
    "above the cutoff grows by there. At first: the first two seconds; again: those after two of digital silence; "
    "later: from five seconds on; -200 dB is nothing."
)
_VOICES = columns(
    ("over", "voices"), ("cutoff_hz", "cutoff Hz", "g"), ("recordings", "recordings", "d"),
    ("lsd_guarded", "LSD guarded", ".4f"), ("lsd_free", "not guarded", ".4f"), ("changed", "changed", "d"),
)  # fmt: skip
_VOICES_NOTE = (
    "After four seconds of the noise alone, and over it, from the first sound on. Changed: recordings that have a "
    "sample within the voice which the guard makes another."
)
_STARTS = columns(
    ("beginning", "voices begin"), ("cutoff_hz", "cutoff Hz", "g"), ("recordings", "recordings", "d"),
    ("lost_percent", "lost %", ".2f"), ("median_whole_ms", "whole after, ms", ".0f"), ("p90_whole_ms", "p90", ".0f"),
)  # fmt: skip
_STARTS_NOTE = (
    "Lost: of the energy of the high band in the first 0.3 s of a voice, by the guard. Whole: from then on the guard "
    "takes nothing."
)


def _path_row(row: cases.Row) -> dict[str, Any]:
    percents = {
        "right_percent": 100.0 * row.right,
        "p90_error_percent": None if row.p90_error is None else 100.0 * row.p90_error,
    }
    return rounded({**asdict(row), **percents})


def bandwidth_run(data: Path, only: list[str], streams: int, progress: Callable[[str], None]) -> Document:
    """Measure the detector. *only* leaves the noises out unless it names them."""
    document = Document("bandwidth", {"data": data.name, "only": only, "streams": streams})
    rows = cases.run(data, only, streams, progress)
    noises = flips.run(data, progress) if not only or "noise" in only else []
    if not rows and not noises:
        raise FullbandError(f"no case has '{only[0]}' in its name", exit_status=2)
    if rows:
        listed = [_path_row(row) for row in rows]
        document.tables.append(Table("Where a voice's band ends", _PATHS, listed, _PATHS_NOTE))
        document.figures["rows"] = listed
        ends = [row.right for row in rows]
        document.verdicts.append(
            f"{len(rows)} paths: right {100 * float(np.mean(ends)):.1f} % of the time, {100 * min(ends):.0f} % for the "
            f"worst; {float(np.mean([row.flips_per_minute for row in rows])):.2f} flips a minute."
        )
    if noises:
        listed = [{**asdict(row), "by": "the device" if row.own else "the voice's path"} for row in noises]
        document.tables.append(Table("No voice", _NOISES, listed))
        document.figures["noises"] = listed
        false, minutes = sum(row.flips for row in noises), sum(row.minutes for row in noises)
        document.verdicts.append(f"{minutes:.0f} minutes without a voice: {false} false flips.")
        document.problems += [
            f"{row.noise} at {row.level_dbfs:g} dBFS flips the cutoff {row.flips} times" for row in noises if row.flips
        ]
    return document


def noise_run(data: Path, most: int, model_name: str, progress: Callable[[str], None]) -> Document:
    """Measure what noise becomes, and what voices lose."""
    model = find_model(model_name)
    if model is None:
        raise FullbandError("without a model nothing is added to noise", exit_status=2)
    document = Document("noise", {"data": data.name, "voices": most, "model": model_name})
    rows = noise.run(model, progress)
    costs, starts = noise.run_voices(model, noise.read_voices(data, most), progress)
    gains = [rounded(asdict(row)) for row in rows]
    voices = [
        {**asdict(cost), "over": "clean" if cost.snr_db is None else f"{cost.snr_db:g} dB over noise"} for cost in costs
    ]
    begun = [rounded(asdict(start)) for start in starts]
    document.tables.append(Table("Steady noise without a voice", _GAINS, gains, _GAINS_NOTE))
    document.tables.append(Table("Voices", _VOICES, voices, _VOICES_NOTE))
    document.tables.append(Table("First words", _STARTS, begun, _STARTS_NOTE))
    document.figures = {"gains": gains, "voices": voices, "starts": begun}
    worst = max(cost.lsd_guarded - cost.lsd_free for cost in costs)
    step_db = max(max(_steps(row)) for row in rows)
    lost_percent = max(start.lost_percent for start in starts)
    document.verdicts.append(
        f"Noise is extended by {step_db:.0f} dB at most, from its first sample on; voices lose {worst:+.4f} of LSD at "
        f"most, first words {lost_percent:.1f} % of their high band's energy."
    )
    document.problems += noise_problems(rows, starts)
    return document


def _steps(row: noise.NoiseGain) -> tuple[float, float, float]:
    return row.first_step_db, row.again_step_db, row.later_step_db


def noise_problems(rows: list[noise.NoiseGain], starts: list[noise.VoiceStart]) -> list[str]:
    """What is extended though it is noise, at first, again or later, and first words that lose too much."""
    problems = []
    for row in rows:
        gains_db = [gain or 0.0 for gain in (row.first_gain_db, row.again_gain_db, row.later_gain_db)]
        if max(_steps(row)) > noise.MOST_STEP_DB or max(gains_db) > noise.MOST_GAIN_DB:
            problems.append(
                f"{row.colour} noise of {row.level_dbfs:g} dBFS, cutoff {row.cutoff_hz:g} Hz: extended by "
                f"{max(_steps(row)):.0f} dB, {max(gains_db):.1f} dB louder"
            )
    problems += [
        f"voices that begin {start.beginning}, cutoff {start.cutoff_hz:g} Hz, lose {start.lost_percent:.1f} % of "
        "their first word's high band"
        for start in starts
        if start.lost_percent > noise.MOST_LOST_PERCENT
    ]
    return problems
