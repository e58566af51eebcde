"""The marks the project set itself, and how a model does against them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..metrics.evaluation import ALL, CHAIN, Evaluation
from ..metrics.facts import Facts

#: By input rate: LSD on all PCM test clips, then LSD and ViSQOL on those of VCTK's chain.
LSD_ALL = {8_000: 1.03, 12_000: 0.95, 16_000: 0.90, 24_000: 0.80}
LSD_CHAIN = {8_000: 0.90, 12_000: 0.90, 16_000: 0.83, 24_000: 0.70}
VISQOL_CHAIN = {8_000: 3.1, 12_000: 3.1, 16_000: 3.3, 24_000: 3.8}
VISQOL_ALL = {16_000: 3.2}

LSD_PASS = 0.05
LOW_SNR_DB = 40.0
PAUSE_DB = 3.0
CROSSOVER_DB = 2.0
NOISE_GAIN_DB = 3.0
STEP_DB = 2.0
#: Ours: a microphone is muted more often than a voice steps.
MUTED_DB = 2.0
SILENCE_DBFS = -90.0
HOP_MS = 0.4
#: Where the original's modulation at the pitch is .41, that of the output shall be .35.
MODULATION_SHARE = 0.35 / 0.41
LATENCY_MS = {"low-latency": 5.0}
DEFAULT_LATENCY_MS = 10.0


@dataclass(frozen=True)
class Mark:
    """One mark: *wanted* and *measured* as text, and whether it is met."""

    system: str
    what: str
    wanted: str
    measured: str
    met: bool

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "system": self.system,
            "what": self.what,
            "wanted": self.wanted,
            "measured": self.measured,
            "met": self.met,
        }


def judge(evaluation: Evaluation, facts: list[Facts], system: str) -> list[Mark]:
    """All marks that *evaluation* says something about."""
    marks: list[Mark] = []

    def at_most(what: str, limit: float, value: float, digits: int, unit: str = "") -> None:
        text = f"≤ {limit:.{digits}f}{unit}"
        marks.append(Mark(system, what, text, f"{value:.{digits}f}{unit}", value <= limit))

    def at_least(what: str, limit: float, value: float, digits: int, unit: str = "") -> None:
        text = f"≥ {limit:.{digits}f}{unit}"
        marks.append(Mark(system, what, text, f"{value:.{digits}f}{unit}", value >= limit))

    for group, limits, scores in ((ALL, LSD_ALL, VISQOL_ALL), (CHAIN, LSD_CHAIN, VISQOL_CHAIN)):
        for line in evaluation.find(group, "protocol", system=system):
            rate = f"{line.rate_hz / 1000:g} kHz, {group}"
            if line.rate_hz in limits:
                at_most(f"LSD, {rate}", limits[line.rate_hz], line.scores["lsd"].value, 3)
            if line.rate_hz in scores and "visqol" in line.scores:
                at_least(f"ViSQOL, {rate}", scores[line.rate_hz], line.scores["visqol"].value, 2)
    for line in evaluation.find(ALL, "protocol", system=system):
        rate = f"{line.rate_hz / 1000:g} kHz"
        at_most(f"low band passed: LSD below 0.9 of the cutoff, {rate}", LSD_PASS, line.scores["lsd_pass"].value, 3)
        at_least(f"low band's SNR, {rate}", LOW_SNR_DB, line.scores["low_snr_db"].value, 1, " dB")
        if "pause_error_db" in line.scores:
            at_most(f"level in pauses, off by, {rate}", PAUSE_DB, abs(line.scores["pause_error_db"].value), 1, " dB")
        if "modulation" in line.scores:
            share = line.scores["modulation"].value / line.scores["modulation_wanted"].value
            at_least(f"modulation at the pitch, of the original's, {rate}", MODULATION_SHARE, share, 2)
    filtered = evaluation.find(ALL, "filter", system=system)
    if filtered:
        worst = max(filtered, key=lambda line: abs(line.scores["crossover_error_db"].value))
        where = f"{worst.condition}, {worst.rate_hz / 1000:g} kHz"
        error_db = abs(worst.scores["crossover_error_db"].value)
        at_most(f"crossover, worst of {len(filtered)} filters ({where}), off by", CROSSOVER_DB, error_db, 1, " dB")
    for probe in evaluation.probes:
        if probe.system == system:
            at_most("high band in digital silence", SILENCE_DBFS, max(probe.silence_dbfs), 0, " dBFS")
            at_most("steady noise above its cutoff gains", NOISE_GAIN_DB, max(probe.noise_gain_db), 1, " dB")
            at_most("ratio of bands after a step of level, off by", STEP_DB, max(probe.step_error_db), 1, " dB")
            at_most("high band of a voice after digital silence, off by", MUTED_DB, max(probe.muted_error_db), 1, " dB")
    for fact in facts:
        if fact.system == system:
            limit = LATENCY_MS.get(fact.name, DEFAULT_LATENCY_MS)
            at_most("algorithmic latency with the resampler", limit, fact.algorithmic_ms, 1, " ms")
            at_most("one hop, median", HOP_MS, fact.hop_ms_p50, 2, " ms")
    return marks
