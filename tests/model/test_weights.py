"""The shipped model keeps the contract; ONNX Runtime alone is enough to use it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

import model
from model.degrade.filters import sinc_decimate, upsample
from model.stream import Stream, open_session

from .speech import RATE_HZ, speech_like

WEIGHTS = Path(model.__file__).parent / "weights"

#: Shipped models, their hop and their window, in samples.
SHIPPED = {"default": (192, 384), "light": (192, 384), "low-latency": (96, 168)}


@pytest.fixture(scope="module", params=list(SHIPPED))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def session(name: str) -> onnxruntime.InferenceSession:
    return open_session(WEIGHTS / f"{name}.onnx")


def test_all_shipped_models_are_tried() -> None:
    assert {path.stem for path in WEIGHTS.glob("*.onnx")} == set(SHIPPED)


def run(session: onnxruntime.InferenceSession, low: NDArray[np.float32], cutoff_hz: float) -> NDArray[np.float32]:
    return Stream(session, batch=len(low)).run(low, np.full((len(low), 1), cutoff_hz, np.float32))


@pytest.fixture(scope="module")
def telephone() -> NDArray[np.float32]:
    """Two voices at 8 kHz, brought to 48 kHz."""
    voices = np.stack([speech_like(1.0, seed) for seed in (1, 2)])
    return np.stack([upsample(sinc_decimate(voice, 8_000), 8_000) for voice in voices])


def test_metadata_is_complete(session: onnxruntime.InferenceSession, name: str) -> None:
    properties = session.get_modelmeta().custom_metadata_map
    hop, window = SHIPPED[name]
    expected = {
        "fullband.contract": "1",
        "sample_rate_hz": "48000",
        "hop_samples": str(hop),
        "input_samples": "960",
        "output_samples": str(window),
        "latency_samples": str(window),
        "mode": "additive",
    }
    assert expected.items() <= properties.items()
    assert all(properties[key] for key in ("name", "licence", "trained_on"))


def test_names_shapes_and_types_keep_the_contract(session: onnxruntime.InferenceSession, name: str) -> None:
    inputs = {value.name: value for value in session.get_inputs()}
    outputs = {value.name: value for value in session.get_outputs()}
    assert list(inputs)[:4] == ["chunk", "cutoff_hz", "level_db", "tilt_db"] and next(iter(outputs)) == "output"
    assert inputs["chunk"].shape[1:] == [960] and inputs["cutoff_hz"].shape[1:] == [1]
    assert outputs["output"].shape[1:] == [SHIPPED[name][1]]
    assert all(value.type == "tensor(float)" for value in (*inputs.values(), *outputs.values()))
    assert all(isinstance(value.shape[0], str) for value in (*inputs.values(), *outputs.values()))
    states = [name.removesuffix("_in") for name in list(inputs)[4:]]
    assert states == [f"state_{index}" for index in range(len(states))]
    for state in states:
        assert inputs[f"{state}_in"].shape == outputs[f"{state}_out"].shape


def test_one_small_file(name: str) -> None:
    assert (WEIGHTS / f"{name}.onnx").stat().st_size <= 4e6


def test_batch_and_single_agree_and_reset_is_fresh(
    session: onnxruntime.InferenceSession, telephone: NDArray[np.float32]
) -> None:
    stream = Stream(session, batch=2)
    cutoff_hz = np.full((2, 1), 4_000.0, np.float32)
    together = stream.run(telephone, cutoff_hz)
    stream.reset()
    assert np.array_equal(stream.run(telephone, cutoff_hz), together)
    assert np.allclose(run(session, telephone[1:], 4_000.0), together[1:], atol=1e-5)


def test_the_future_changes_nothing(session: onnxruntime.InferenceSession, telephone: NDArray[np.float32]) -> None:
    changed = telephone.copy()
    changed[:, 24_000:] = 0.1
    before, after = run(session, telephone, 4_000.0), run(session, changed, 4_000.0)
    assert np.array_equal(before[:, : 24_000 - 384], after[:, : 24_000 - 384])


@pytest.mark.parametrize("cutoff_hz", [3_400.0, 4_000.0, 8_000.0, 12_000.0])
def test_silence_stays_below_minus_90_dbfs(session: onnxruntime.InferenceSession, cutoff_hz: float) -> None:
    assert np.abs(run(session, np.zeros((1, RATE_HZ), np.float32), cutoff_hz)).max() < 10.0 ** (-90.0 / 20.0)


def test_silence_after_speech_stays_silent(
    session: onnxruntime.InferenceSession, telephone: NDArray[np.float32]
) -> None:
    silent = telephone.copy()
    silent[:, 24_000:] = 0.0
    high = run(session, silent, 4_000.0)
    assert np.abs(high[:, :24_000]).max() > 1e-4
    assert np.abs(high[:, 24_000 + 960 :]).max() < 10.0 ** (-90.0 / 20.0)


def test_high_band_is_there_bounded_and_above_the_cutoff(
    session: onnxruntime.InferenceSession, telephone: NDArray[np.float32]
) -> None:
    high = run(session, telephone, 4_000.0)
    assert np.isfinite(high).all()
    assert 1e-4 < np.sqrt(np.mean(high**2)) < 3.0 * np.sqrt(np.mean(telephone**2))
    spectrum = np.abs(np.fft.rfft(high[0] * np.hanning(high.shape[1]))) ** 2
    frequency_hz = np.fft.rfftfreq(high.shape[1], 1 / RATE_HZ)
    assert spectrum[frequency_hz < 3_200.0].sum() < 1e-3 * spectrum.sum()


def test_full_band_input_gets_nothing_added(session: onnxruntime.InferenceSession) -> None:
    assert np.abs(run(session, speech_like(0.3)[None], 20_000.0)).max() == 0.0


@pytest.mark.parametrize("gain_db", [-24.0, 6.0])
def test_high_band_follows_the_level(
    session: onnxruntime.InferenceSession, telephone: NDArray[np.float32], gain_db: float
) -> None:
    gain = np.float32(10.0 ** (gain_db / 20.0))
    power = [float(np.mean(run(session, low, 4_000.0) ** 2)) for low in (telephone, gain * telephone)]
    assert 10.0 * np.log10(power[1] / power[0]) == pytest.approx(gain_db, abs=0.5)


@pytest.mark.parametrize("poison", [1.0, -1.0, 1e-30, 100.0])
def test_odd_input_gives_finite_output(session: onnxruntime.InferenceSession, poison: float) -> None:
    low = np.full((1, 9_600), poison, np.float32)
    low[:, ::7] *= -1.0
    assert np.isfinite(run(session, low, 8_000.0)).all()
    assert np.isfinite(run(session, low, 0.0)).all()
