"""What runs with a fault tell of it: clicks, samples lost, said twice or not heard, and the delay."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from realtime.statistics import Statistics

from ..signals.alignment import Alignment, align, on_clock
from ..signals.clicks import RATE_HZ, Clicks, find_clicks, thresholds
from ..signals.material import TELEPHONE_HZ, at_48_khz, telephone_voice
from .injection import PROBE_GAIN
from .table import AT_S, Fault

#: What the delay may be off by from what the host claims: on one clock, and on two that are steered.
_SAME_MS = 0.05
_STEERED_MS = 1.0

#: Around a jump of the delay no fault-free run can be laid beside what was heard; the probe is judged there, too.
_BLIND = RATE_HZ // 10

#: Before a device that has come back there is silence: so much of it lets the filter of the click search begin.
_LEAD = RATE_HZ // 50

#: Louder than this is not silent, and a resampler to 48 kHz spreads what comes by so many samples.
_SILENT = 1e-4
_SPREAD = 96


@dataclass(frozen=True)
class Heard:
    """A run: what was played [n] at 48 kHz, the delay in samples that the engine claims, and what was counted.

    Where a device died there is a *cut*: from sample *cut* on another one played, at the delay *delay_after*.
    """

    samples: NDArray[np.float32]
    delay: int
    delay_after: int
    statistics: Statistics
    xruns: int
    floor_xruns: int
    cut: int | None = None


@dataclass(frozen=True)
class Row:
    """What one fault did. *excess* is the largest jump over its threshold, found at *at_s*.

    *lost*, *repeated* and *unheard* are samples at 48 kHz, found in what was heard. *xruns* are times when the machine
    kept the simulated device itself waiting; *floor_xruns* the same of a thread that only sleeps, in the same seconds.
    """

    fault: str
    real_time: bool
    clicks: int
    largest_jump: float
    threshold: float
    excess: float
    at_s: float
    lost: int
    repeated: int
    unheard: int
    dull_seconds: float
    latency_before_ms: float
    latency_after_ms: float
    claimed_before_ms: float
    claimed_after_ms: float
    xruns: int
    floor_xruns: int
    hops: int
    deadline_misses: int
    skipped_hops: int
    bad_chunks: int
    problems: tuple[str, ...] = field(default=())

    @property
    def holds(self) -> bool:
        """Whether nothing was heard of it but a voice that was dull for a while."""
        return not self.problems


@lru_cache(maxsize=4)
def _voice(seconds: float) -> NDArray[np.float32]:
    voice = at_48_khz(telephone_voice(seconds))[0]
    voice.flags.writeable = False
    return voice


@lru_cache(maxsize=4)
def _probe_limit(seconds: float) -> NDArray[np.float64]:
    """Thresholds [n] along the voice when the network's signal is the voice at :data:`PROBE_GAIN`."""
    once = telephone_voice().shape[1] * RATE_HZ // TELEPHONE_HZ
    voice = _voice(seconds)
    limit = thresholds([voice[:once], PROBE_GAIN * voice[:once]])
    return np.resize(limit, len(voice))


@dataclass(frozen=True)
class _Part:
    """What one device played, and what was said meanwhile; *lead* samples before it belong to what is judged.

    *samples* goes on with *tail* samples of a run without fault, where the device died.
    """

    samples: NDArray[np.float32]
    said: NDArray[np.float64]
    limit: NDArray[np.float64]
    delay: int
    first: int
    silent: bool
    tail: NDArray[np.float32]


def _parts(heard: Heard, fault: Fault, reference: Heard | None) -> Iterator[_Part]:
    """*heard* cut where a device died, so that the cut itself is in no part."""
    ppm = fault.capture_ppm or 0.0
    said, limit = on_clock(_voice(fault.seconds), ppm), on_clock(_probe_limit(fault.seconds), ppm)
    nothing = np.zeros(0, np.float32)
    if heard.cut is None:
        yield _Part(heard.samples, said, limit, heard.delay, 0, False, nothing)
        return
    cut = heard.cut
    tail = reference.samples[cut:] if reference is not None else nothing
    yield _Part(heard.samples[:cut], said[:cut], limit, heard.delay, 0, False, tail)
    yield _Part(heard.samples[cut:], said[cut:], limit[cut:], heard.delay_after, cut, True, nothing)


def _limit(alignment: Alignment, limit: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """*limit* [m], which goes with what was said, laid along *count* samples of what was heard."""
    samples = np.arange(count)
    along = limit[np.clip(samples - alignment.at(samples), 0, len(limit) - 1)]
    for first, last in alignment.changes():
        # One signal ends at one delay while the other begins at another.
        around = slice(max(int(first) - _BLIND, 0), int(last) + _BLIND)
        along[around] = 2.0 * along[around].max()
    return along


def _clicks_of_probe(part: _Part, alignment: Alignment) -> Clicks:
    samples = np.concatenate([part.samples, part.tail])
    along = _limit(alignment, part.limit, len(samples))
    if part.silent:
        samples, along = np.pad(samples, (_LEAD, 0)), np.pad(along, (_LEAD, 0), mode="edge")
    found = find_clicks(samples, along)
    return found.later((part.first - (_LEAD if part.silent else 0)) / RATE_HZ)


def _against_reference(heard: Heard, alignment: Alignment, fault: Fault, reference: Heard) -> Clicks:
    voice = _voice(fault.seconds)
    dry = np.zeros(len(reference.samples))
    dry[reference.delay :] = voice[: len(dry) - reference.delay]
    # As the network's signal lies where it is heard, so does the threshold that comes of it.
    # A network that began anew makes another noise, as loud: of that, both are in the difference.
    network = reference.samples - dry
    limit = thresholds([dry, network, network])
    samples = np.arange(len(heard.samples))
    moved = alignment.at(samples) - reference.delay
    index = np.clip(samples - moved, 0, len(limit) - 1)
    difference = heard.samples - reference.samples[index]
    for first, last in alignment.changes():
        difference[max(int(first) - _BLIND, 0) : int(last) + _BLIND] = 0.0
    return find_clicks(difference, limit[index])


def _problems(row: Row, fault: Fault, silent: bool) -> tuple[str, ...]:
    found = []
    if row.clicks:
        found.append(f"{row.clicks} clicks" if row.clicks > 1 else "a click")
    if not fault.loses and row.lost + row.repeated + row.unheard:
        found.append("samples lost or repeated")
    allowed = _SAME_MS if fault.capture_ppm is None else _STEERED_MS
    off_ms = (row.latency_before_ms - row.claimed_before_ms, row.latency_after_ms - row.claimed_after_ms)
    if not all(abs(off) <= allowed for off in off_ms):
        found.append("the delay is another")
    if not silent:
        found.append("not silent at first")
    return tuple(found)


@dataclass
class _Findings:
    """What one run tells; *silent*: whether nothing was heard between the cut and the voice after it."""

    clicks: int = 0
    worst: Clicks | None = None
    lost: int = 0
    repeated: int = 0
    unheard: int = 0
    silent: bool = True
    latencies_ms: list[float] = field(default_factory=list)


def _listen(heard: Heard, probe: bool, fault: Fault, reference: Heard | None) -> _Findings:
    findings = _Findings()
    # A tail of the network's signal in the voice's own band is for 4 ms not unlike what is missing.
    strict = not probe or heard.statistics.dropouts == 0
    for part in _parts(heard, fault, reference):
        alignment = align(part.samples, part.said, part.delay, steered=fault.capture_ppm is not None, strict=strict)
        if not len(alignment.places):
            findings.latencies_ms += [float("nan")] * 2
            findings.unheard += len(part.samples)
            continue
        end_s = len(part.samples) / RATE_HZ
        before_ms = alignment.delay_ms(fault.before_s, max(AT_S, fault.before_s + 1.0))
        after_ms = alignment.delay_ms(end_s - 1.0, end_s)
        findings.latencies_ms += [before_ms, after_ms]
        findings.lost += alignment.lost
        findings.repeated += alignment.repeated
        findings.unheard += alignment.unheard
        if part.silent:
            quiet = part.samples[: max(part.delay - _SPREAD, 0)]
            findings.silent = bool(np.all(np.abs(quiet) < _SILENT))
        elif heard.cut is not None:
            findings.lost += round(1e-3 * after_ms * RATE_HZ)  # it had been said, and was never played
        if probe:
            found = _clicks_of_probe(part, alignment)
        elif reference is not None:
            found = _against_reference(heard, alignment, fault, reference)
        else:
            continue
        findings.clicks += found.count
        if findings.worst is None or found.excess > findings.worst.excess:
            findings.worst = found
    return findings


def judge(fault: Fault, runs: list[tuple[Heard, bool]], reference: Heard | None) -> Row:
    """What *runs* (and whether the probe was used in each) tell of *fault*: of all they tell, the worst.

    *reference* is without it: with the model's own signal, or where a device died, with the probe.
    """
    all_findings = [_listen(heard, probe, fault, reference) for heard, probe in runs]
    judged = [findings.worst for findings in all_findings if findings.worst is not None]
    worst = max(judged, key=lambda found: found.excess) if judged else None
    heard, _ = max(runs, key=lambda run: run[0].statistics.dull_seconds)
    statistics = heard.statistics
    row = Row(
        fault=fault.name,
        real_time=fault.real_time,
        clicks=max(findings.clicks for findings in all_findings),
        largest_jump=worst.largest_jump if worst else float("nan"),
        threshold=worst.threshold if worst else float("nan"),
        excess=worst.excess if worst else float("nan"),
        at_s=worst.at_s if worst else float("nan"),
        lost=max(findings.lost for findings in all_findings),
        repeated=max(findings.repeated for findings in all_findings),
        unheard=max(findings.unheard for findings in all_findings),
        dull_seconds=statistics.dull_seconds,
        latency_before_ms=all_findings[0].latencies_ms[0],
        latency_after_ms=all_findings[0].latencies_ms[-1],
        claimed_before_ms=1000.0 * heard.delay / RATE_HZ,
        claimed_after_ms=1000.0 * heard.delay_after / RATE_HZ,
        xruns=heard.xruns,
        floor_xruns=heard.floor_xruns,
        hops=statistics.hops,
        deadline_misses=statistics.deadline_misses,
        skipped_hops=statistics.skipped_hops,
        bad_chunks=statistics.bad_chunks,
    )
    return replace(row, problems=_problems(row, fault, all(findings.silent for findings in all_findings)))
