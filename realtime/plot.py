"""Pictures of what the host did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import FullbandError

_WINDOW_SAMPLES = 1024
_HOP_SAMPLES = 256
_RANGE_DB = (-100.0, -20.0)
_MOST_COLUMNS = 3_000


def _levels_db(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Spectrogram [lines, columns] in dB of a full-scale sine; long signals are looked at in fewer places."""
    x = np.pad(x, (_WINDOW_SAMPLES // 2, _WINDOW_SAMPLES))
    starts = np.arange(0, len(x) - _WINDOW_SAMPLES + 1, _HOP_SAMPLES)
    if len(starts) > _MOST_COLUMNS:
        starts = starts[np.linspace(0, len(starts) - 1, _MOST_COLUMNS).astype(int)]
    window = np.hanning(_WINDOW_SAMPLES).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(x, _WINDOW_SAMPLES)[starts] * window
    magnitude = np.abs(np.fft.rfft(frames, axis=1)) * 2.0 / window.sum()
    return (20.0 * np.log10(np.maximum(magnitude, 1e-7))).T.astype(np.float32)


def spectrograms(
    path: Path, before: NDArray[np.float32], after: NDArray[np.float32], title: str, rate_hz: int = 48_000
) -> None:
    """Write a PNG with the spectrograms of two signals [samples], one above the other, on one scale."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 1, figsize=(11, 7), dpi=110, sharex=True, sharey=True, layout="constrained")
    picture: Any = None
    for axis, signal, name in zip(axes, (before, after), ("before", "after"), strict=True):
        picture = axis.imshow(
            _levels_db(signal),
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=_RANGE_DB[0],
            vmax=_RANGE_DB[1],
            extent=(0.0, max(len(signal), 1) / rate_hz, 0.0, rate_hz / 2000.0),
            interpolation="nearest",
        )
        axis.set_ylabel("kHz")
        axis.set_yticks(range(0, 25, 4))
        axis.set_title(name, loc="left", fontsize=10)
    axes[-1].set_xlabel("seconds")
    figure.suptitle(title, fontsize=12)
    figure.colorbar(picture, ax=axes, label="dBFS", pad=0.01)
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        raise FullbandError(f"cannot write {path}: {error.strerror}") from None
    finally:
        pyplot.close(figure)
