"""Pictures: losses of training runs, and spectrograms for the page."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.errors import FullbandError

#: Fields of a line of the log that are no losses.
_BESIDE = ("step", "elapsed_s", "learning_rate")

#: Share of the run that the smooth line averages over.
_SMOOTHING = 0.03

_COLUMNS = 3

_WINDOW_SAMPLES = 1_024
_RANGE_DB = (-110.0, -20.0)


def read_log(run: Path) -> dict[str, NDArray[np.float64]]:
    """The columns of `log.jsonl` in the folder *run*; NaN where a line lacks a field.

    A last line that is torn, as of a run that is going on, is left out.
    """
    path = run / "log.jsonl" if run.is_dir() else run
    try:
        text = path.read_text()
    except OSError as error:
        raise FullbandError(f"cannot read {path}: {error.strerror}; `fullband train` writes it") from None
    lines: list[dict[str, float]] = []
    for line in text.splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    if not lines:
        raise FullbandError(f"{path}: nothing is logged yet; a line is written every few steps")
    names = list(dict.fromkeys(name for line in lines for name in line))
    return {name: np.array([line.get(name, math.nan) for line in lines], dtype=np.float64) for name in names}


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over a few neighbours, fewer at the ends, NaN left out."""
    half = max(1, round(_SMOOTHING * len(values)))
    known = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    place = np.arange(len(values))
    low, high = np.maximum(place - half, 0), np.minimum(place + half + 1, len(values))
    total, count = sums[high] - sums[low], counts[high] - counts[low]
    return np.where(known, total / np.maximum(count, 1), math.nan)


def plot_losses(runs: Sequence[Path], target: Path | None = None) -> Path:
    """Draw every loss of one run, or of several over each other, as a PNG; gives its path.

    *runs* are folders with a `log.jsonl`; without *target* the picture is `loss.png` in the first of them.
    """
    from matplotlib.figure import Figure

    logs = {run.name or str(run): read_log(run) for run in runs}
    names = list(dict.fromkeys(name for log in logs.values() for name in log if name not in _BESIDE))
    panels = [*names, *(["learning_rate"] if any("learning_rate" in log for log in logs.values()) else [])]
    rows = -(-len(panels) // _COLUMNS)
    columns = min(len(panels), _COLUMNS)
    figure = Figure(figsize=(4.2 * columns, 2.7 * rows + 0.4), dpi=110, layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, squeeze=False)
    for axis, name in zip(axes.flat, panels, strict=False):
        for place, (label, log) in enumerate(logs.items()):
            if name not in log:
                continue
            colour = f"C{place}"
            if name == "learning_rate":
                axis.plot(log["step"], log[name], color=colour, lw=1.5, label=label)
                continue
            axis.plot(log["step"], log[name], color=colour, lw=0.8, alpha=0.35)
            axis.plot(log["step"], _smooth(log[name]), color=colour, lw=1.8, label=label)
        axis.set_title(name.replace("_", " "), loc="left", fontsize=10)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in list(axes.flat)[len(panels) :]:
        axis.set_visible(False)
    if len(logs) > 1:
        axes.flat[0].legend(frameon=False, fontsize=8)
    minutes = max(float(log["elapsed_s"][-1]) / 60.0 for log in logs.values() if "elapsed_s" in log)
    steps = max(int(log["step"][-1]) for log in logs.values())
    figure.supxlabel("step", fontsize=10)
    figure.suptitle(f"{', '.join(logs)}: {steps} steps in {minutes:.0f} minutes", fontsize=11)
    path = target or (runs[0] if runs[0].is_dir() else runs[0].parent) / "loss.png"
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        raise FullbandError(f"cannot write {path}: {error.strerror}") from None
    return path


def spectrogram_png(
    samples: NDArray[np.float32], rate_hz: int = 48_000, *, pixels: tuple[int, int] = (900, 300)
) -> bytes:
    """A bare spectrogram of *samples*, 0 Hz to half the rate, -110 to -20 dBFS, as PNG of about *pixels*."""
    from matplotlib import colormaps
    from PIL import Image

    width, height = pixels
    padded = np.pad(samples, _WINDOW_SAMPLES // 2)
    starts = np.linspace(0, max(len(padded) - _WINDOW_SAMPLES, 0), width).astype(int)
    padded = np.pad(padded, (0, max(0, _WINDOW_SAMPLES - len(padded))))
    window = np.hanning(_WINDOW_SAMPLES).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW_SAMPLES)[starts] * window
    magnitude = np.abs(np.fft.rfft(frames, axis=1)) * 2.0 / window.sum()
    level_db = 20.0 * np.log10(np.maximum(magnitude, 1e-7))
    share = np.clip((level_db - _RANGE_DB[0]) / (_RANGE_DB[1] - _RANGE_DB[0]), 0.0, 1.0)
    colours: Any = colormaps["magma"]
    picture = Image.fromarray(colours(share.T[::-1], bytes=True)[..., :3])
    buffer = io.BytesIO()
    # A palette holds a colour map as well as full colour does, in a third of the bytes.
    picture.resize((width, height)).quantize(128).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
