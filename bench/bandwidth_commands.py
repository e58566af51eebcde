"""``fullband bench bandwidth`` and ``noise``: from recordings to a report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from realtime.errors import FullbandError
from realtime.paths import find_model

from . import bandwidth, bandwidth_noise, noise
from .report.document import Document, Table, columns, rounded

_PATHS = columns(
    ("case", "case"), ("edge_hz", "edge Hz", ".0f"), ("right_percent", "right %", ".1f"),
    ("p90_error_percent", "p90 off %", ".1f"), ("median_s", "median s", ".2f"), ("p90_s", "p90 s", ".2f"),
    ("never", "never", "d"), ("wrong_first", "wrong first", "d"), ("flips_per_minute", "flips/min", ".2f"),
)  # fmt: skip
_PATHS_NOTE = (
    f"The edge is where what comes out is {bandwidth.EDGE_DB:g} dB down. Right: the middle of the crossover is within "
    f"{100 * bandwidth.TOLERANCE:g} % of it, half an auditory filter, of the time after the first second of speech; "
    "full: nothing is added to what is there (recordings that reach 20 kHz). Seconds are those of speech until the "
    "first right opinion."
)
_NOISES = columns(
    ("noise", "noise"), ("by", "comes by"), ("level_dbfs", "dBFS", "g"), ("minutes", "minutes", ".1f"),
    ("flips", "false flips", "d"),
)  # fmt: skip
_GAINS = columns(
    ("colour", "noise"), ("level_dbfs", "dBFS", "g"), ("cutoff_hz", "cutoff Hz", "g"), ("full_band", "goes on above"),
    ("first_step_db", "step dB, at first", ".1f"), ("later_step_db", "later", ".1f"),
    ("first_gain_db", "gain dB, at first", ".1f"), ("later_gain_db", "later", ".1f"),
)  # fmt: skip
_GAINS_NOTE = (
    "Step: what is added above the cutoff against the noise below it, by density. Gain: what a noise that goes on "
    "above the cutoff grows by there. At first: half a second to two; later: from five seconds on; -200 dB is nothing."
)
_VOICES = columns(
    ("over", "voices"), ("cutoff_hz", "cutoff Hz", "g"), ("recordings", "recordings", "d"),
    ("lsd_guarded", "LSD guarded", ".4f"), ("lsd_free", "not guarded", ".4f"), ("changed", "changed", "d"),
)  # fmt: skip
_VOICES_NOTE = (
    "After four seconds of the noise alone, and over it, from the first sound on. Changed: recordings that have a "
    "sample within the voice which the guard makes another."
)


def _path_row(row: bandwidth.Row) -> dict[str, Any]:
    percents = {
        "right_percent": 100.0 * row.right,
        "p90_error_percent": None if row.p90_error is None else 100.0 * row.p90_error,
    }
    return rounded({**asdict(row), **percents})


def bandwidth_run(data: Path, only: list[str], streams: int, progress: Callable[[str], None]) -> Document:
    """Measure the detector. *only* leaves the noises out unless it names them."""
    document = Document("bandwidth", {"data": data.name, "only": only, "streams": streams})
    rows = bandwidth.run(data, only, streams, progress)
    noises = bandwidth_noise.run(data, progress) if not only or "noise" in only else []
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
        flips, minutes = sum(row.flips for row in noises), sum(row.minutes for row in noises)
        document.verdicts.append(f"{minutes:.0f} minutes without a voice: {flips} false flips.")
    return document


def noise_run(data: Path, most: int, model_name: str, progress: Callable[[str], None]) -> Document:
    """Measure what noise becomes, and what voices lose."""
    model = find_model(model_name)
    if model is None:
        raise FullbandError("without a model nothing is added to noise", exit_status=2)
    document = Document("noise", {"data": data.name, "voices": most, "model": model_name})
    gains = [rounded(asdict(row)) for row in noise.run(model, progress)]
    costs = noise.run_voices(model, data, most, progress)
    voices = [
        {**asdict(cost), "over": "clean" if cost.snr_db is None else f"{cost.snr_db:g} dB over noise"} for cost in costs
    ]
    document.tables.append(Table("Steady noise without a voice", _GAINS, gains, _GAINS_NOTE))
    document.tables.append(Table("Voices", _VOICES, voices, _VOICES_NOTE))
    document.figures = {"gains": gains, "voices": voices}
    most_db = max(float(row["later_step_db"]) for row in gains)
    worst = max(cost.lsd_guarded - cost.lsd_free for cost in costs)
    document.verdicts.append(
        f"Noise is extended by {most_db:.0f} dB at most from five seconds on; voices lose {worst:+.4f} of LSD at most."
    )
    return document
