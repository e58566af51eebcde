"""Signals and models for the tests of the host."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.models import identity_model


@pytest.fixture(scope="session")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in ``replace`` mode whose output is its input, 384 samples later."""
    return identity_model(tmp_path_factory.mktemp("models") / "identity.onnx")


@pytest.fixture(scope="session")
def doubling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in ``additive`` mode that adds its input once more."""
    return identity_model(tmp_path_factory.mktemp("models") / "doubling.onnx", mode="additive")


@pytest.fixture
def noise() -> NDArray[np.float32]:
    """One second of white noise at 48 kHz [1, 48000]."""
    return (np.random.default_rng(0).standard_normal((1, 48_000)) * 0.1).astype(np.float32)
