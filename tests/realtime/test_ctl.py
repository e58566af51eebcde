"""``fullband ctl`` and a host as people start them, on the simulated device."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from realtime.control.client import connect, running

PROGRAM = [sys.executable, "-c", "from realtime.cli import main; main()"]


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime folder of the test's own, with a short name: paths of sockets are short."""
    folder = Path(tempfile.mkdtemp(prefix="fb"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    yield folder
    shutil.rmtree(folder)


def ctl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, "ctl", *arguments], capture_output=True, text=True, check=False)


def test_a_host_is_controlled_and_ended_from_another_shell(home: Path, tmp_path: Path) -> None:
    command = ["live", "--backend", "simulated", "--seconds", "600", "--plain", "--name", "desk"]
    host = subprocess.Popen(
        [*PROGRAM, *command], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        while not running():
            assert host.poll() is None
            time.sleep(0.1)
        with connect("desk", 120.0) as client:
            assert client.host.pid == host.pid
            assert client.ask("status")["running"] is True
            assert client.ask("mute", state="toggle") == {"muted": True}
        for arguments, told in (
            (["bypass", "on"], "bypass on"),
            (["gain", "-3", "--to", "desk"], "gain -3 dB"),
            (["--to", str(host.pid), "guard", "5"], "guard 5 ms"),
            (["reload"], "read again"),
            (["save", str(tmp_path / "kept.toml")], f"saved to {tmp_path}/kept.toml"),
        ):
            done = ctl(*arguments)
            assert (done.returncode, done.stderr) == (0, "")
            assert told in done.stdout
        refused = ctl("gain", "99")
        assert refused.returncode == 1
        assert "24" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
        stats = json.loads(ctl("stats", "--json", "-").stdout)
        assert stats["hops"] >= stats["compute"]["count"] > 0
        ended = ctl("stop")
        assert (ended.returncode, ended.stderr) == (0, "")
        out, _ = host.communicate(timeout=120)
        assert host.returncode == 0, out
        assert "deadline misses" in out
        assert (tmp_path / "fullband-live.wav").exists()
    finally:
        host.kill()
        host.wait()
    assert list((home / "fullband").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "status", "names"),
    [
        (["stats"], 1, ["fullband live"]),
        (["bypass", "onn"], 2, ["onn", "toggle"]),
        (["gain", "loud"], 2, ["DB"]),
        (["gain"], 2, ["DB"]),
        (["bypas", "on"], 2, ["bypass"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_is_wrong_is_one_line(home: Path, arguments: list[str], status: int, names: list[str]) -> None:
    done = ctl(*arguments)
    assert done.returncode == status
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert all(name in done.stderr for name in names)


def test_ctl_imports_nothing_of_the_host(home: Path) -> None:
    code = (
        "import sys\nsys.argv = ['fullband', 'ctl', 'stats']\nfrom realtime.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print([m for m in ('numba', 'numpy', 'onnxruntime', 'sounddevice', 'realtime.engine') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "[]"
