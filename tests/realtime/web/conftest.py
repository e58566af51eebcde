"""What is compiled at the first use is compiled before any test counts seconds."""

from __future__ import annotations

import pytest

from realtime.voip.warmup import warm_up


@pytest.fixture(scope="session", autouse=True)
def _compiled() -> None:
    warm_up()
