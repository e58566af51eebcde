"""The doctor tries everything, says what to do about all that is not well, and fails at nothing itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict

import pytest

from realtime.doctor import Check, compute_per_hop, examine, verdict
from realtime.errors import FullbandError


@pytest.fixture(scope="module")
def found() -> list[Check]:
    return examine()


def test_every_part_is_looked_at(found: list[Check]) -> None:
    names = {check.name for check in found}
    assert len(names) == len(found)
    assert names >= {
        "processor",
        "PortAudio",
        "audio servers",
        "real-time priority",
        "rtkit",
        "memory lock",
        "CPU affinity",
        "sleep of processors",
        "compiled code",
        "ONNX Runtime",
        "compute per hop",
    }


def test_whatever_is_not_well_has_a_remedy(found: list[Check]) -> None:
    for check in found:
        assert check.state in ("ok", "warn", "fail")
        assert check.value
        assert check.state == "ok" or check.remedy, check
        assert "\n" not in check.value + check.remedy


def test_findings_survive_json(found: list[Check]) -> None:
    findings = [asdict(check) for check in found]
    assert json.loads(json.dumps(findings)) == findings


def test_the_shipped_model_runs_here() -> None:
    check = compute_per_hop(seconds=0.5)
    assert check.name == "compute per hop"
    assert "ms hop" in check.value


def test_a_model_that_is_not_there_is_named() -> None:
    with pytest.raises(FullbandError, match=r"no model named 'defualt'.*default"):
        compute_per_hop("defualt")


def test_a_folder_that_cannot_keep_compiled_code_is_named() -> None:
    # In a child, as the folder is chosen on import. Not even root can write in /proc.
    code = "from realtime.doctor import _compiled_code as c; print(c().state, c().value)"
    env = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    env |= {"XDG_CACHE_HOME": "/proc/nowhere"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("warn")
    assert "cannot be kept in /proc/nowhere" in done.stdout


@pytest.mark.parametrize(
    ("states", "words"),
    [
        ({"PortAudio": "ok", "processor": "ok"}, "Ready for live use"),
        ({"PortAudio": "ok", "processor": "warn"}, "what is marked"),
        ({"PortAudio": "warn", "processor": "ok"}, "sound device is missing"),
        ({"PortAudio": "warn", "processor": "fail"}, "cannot run"),
    ],
)
def test_the_verdict_follows_the_worst_finding(states: dict[str, str], words: str) -> None:
    checks = [Check(name, state, "value", "remedy") for name, state in states.items()]  # type: ignore[arg-type]
    assert words in verdict(checks)
