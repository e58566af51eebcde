"""Every score of one estimate against its original, and what each is called."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace

import numpy as np

from . import perceptual, spectral, voice, waveform
from .spectral import Samples, Spectrum

#: Up to this fraction of the cutoff the low band passes untouched; above it filters fall and bands cross.
PASS_FRACTION = 0.9

#: Metrics are masked this far below a recording's own end, where its low-pass falls.
LIMIT_MARGIN_HZ = 500.0


@dataclass(frozen=True)
class Metric:
    """How a score is shown. *best* is the value of the original itself."""

    label: str
    unit: str
    digits: int
    best: str
    meaning: str


METRICS = {
    "lsd": Metric("LSD", "", 3, "0", "log-spectral distance, all bins, as the protocol has it"),
    "lsd_low": Metric("LSD-LF", "", 3, "0", "below the cutoff"),
    "lsd_high": Metric("LSD-HF", "", 3, "0", "above the cutoff"),
    "lsd_masked": Metric("LSD m.", "", 3, "0", "up to where the recording itself ends, less 500 Hz"),
    "lsd_high_masked": Metric("LSD-HF m.", "", 3, "0", "above the cutoff, up to where the recording itself ends"),
    "lsd_pass": Metric("LSD pass", "", 3, "0", "below 0.9 of the cutoff, not rounded to 16 bit: the untouched band"),
    "visqol": Metric("ViSQOL", "", 2, "4.7", "MOS-LQO, audio mode, 48 kHz"),
    "pesq": Metric("PESQ-WB", "", 2, "4.64", "MOS-LQO at 16 kHz, for 8 kHz input"),
    "snr_db": Metric("SNR", "dB", 1, "∞", "of the waveform; generating lowers it"),
    "si_sdr_db": Metric("SI-SDR", "dB", 1, "∞", "the same but for scale"),
    "low_snr_db": Metric("low SNR", "dB", 1, "∞", "of the waveform below 0.9 of the cutoff"),
    "level_error_db": Metric("level", "dB", 1, "0", "of the high band, in active frames, over the original's"),
    "pause_error_db": Metric("pauses", "dB", 1, "0", "of the high band, in pauses, over the original's"),
    "crossover_error_db": Metric("crossover", "dB", 1, "0", "level in the third of an octave around the cutoff"),
    "voiced_error_db": Metric("voiced", "dB", 1, "0", "level of the high band in voiced frames, over the original's"),
    "modulation": Metric("mod.", "", 2, "as mod. o.", "of the high band's envelope at the pitch, voiced frames"),
    "modulation_wanted": Metric("mod. o.", "", 2, "", "the same of the original"),
}

#: Scores whose typical value counts, not whose mean.
MEDIANS = frozenset({"crossover_error_db"})


@dataclass(frozen=True)
class Scores:
    """One estimate. NaN is what cannot be said of this clip; units and meanings are in `METRICS`."""

    lsd: float
    lsd_low: float
    lsd_high: float
    lsd_masked: float
    lsd_high_masked: float
    low_snr_db: float
    level_error_db: float
    pause_error_db: float
    crossover_error_db: float
    lsd_pass: float = math.nan
    snr_db: float = math.nan
    si_sdr_db: float = math.nan
    voiced_error_db: float = math.nan
    modulation: float = math.nan
    modulation_wanted: float = math.nan
    visqol: float = math.nan
    pesq: float = math.nan

    def as_dict(self) -> dict[str, float]:
        """By name, in the order of `METRICS`."""
        values = asdict(self)
        return {name: values[name] for name in METRICS}


@dataclass(frozen=True)
class Original:
    """A clip and what is computed of it once. *limit_hz*: above it the recording says nothing of the voice."""

    samples: Samples
    spectrum: Spectrum
    log_spectrum: Spectrum
    exact_spectrum: Spectrum
    voicing: voice.Voicing
    limit_hz: float


def as_file(samples: Samples) -> Samples:
    """Rounded to 16 bit: the protocol scores files, and the rounding noise is part of their high band."""
    return np.asarray(np.round(np.clip(samples, -1.0, 1.0) * 32_767.0) / 32_767.0, dtype=np.float32)


def prepare(samples: Samples, limit_hz: float = math.inf) -> Original:
    """What *samples*, at 48 kHz, are compared by."""
    rounded = as_file(samples)
    spectrum = spectral.power_spectrum(rounded)
    exact = spectral.power_spectrum(samples)
    return Original(rounded, spectrum, spectral.log_power(spectrum), exact, voice.find_voiced(rounded), limit_hz)


def score(
    given: Samples,
    original: Original,
    cutoff_hz: float,
    *,
    brief: bool = False,
    visqol: bool = False,
    pesq: bool = False,
) -> Scores:
    """Scores of *given*, aligned with the original and as long; *cutoff_hz* is where its input ended.

    *brief* leaves out all but the spectral scores and the ratio in the low band.
    """
    wanted, spectrum = original.samples, original.spectrum
    rounded = as_file(given)
    given_spectrum = spectral.power_spectrum(rounded)
    squares = (spectral.log_power(given_spectrum) - original.log_spectrum) ** 2
    edge = spectral.edge_bin(cutoff_hz)
    end = spectral.edge_bin(original.limit_hz) if math.isfinite(original.limit_hz) else None
    active_db, pause_db = spectral.high_level_errors_db(given_spectrum, spectrum, cutoff_hz)
    scores = Scores(
        lsd=spectral.distance_of_squares(squares),
        lsd_low=spectral.distance_of_squares(squares, 0, edge),
        lsd_high=spectral.distance_of_squares(squares, edge),
        lsd_masked=spectral.distance_of_squares(squares, 0, end),
        lsd_high_masked=spectral.distance_of_squares(squares, edge, end),
        low_snr_db=waveform.low_band_snr_db(rounded, wanted, cutoff_hz),
        level_error_db=active_db,
        pause_error_db=pause_db,
        crossover_error_db=spectral.crossover_error_db(given_spectrum, spectrum, cutoff_hz),
    )
    if brief:
        return scores
    passed = spectral.edge_bin(PASS_FRACTION * cutoff_hz)
    exact = spectral.power_spectrum(given)[:, :passed]
    return replace(
        scores,
        lsd_pass=spectral.log_spectral_distance(exact, original.exact_spectrum[:, :passed]),
        snr_db=waveform.snr_db(rounded, wanted),
        si_sdr_db=waveform.si_sdr_db(rounded, wanted),
        voiced_error_db=voice.voiced_level_error_db(rounded, wanted, original.voicing, cutoff_hz),
        modulation=voice.pitch_modulation(rounded, original.voicing, cutoff_hz),
        modulation_wanted=voice.pitch_modulation(wanted, original.voicing, cutoff_hz),
        visqol=perceptual.visqol(rounded, wanted) if visqol else math.nan,
        pesq=perceptual.pesq_wb(rounded, wanted) if pesq else math.nan,
    )
