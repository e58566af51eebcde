"""What a model file lacks to be a plugin: everything that the contract asks for, and what only running it can tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FullbandError
from ..inference import Inference
from ..native.histogram import percentile_ms
from ..native.network import run_hops_at
from ..native.ring import RING_SAMPLES, Ring
from ..onnx.contract import RATE_HZ, Contract, examine
from ..onnx.session import Session

_SECONDS = 1.0

#: What is added to silence is to be silent.
_SILENCE_DBFS = -90.0

#: What has to be done for each kind of breach, by a word in it; said once, after the list.
_ADVICE = {
    "metadata '": "metadata is written as text: onnx.helper.set_model_props(model, {'hop_samples': '192', …})",
    "is missing": "names of inputs, outputs and metadata are those of the table in realtime/README.md",
    "fixed batch size": "the first dimension of every input and output is a name, such as 'B', not a number",
    "not float32": "all inputs and outputs are float32; cast inside the model",
}


@dataclass
class Verdict:
    """What was found. Without *faults* the file is a plugin; *remarks* are worth a look."""

    path: Path
    contract: Contract | None = None
    faults: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def advice(self) -> list[str]:
        """What to do about the faults."""
        return [text for word, text in _ADVICE.items() if any(word in fault for fault in self.faults)]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        contract = self.contract
        return {
            "file": str(self.path),
            "is_plugin": not self.faults,
            "faults": self.faults,
            "advice": self.advice,
            "remarks": self.remarks,
            "name": contract.name if contract else None,
            "mode": contract.mode if contract else None,
            "latency_ms": contract.latency_ms if contract else None,
            "figures": {key: round(value, 4) for key, value in self.figures.items()},
        }


def _run(path: Path, x: NDArray[np.float32]) -> tuple[NDArray[np.float32], Inference]:
    """What the model makes of *x* [lanes, n], laid beside it; the model, closed, with its counters."""
    low = Ring(x.shape[0], RING_SAMPLES)
    inference = Inference(path, x.shape[0], low)
    try:
        inference.set_cutoff_hz(8_000.0)
        low.append(x)
        run_hops_at(inference.address, 1 << 30)
        # Where the signal that belongs to the first sample lies; see network_index.
        shift = inference.contract.latency_samples - inference.contract.hop_samples
        made = inference.high.observe(shift, inference.high.written - shift)
        assert made is not None
        return made, inference
    finally:
        inference.close()


def _lag(x: NDArray[np.float32], y: NDArray[np.float32]) -> tuple[int, float]:
    """By how many samples *y* is late against *x*, and the correlation there."""
    size = 1 << (2 * len(x)).bit_length()
    product = np.fft.irfft(np.fft.rfft(y, size) * np.fft.rfft(x, size).conj(), size)
    lag = int(np.argmax(np.abs(product)))
    peak = float(np.abs(product[lag]) / max(np.linalg.norm(x) * np.linalg.norm(y), 1e-12))
    return (lag - size if lag > size // 2 else lag), peak


def _try(verdict: Verdict, contract: Contract) -> None:
    """Run it: on silence, on one voice, and on two at once."""
    rng = np.random.default_rng(0)
    count = int(_SECONDS * RATE_HZ)
    # Louder and softer, as speech is: steady noise is what a denoiser takes away.
    swell = 0.55 - 0.45 * np.cos(2 * np.pi * 4.0 * np.arange(count) / RATE_HZ)
    x = (0.2 * swell * rng.standard_normal((2, count))).astype(np.float32)
    silent, _ = _run(verdict.path, np.zeros((1, count), np.float32))
    level_db = 20.0 * np.log10(max(float(np.abs(silent).max()), 1e-12))
    if level_db > _SILENCE_DBFS:
        verdict.remarks.append(f"of silence it makes {level_db:.0f} dBFS; below {_SILENCE_DBFS:.0f} is expected")
    alone, inference = _run(verdict.path, x[:1])
    hops = int(inference._tally.record["hops"])
    bad = int(inference._tally.record["bad_chunks"]) + int(inference._tally.record["failed_runs"])
    if bad:
        verdict.faults.append(f"of {hops} hops of noise {bad} are no audio: NaN, infinity, above +24 dBFS, or an error")
        return
    hop_ms = percentile_ms(inference._tally.compute_histogram, 50)
    verdict.figures |= {"hop_ms": contract.hop_ms, "compute_ms": hop_ms}
    if hop_ms > 0.5 * contract.hop_ms:
        verdict.remarks.append(f"a hop takes {hop_ms:.2f} ms of the {contract.hop_ms:.2f} ms that there are")
    both, _ = _run(verdict.path, x)
    if not np.allclose(both[0], alone[0], atol=1e-4):
        verdict.faults.append("voices in one batch touch: the first of two does not sound as it does alone")
    if contract.mode == "replace":
        lag, likeness = _lag(x[0, : alone.shape[1]], alone[0])
        if likeness > 0.3 and lag != 0:
            verdict.faults.append(
                f"metadata 'latency_samples' is {contract.latency_samples}; by what comes out it is "
                f"{contract.latency_samples + lag}"
            )


def check(path: Path) -> Verdict:
    """All that keeps *path* from being a plugin. Raises :class:`FullbandError` where it is no model at all."""
    with Session(path) as session:
        contract, breaches = examine(session)
    verdict = Verdict(path, contract, breaches)
    if contract is not None:
        try:
            _try(verdict, contract)
        except FullbandError as error:
            verdict.faults.append(str(error))
    return verdict
