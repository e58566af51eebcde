"""What a system does with signals that are not plain speech: silence, steady noise, steps of level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import conditions, spectral
from .scores import as_file
from .spectral import SAMPLE_RATE_HZ, Samples
from .systems import MUTED_S, Given, System, estimate
from .waveform import level_dbfs

#: Levels of the steady noise: a quiet room's and a loud fan's.
NOISE_DBFS = (-50.0, -30.0)

#: Gains that a voice is stepped through, a second each; what the first tenth after a step does is transition.
STEPS_DB = (0.0, -20.0, 0.0, -10.0, 6.0, -6.0)
SETTLING_S = 0.1

#: Mean square (-100 dBFS) of what is no silence.
HEARD_POWER = 1e-10

#: A voice speaks where it is less than 40 dB below its mean, in pieces of 10 ms of which a second has ten or more.
SPEAKING_POWER = 1e-4
_PIECE_SAMPLES = 480
_FEWEST_PIECES = 10

#: A high band 60 dB below the low one is none.
NOTHING_ADDED = 1e-6


@dataclass(frozen=True)
class Probe:
    """One system. Lists hold one value for each of *rates_hz*; the high band is what the system adds.

    *silence_dbfs*: high band in digital silence after noise. *noise_dbfs*: high band for noise at -50 dBFS.
    *noise_gain_db*: level above the cutoff of the output over that of the input, both as 16-bit files, for the
    worse of the two noises. *noise_density_db*: power per Hz above the cutoff over that below it, the same noise.
    *step_error_db*: largest change of the ratio of high to low band when a voice is made louder or softer, where it
    speaks: in a gated pause both bands are below anything that is heard. *muted_error_db*: change of the high band's
    level, pauses and all, when a second of digital silence comes before a voice.
    """

    system: str
    rates_hz: tuple[int, ...]
    silence_dbfs: list[float]
    noise_dbfs: list[float]
    noise_gain_db: list[float]
    noise_density_db: list[float]
    step_error_db: list[float]
    muted_error_db: list[float]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def _mean_power(samples: Samples, low_hz: float, high_hz: float = 24_000.0) -> float:
    """Power per bin between two frequencies over the last second of a file of *samples*."""
    spectrum = spectral.power_spectrum(as_file(samples[-SAMPLE_RATE_HZ:]))
    return float(spectrum[2:-2, spectral.edge_bin(low_hz) : spectral.edge_bin(high_hz)].mean())


def _db(ratio: float) -> float:
    return float(10.0 * np.log10(ratio + 1e-30))


def probe(system: System, rates_hz: Sequence[int], voices: Sequence[Samples]) -> Probe:
    """Measure *system*; *voices* are clips of speech at 48 kHz, of which the first six seconds are used."""
    measured = [_at_rate(system, rate_hz, voices) for rate_hz in rates_hz]
    return Probe(system.name, tuple(rates_hz), *(list(values) for values in zip(*measured, strict=True)))


def _at_rate(system: System, rate_hz: int, voices: Sequence[Samples]) -> tuple[float, ...]:
    """The values of a :class:`Probe` in their order."""
    way = conditions.protocol(rate_hz)
    cutoff_hz = way.cutoff_hz
    second = SAMPLE_RATE_HZ
    white = np.random.default_rng(0).standard_normal(3 * second).astype(np.float32)
    hisses = [white * np.float32(10.0 ** (level / 20.0)) for level in NOISE_DBFS]
    interrupted = hisses[-1] * (np.arange(3 * second) < second)
    given = [Given(way.apply(one), cutoff_hz, one) for one in (*hisses, interrupted.astype(np.float32))]
    # The filters' own ringing ends well before the last second; there the input is exactly zero.
    *noisy, silent = estimate(system, given)
    above_hz = 1.05 * cutoff_hz
    gains = [
        _db(_mean_power(out, above_hz) / _mean_power(one.low, above_hz)) for out, one in zip(noisy, given, strict=False)
    ]
    densities = [_db(_mean_power(out, above_hz) / _mean_power(out, 100.0, 0.8 * cutoff_hz)) for out in noisy]
    highs = [out[-second:] - one.low[-second:] for out, one in ((silent, given[-1]), (noisy[0], given[0]))]
    spoken = [Given(way.apply(voice), cutoff_hz, voice) for voice in voices]
    step_db, muted_db = _step_error_db(system, spoken), muted_error_db(system, spoken)
    return level_dbfs(highs[0]), level_dbfs(highs[1]), max(gains), max(densities), step_db, muted_db


def _powers(samples: Samples) -> NDArray[np.float64]:
    """Mean squares of the pieces."""
    whole = samples[: len(samples) // _PIECE_SAMPLES * _PIECE_SAMPLES].astype(np.float64)
    return np.asarray(np.square(whole).reshape(-1, _PIECE_SAMPLES).mean(axis=1))


def _step_error_db(system: System, given: Sequence[Given]) -> float:
    second = SAMPLE_RATE_HZ // _PIECE_SAMPLES
    worst = 0.0
    for one in given:
        low = one.low[: len(STEPS_DB) * SAMPLE_RATE_HZ]
        gain = np.repeat(10.0 ** (np.array(STEPS_DB) / 20.0), SAMPLE_RATE_HZ)[: len(low)].astype(np.float32)
        stepped_low = gain * low
        steady, stepped = estimate(system, [Given(x, one.cutoff_hz, one.wanted) for x in (low, stepped_low)])
        heard = _powers(low)
        speaking = heard > SPEAKING_POWER * heard.mean()
        highs = [_powers(steady - low), _powers(stepped - stepped_low)]
        for start in range(0, len(heard) - second + 1, second):
            pieces = np.arange(start + round(SETTLING_S * second), start + second)
            pieces = pieces[speaking[pieces]]
            if len(pieces) < _FEWEST_PIECES:
                continue
            low_power, steady_power, stepped_power = (float(power[pieces].mean()) for power in (heard, *highs))
            # Where nothing is added there is no ratio to keep.
            if steady_power > NOTHING_ADDED * low_power:
                step_db = STEPS_DB[start // second]
                worst = max(worst, abs(_db(stepped_power) - _db(steady_power) - step_db))
    return worst


def muted_error_db(system: System, given: Sequence[Given]) -> float:
    """What digital silence before each of *given* changes in the mean level of its high band: the largest, in dB."""
    before = np.zeros(round(MUTED_S * SAMPLE_RATE_HZ), np.float32)
    worst = 0.0
    for one in given:
        low = one.low[: len(STEPS_DB) * SAMPLE_RATE_HZ]
        late = np.concatenate([before, low])
        plain, after = estimate(system, [Given(x, one.cutoff_hz, x) for x in (low, late)])
        heard, *highs = (_powers(x) for x in (low, plain - low, after[len(before) :] - low))
        pieces = (heard > HEARD_POWER) & (highs[0] > NOTHING_ADDED * heard)
        if pieces.any():
            ratio_db = 10.0 * np.log10((highs[1][pieces] + 1e-30) / highs[0][pieces])
            worst = max(worst, abs(float(ratio_db.mean())))
    return worst
