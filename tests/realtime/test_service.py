"""``fullband service``: what is written is what systemd and desktops read, and nothing of anybody else is touched."""

from __future__ import annotations

import configparser
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from realtime import service as services
from realtime.commands.service import service
from realtime.errors import FullbandError

#: Words that a path may have, and that mean something to systemd or to a desktop.
WORDS = ["plain", "with space", "100%f", "$HOME", 'a"b', "back\\slash", "it's", "ü", "`x`", "a;b", ""]


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home and a runtime folder of the test's own, with short names: paths of sockets are short."""
    folder = Path(tempfile.mkdtemp(prefix="fb"))
    (folder / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_CACHE_HOME", os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"))
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder / "run"))
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    yield folder
    shutil.rmtree(folder)


def _line(text: str, key: str) -> str:
    return next(line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}="))


def _words_of_entry(line: str) -> list[str]:
    """What a desktop makes of an Exec line: the escapes of strings, then quotes, then ``%%``."""
    text = line.replace("\\\\", "\\")
    words: list[str] = []
    while text:
        if text.startswith('"'):
            word, place = "", 1
            while text[place] != '"':
                place += text[place] == "\\"
                word += text[place]
                place += 1
            place += 1
        else:
            place = text.find(" ") if " " in text else len(text)
            word = text[:place]
        words.append(word.replace("%%", "%"))
        text = text[place:].removeprefix(" ")
    return words


def test_every_word_reaches_the_program_from_an_autostart_entry(home: Path) -> None:
    text = services.text_of("autostart", ["/usr/bin/fullband", *WORDS])
    assert _words_of_entry(_line(text, "Exec")) == ["/usr/bin/fullband", *WORDS]
    entry = configparser.RawConfigParser()
    entry.read_string(text)
    assert entry["Desktop Entry"]["Type"] == "Application"


def test_what_no_file_can_hold_is_refused() -> None:
    with pytest.raises(FullbandError, match="cannot be printed"):
        services.text_of("systemd", ["/bin/a\nExecStart=/bin/b"])


def test_systemd_finds_nothing_to_say_of_the_unit(home: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    path = home / services.UNIT
    path.write_text(services.text_of("systemd", ["/bin/true", *WORDS]))
    done = subprocess.run(["systemd-analyze", "verify", "--user", str(path)], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_an_autostart_entry_is_written_once_and_removed(home: Path) -> None:
    wanted = services.plan("autostart", "podcast")
    assert services.install(wanted) == [f"wrote {wanted.path}"]
    assert services.install(wanted) == []
    assert services.installed() == ["autostart"]
    found = services.status()
    assert (found.how, found.enabled, found.running, found.state) == ("autostart", True, False, "not running")
    changed = services.plan("autostart", "broadcast")
    assert services.install(changed) == [f"wrote {wanted.path}"]
    assert "broadcast" in wanted.path.read_text()
    assert services.remove() == [f"removed {wanted.path}"]
    assert services.remove() == []
    assert not wanted.path.exists()


@pytest.mark.parametrize("how", ["systemd", "autostart"])
def test_files_of_somebody_else_are_left_alone(home: Path, how: services.How) -> None:
    wanted = services.plan(how, None)
    wanted.path.parent.mkdir(parents=True)
    wanted.path.write_text("[Unit]\n")
    with pytest.raises(FullbandError, match=f"{wanted.path.name} is not of 'fullband service'"):
        services.install(wanted)
    with pytest.raises(FullbandError, match="is not of 'fullband service'"):
        services.remove()
    assert wanted.path.read_text() == "[Unit]\n"
    wanted.path.unlink()
    wanted.path.symlink_to("/dev/null")  # as 'systemctl mask' does
    with pytest.raises(FullbandError, match="is not of 'fullband service'"):
        services.install(wanted)


def test_a_dry_run_shows_all_and_writes_nothing(home: Path) -> None:
    done = CliRunner().invoke(service, ["install", "--dry-run", "--with", "systemd", "--config", "podcast"])
    assert done.exit_code == 0
    assert "ExecStart=" in done.stdout and "--config podcast" in done.stdout
    assert f"would run systemctl --user enable {services.UNIT}" in done.stdout
    assert not (home / "config").exists()


def test_a_configuration_that_live_would_refuse_is_refused_at_once(home: Path) -> None:
    (home / "wrong.toml").write_text("guard_sm = 3\n")
    done = CliRunner().invoke(service, ["install", "--config", str(home / "wrong.toml")])
    assert isinstance(done.exception, FullbandError)
    assert "wrong.toml:1: unknown key 'guard_sm'; did you mean 'guard_ms'?" in str(done.exception)
    assert not (home / "config").exists()


def test_without_a_service_that_is_said(home: Path) -> None:
    done = CliRunner().invoke(service, ["status", "--json", "-"])
    assert json.loads(done.stdout)["state"] == "not installed"
    assert isinstance(done.exception, FullbandError) and done.exception.exit_status == 1


def test_without_a_manager_of_systemd_nothing_is_written_for_one(home: Path) -> None:
    assert not services.has_systemd(), "the runtime folder of this test has none"
    with pytest.raises(FullbandError, match=r"no systemd .*--with autostart"):
        services.install(services.plan("systemd", None))
    assert not (home / "config").exists()
    done = CliRunner().invoke(service, ["install", "--json", "-"])
    assert json.loads(done.stdout)["with"] == "autostart"
    assert services.installed() == ["autostart"]
