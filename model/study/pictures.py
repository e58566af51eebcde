"""Pictures of the report."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..report.plots import read_log, spectrogram_png
from .evaluation import Standing
from .measures import Samples
from .pairs import FULL_SCALE

_DPI = 80
_SCATTERED = 4_000


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=_DPI, layout="constrained")


def save(figure: Any, target: Path) -> Path:
    """Write *figure* as a small PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    # A palette holds a drawing as well as full colour does, in a third of the bytes.
    Image.open(buffer).convert("RGB").quantize(64).save(target, optimize=True)
    return target


def losses(runs: Sequence[Path], target: Path) -> Path:
    """Training and validation loss of every run that has a log, in steps of 16 bit squared."""
    figure = _figure(10, 3.6)
    axes = figure.subplots(1, 2, sharey=True)
    for place, run in enumerate(run for run in runs if (run / "log.jsonl").exists()):
        log = read_log(run)
        axis = axes[int("inception" in run.name)]
        style = {"color": f"C{place % 6}"}
        axis.plot(log["step"], log["mse"], lw=0.8, alpha=0.6, label=run.name, **style)
        if "validation_mse" in log:
            known = np.isfinite(log["validation_mse"])
            axis.plot(log["step"][known], log["validation_mse"][known], "o-", ms=4, lw=1.6, **style)
    for axis, title in zip(axes, ("plain", "Inception"), strict=True):
        axis.set(title=f"{title}: training (thin) and validation (dots)", yscale="log", xlabel="step")
        axis.grid(alpha=0.25)
        if axis.lines:
            axis.legend(fontsize=7, frameon=False)
    axes[0].set_ylabel("mean squared error")
    return save(figure, target)


def rivals(standings: Sequence[Standing], target: Path) -> Path:
    """SNR against LSD: upwards and to the left is better."""
    figure = _figure(7, 4.4)
    axis = figure.subplots()
    for standing in standings:
        x, y = standing.mean("lsd"), standing.mean("snr_db")
        axis.plot(x, y, "o", color="C3" if standing.steps else "C0")
        axis.annotate(standing.name, (x, y), xytext=(5, 2), textcoords="offset points", fontsize=7)
    axis.set(xlabel="LSD (lower is better)", ylabel="SNR, dB (higher is better)")
    axis.grid(alpha=0.25)
    return save(figure, target)


def scatter(wanted: Samples, given: dict[str, Samples], target: Path) -> Path:
    """Original samples against what each of *given* made of them, in steps of 16 bit."""
    figure = _figure(3.4 * len(given), 3.5)
    axes = figure.subplots(1, len(given), sharex=True, sharey=True, squeeze=False)[0]
    chosen = np.random.default_rng(0).choice(wanted.size, min(wanted.size, _SCATTERED), replace=False)
    for axis, (name, samples) in zip(axes, given.items(), strict=True):
        first, second = FULL_SCALE * wanted.ravel()[chosen], FULL_SCALE * samples.ravel()[chosen]
        axis.plot(first, second, ".", ms=1.5, alpha=0.5)
        axis.axline((0.0, 0.0), slope=1.0, color="0.4", lw=0.8)
        axis.set(title=name, xlabel="original")
    axes[0].set_ylabel("given")
    return save(figure, target)


def spectrograms(sounds: dict[str, Samples], target: Path) -> Path:
    """One above the other, 0 to 24 kHz, on one scale."""
    from PIL import Image

    figure = _figure(9, 1.5 * len(sounds))
    axes = figure.subplots(len(sounds), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (name, samples) in zip(axes, sounds.items(), strict=True):
        picture = Image.open(io.BytesIO(spectrogram_png(samples, pixels=(480, 80)))).convert("RGB")
        extent = (0.0, len(samples) / 48_000.0, 0.0, 24.0)
        axis.imshow(np.asarray(picture), extent=extent, aspect="auto", interpolation="nearest")
        axis.set_title(name, loc="left", fontsize=9)
        axis.set_ylabel("kHz", fontsize=8)
    axes[-1].set_xlabel("seconds")
    return save(figure, target)
