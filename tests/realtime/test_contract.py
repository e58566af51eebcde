"""A file that breaks the contract is refused with one line that names the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime.errors import FullbandError
from realtime.onnx.contract import read_contract
from realtime.onnx.session import Session
from realtime.paths import find_model
from tests.models import identity_model


def _refusal(path: Path) -> str:
    with pytest.raises(FullbandError) as caught, Session(path) as session:
        read_contract(session)
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text
    return text


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("fullband.contract", None),
        ("fullband.contract", "2"),
        ("sample_rate_hz", "16000"),
        ("hop_samples", "0"),
        ("hop_samples", "many"),
        ("latency_samples", None),
        ("mode", "subtractive"),
        ("name", None),
        ("licence", None),
        ("trained_on", None),
    ],
)
def test_wrong_metadata_is_named(tmp_path: Path, key: str, value: str | None) -> None:
    path = identity_model(tmp_path / "wrong.onnx", metadata={key: value})
    assert f"'{key}'" in _refusal(path)


def test_a_shape_that_differs_from_the_metadata_is_named(tmp_path: Path) -> None:
    path = identity_model(tmp_path / "wrong.onnx", metadata={"input_samples": "960"})
    assert "'chunk'" in _refusal(path)
    path = identity_model(tmp_path / "wrong.onnx", metadata={"output_samples": "960"})
    assert "'output'" in _refusal(path)


def test_a_missing_file_and_a_file_that_is_no_model(tmp_path: Path) -> None:
    assert "no model file" in _refusal(tmp_path / "absent.onnx")
    text = tmp_path / "text.onnx"
    text.write_text("this is not a model")
    assert "can load" in _refusal(text)


def test_the_shipped_model_keeps_the_contract_and_the_latency_promised() -> None:
    path = find_model("default")
    assert path is not None
    with Session(path) as session:
        contract = read_contract(session)
    assert contract.mode == "additive"
    assert contract.controls == ("cutoff_hz", "level_db", "tilt_db")
    assert contract.latency_ms + 1.5 <= 10.0
    assert path.stat().st_size <= 4 * 1024 * 1024
