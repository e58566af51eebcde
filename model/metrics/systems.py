"""What is scored: models, and the baselines that say what a score is worth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from realtime.backends.wavfile import FileStream, process
from realtime.engine import EngineSettings
from realtime.errors import FullbandError
from realtime.paths import find_model

from ..degrade.filters import decimate, upsample
from .spectral import SAMPLE_RATE_HZ, Samples

#: Baselines and what they are.
BASELINES = {
    "sinc": "the low band alone",
    "fold": "the low band's mirror images at their own level (spectral folding)",
    "oracle": "noise under the original's own envelope: the ceiling of shaping noise",
}

#: The oracle's resolution and crossover are those of the default network: 24 bands every 4 ms.
ORACLE_BANDS = 24
ORACLE_WINDOW = 384
ORACLE_CROSSOVER = (0.90, 0.96)


#: A call before the clip, and how long it is muted at the end.
CALL_S = 20.0
MUTED_S = 1.0


@dataclass(frozen=True)
class System:
    """A *name* for tables; *path* is a model file or a checkpoint, None a baseline of that name.

    *hosted*: what the host makes of the model file, its guards against noise and stray output included. *in_call*: what
    a model makes of a voice that has been heard for :data:`CALL_S` before, then muted. *level_db* and *tilt_db*: what
    the listener wishes of the high band.
    """

    name: str
    path: Path | None = None
    hosted: bool = False
    in_call: bool = False
    level_db: float = 0.0
    tilt_db: float = 0.0


@dataclass(frozen=True)
class Given:
    """What a system gets: the low band at 48 kHz and its cutoff; the oracle gets the original too."""

    low: Samples
    cutoff_hz: float
    wanted: Samples | None = None


def find_systems(
    names: Sequence[str],
    *,
    hosted: bool = False,
    in_call: bool = False,
    level_db: float = 0.0,
    tilt_db: float = 0.0,
    matched: bool = False,
) -> list[System]:
    """Systems by shipped names, paths of .onnx files or of checkpoints (.pt), which cannot be *hosted*.

    *matched* is part of their names alone.
    """
    paths = []
    for name in names:
        path = Path(name)
        if path.suffix == ".pt":
            if hosted:
                raise FullbandError(f"{path}: the host runs no checkpoint; `fullband export` makes a model of it")
            if not path.is_file():
                raise FullbandError(f"{path}: no such checkpoint; `fullband train` writes one")
            paths.append(path)
            continue
        found = find_model(name)
        if found is None:
            raise FullbandError("'none' is no model to score", exit_status=2)
        paths.append(found)
    # A checkpoint is named by its run; names that are not unique get their folder before them.
    labels = [path.parent.name if path.suffix == ".pt" else path.stem for path in paths]
    unique = [
        label if labels.count(label) == 1 and label not in BASELINES else f"{path.parent.name}/{path.stem}"
        for label, path in zip(labels, paths, strict=True)
    ]
    if len(set(unique)) < len(unique):
        unique = [str(path) for path in paths]
    how = (", hosted" if hosted else "") + (", in a call" if in_call else "")
    how += ", matched" if matched else ""
    how += (f", level {level_db:+g}" if level_db else "") + (f", tilt {tilt_db:+g}" if tilt_db else "")
    return [
        System(label + how, path, hosted, in_call, level_db, tilt_db) for label, path in zip(unique, paths, strict=True)
    ]


def estimate(system: System, given: Sequence[Given]) -> list[Samples]:
    """What *system* makes of each of *given*: the whole band, aligned and as long. One batch."""
    if system.in_call:
        return _in_call(system, given)
    lows = [one.low for one in given]
    if system.path is not None and system.hosted:
        return [_through_host(system.path, system, one) for one in given]
    if system.path is not None:
        return _model(system.path, system, given)
    if system.name == "sinc":
        return lows
    if system.name == "fold":
        return [low + _images(low, one.cutoff_hz) for low, one in zip(lows, given, strict=True)]
    if system.name == "oracle":
        return [low + _oracle(one) for low, one in zip(lows, given, strict=True)]
    raise ValueError(f"no baseline {system.name!r}")


def _in_call(system: System, given: Sequence[Given]) -> list[Samples]:
    muted = np.zeros(round(MUTED_S * SAMPLE_RATE_HZ), np.float32)
    calls = []
    for one in given:
        times = 1 + math.ceil(CALL_S * SAMPLE_RATE_HZ / len(one.low))
        calls.append(replace(one, low=np.concatenate([*[one.low] * times, muted, one.low])))
    heard = estimate(replace(system, in_call=False), calls)
    return [whole[-len(one.low) :] for whole, one in zip(heard, given, strict=True)]


def _model(path: Path, system: System, given: Sequence[Given]) -> list[Samples]:
    longest = max(len(one.low) for one in given)
    lows = np.stack([np.pad(one.low, (0, longest - len(one.low))) for one in given])
    controls = np.array([[one.cutoff_hz, system.level_db, system.tilt_db] for one in given], np.float32)
    columns = np.split(controls, 3, axis=1)
    if path.suffix == ".pt":
        output, replaces = _run_checkpoint(path, lows, columns), False
    else:
        output, replaces = _run_file(path, lows, columns)
    whole = output if replaces else lows + output
    return [row[: len(one.low)] for row, one in zip(whole, given, strict=True)]


def _through_host(path: Path, system: System, given: Given) -> Samples:
    with closing(FileStream(1, SAMPLE_RATE_HZ, EngineSettings(path, cutoff_hz=given.cutoff_hz))) as stream:
        stream.engine.wishes.set_high_level_db(system.level_db)
        stream.engine.wishes.set_high_tilt_db(system.tilt_db)
        return np.concatenate(list(process([given.low[None]], stream)), axis=1)[0]


@cache
def _session(path: Path) -> Any:
    from ..stream import open_session

    return open_session(path)


def _run_file(path: Path, lows: Samples, controls: Sequence[Samples]) -> tuple[Samples, bool]:
    from ..stream import Stream

    session = _session(path)
    mode = session.get_modelmeta().custom_metadata_map.get("mode")
    return Stream(session, batch=len(lows)).run(lows, *controls), mode == "replace"


@cache
def _network(path: Path) -> Any:
    import torch

    from ..training.trainer import load_average

    torch.set_num_threads(1)
    return load_average(path)


def _run_checkpoint(path: Path, lows: Samples, controls: Sequence[Samples]) -> Samples:
    import torch

    # The last hop of a whole signal is incomplete, and it must be a whole number of hops: pad, then cut.
    padding = -lows.shape[1] % 960 + 960
    with torch.inference_mode():
        padded = torch.from_numpy(np.pad(lows, ((0, 0), (0, padding))))
        high = _network(path)(padded, *map(torch.from_numpy, controls))
    return np.asarray(high.numpy()[:, : lows.shape[1]])


def _images(low: Samples, cutoff_hz: float) -> Samples:
    """What zero-stuffing without a filter would leave above the cutoff."""
    rate_hz = int(2.0 * cutoff_hz)
    ratio = SAMPLE_RATE_HZ // rate_hz
    stuffed = np.zeros_like(low)
    stuffed[::ratio] = ratio * low[::ratio]
    return np.asarray(stuffed - upsample(decimate(low, np.ones(1), ratio), rate_hz)[: len(low)])


def _bands(bins_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Triangles [bands, bins] between centres equally far apart in ERB number; they sum to one."""
    first, last = (21.4 * np.log10(1.0 + 0.00437 * edge_hz) for edge_hz in (3_500.0, 23_500.0))
    numbers = np.linspace(first, last, ORACLE_BANDS)
    centres_hz = (10.0 ** (numbers / 21.4) - 1.0) / 0.00437
    return np.stack([np.interp(bins_hz, centres_hz, corner) for corner in np.eye(ORACLE_BANDS)])


def _oracle(given: Given) -> Samples:
    """Noise with the original's energy in every band and frame, from the crossover up."""
    if given.wanted is None:
        raise ValueError("the oracle needs the original")
    size, hop = ORACLE_WINDOW, ORACLE_WINDOW // 2
    count = -(-len(given.wanted) // hop) + 1
    padded = np.pad(given.wanted, (hop, (count + 1) * hop - len(given.wanted) - hop))
    window = np.sin(np.pi * (np.arange(size) + 0.5) / size)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    power = np.abs(fft.rfft(frames * window, axis=-1)) ** 2
    bins_hz = fft.rfftfreq(size, 1.0 / SAMPLE_RATE_HZ)
    bands = _bands(bins_hz)
    # The window takes a share of the power that overlapping the frames of noise gives back in full.
    power /= np.mean(window**2)
    amplitude = np.sqrt(power @ bands.T / bands.sum(axis=1)) @ bands
    start, end = ORACLE_CROSSOVER
    rise = np.clip((bins_hz / given.cutoff_hz - start) / (end - start), 0.0, 1.0)
    generator = np.random.default_rng(0)
    noise = generator.standard_normal((2, *amplitude.shape)) * np.sqrt(0.5)
    shaped = fft.irfft((noise[0] + 1j * noise[1]) * amplitude * rise, axis=-1) * window
    result = np.zeros((len(shaped) + 1, hop))
    result[:-1] += shaped[:, :hop]
    result[1:] += shaped[:, hop:]
    return np.asarray(result.reshape(-1)[hop : hop + len(given.wanted)], dtype=np.float32)
