"""``fullband config``: everything that is wrong is told with its line, and what is shown can be used as it stands."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from realtime.commands.config import config
from realtime.errors import FullbandError
from realtime.paths import CONFIGS
from realtime.settings.check import KINDS, check_file
from realtime.settings.live import LiveSettings, load_live_settings, shipped_presets
from realtime.settings.saving import save_settings
from realtime.stages import specs_of
from tests.models import identity_model


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home of the test's own, which is also where it runs."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _told(text: str, kind: str | None = None) -> list[str]:
    path = Path("wrong.toml")
    path.write_text(text)
    return [str(problem) for problem in check_file(path, KINDS[kind] if kind else None)[1]]


def test_everything_that_is_wrong_is_told_at_once_each_with_its_line() -> None:
    Path("inner.toml").write_text(
        '[[chain]]\nplugin = "dither"\nbits = 1.5\n[[chain]]\ninclude = "wrong.toml"\n[[chain]]\ninclude = "lost.toml"'
    )
    told = _told(
        """\
# Many faults.
guard_sm = 3
backend = "portaudo"
gain_db = 99
model = "defualt"
virtual_mic = "Mic"
output = "speakers"
device_latency = "medium"
bypass = "maybe"

[[chain]]
plugin = "gain"
gain = 3
gain_db = 88.0
[[chain]]
include = "inner.toml"
[[chain]]
plugin = "limter"
bypass = "perhaps"
[[chain]]
name = "x"
[[chain]]
plugin = "gain"
"""
    )
    expected = [
        ("wrong.toml:2:", "unknown key 'guard_sm'", "did you mean 'guard_ms'"),
        ("wrong.toml:3:", "'backend' is 'portaudo'", "did you mean 'portaudio'"),
        ("wrong.toml:4:", "'gain_db' is 99", "24 or less"),
        ("wrong.toml:5:", "no model named 'defualt'", "default"),
        ("wrong.toml:7:", "'output' and 'virtual_mic'", "one of them"),
        ("wrong.toml:8:", "'device_latency' is 'medium'", "'low' or 'high', or it is a number"),
        ("wrong.toml:9:", "'bypass' is 'maybe'", "true or false"),
        ("wrong.toml:13:", "stage 1 of the chain, 'gain'", "unknown parameter 'gain'; did you mean 'gain_db'"),
        ("wrong.toml:14:", "stage 1", "'gain_db' is 88; it can be from -60 to 24 dB"),
        ("wrong.toml:18:", "stage 3", "no plugin 'limter'; did you mean 'limiter'"),
        ("wrong.toml:19:", "stage 3", "'bypass' is 'perhaps': it is true or false"),
        ("wrong.toml:20:", "stage 4", "'plugin' is missing"),
        ("wrong.toml:23:", "stage 5", "another stage is called 'gain'"),
        ("inner.toml:3:", "stage 1 of the chain, 'dither'", "'bits' is 1.5; it can be a whole number"),
        ("inner.toml:5:", "stage 2", "wrong.toml → inner.toml → wrong.toml"),
        ("inner.toml:7:", "stage 3", "lost.toml", "No such file"),
    ]
    assert len(told) == len(expected), "\n".join(told)
    for line, words in zip(told, expected, strict=True):
        assert line.startswith(words[0]), line
        for word in words[1:]:
            assert word in line


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("live", 'source = "voice.wav"\ngain_db = 3\n[[chain]]\nplugin = "gain"\ngain_db = 3\nbypass = true'),
        ("live", "device_latency = 1\nseconds = 60"),
        ("sip", 'answer = "echo"\nrtp_ports = [20000, 30000]\nrecords = "calls.jsonl"\nmax_minutes = 5'),
        ("train", "[network]\ndilations = [1, 2]\n[run]\nminutes = 5"),
    ],
)
def test_what_toml_can_only_write_in_one_way_is_taken_as_it_is_meant(kind: str, text: str) -> None:
    assert _told(text, kind) == []


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("live", "gain_db = 1\n\ngain_db = 2\n", ["wrong.toml:3: not valid TOML", "overwrite"]),
        ("live", 'gain_db = 1\nmodel = "x', ["wrong.toml:2: not valid TOML"]),
        ("live", 'chain = "gain"', ["wrong.toml:1:", "[[chain]]"]),
        ("live", "chain = [1]", ["wrong.toml:1:", "stage 1", "is a table"]),
        ("live", '\n[[chain]]\ninclude = "podkast"', ["wrong.toml:3:", "podcast"]),
        ("live", '[[chain]]\nplugin = "lost.so:gate"', ["wrong.toml:2:", "lost.so"]),
        ("sip", 'answer = "echo"\nlissten = ["1.2.3.4"]', ["wrong.toml:2: unknown key 'lissten'", "'listen'"]),
        ("sip", '[account]\nadress = "sip:a@b"', ["wrong.toml:1: 'account.address' is missing"]),
        ("sip", '[account]\naddress = "sip:a@b"\nusernme = "x"', ["wrong.toml:3:", "'account.usernme'", "'username'"]),
        ("sip", '[account]\naddress = "sip:a@b"\npassword = "secret"', ["wrong.toml:3:", "password_env"]),
        ("sip", 'max_calls = 0\ncodec_in = ["PCMX"]', ["wrong.toml:1: 'max_calls' is 0: it can be 1 or more"]),
        ("sip", 'answer = "echo"\ncodec_in = ["PCMX"]', ["wrong.toml:2:", "no codec named 'PCMX'; did you mean 'PCM"]),
        ("web", 'max_sessions = 0\ntoken = "secret"', ["wrong.toml:1: 'max_sessions' is 0: it can be 1 or more"]),
        ("live", 'bypass = "yes"', ["wrong.toml:1: 'bypass' is 'yes': it is true or false"]),
        ("live", "muted = 1", ["'muted' is 1: it is true or false"]),
        ("live", '[[chain]]\nplugin = "gain"\nbypass = "no"', ["wrong.toml:3:", "'bypass' is 'no': it is true or"]),
        ("live", 'rate_hz = "48000"', ["'rate_hz' is '48000': it is a whole number, without a point or quotes"]),
        ("live", "block_frames = 128.0", ["'block_frames' is 128.0: it is a whole number, without a point"]),
        ("live", "gain_db = true", ["'gain_db' is True: it is a number"]),
        ("live", 'device_latency = "0.1"', ["'device_latency' is '0.1'", "or it is a number, without quotes"]),
        ("sip", 'answer = "echo"\nrtp_ports = [20000, "30000"]', ["wrong.toml:2: 'rtp_ports[1]' is '30000'"]),
        ("web", 'max_minutes = "5"', ["'max_minutes' is '5': it is a number, without quotes"]),
        ("train", "[run]\nseed = true", ["wrong.toml:2: 'run.seed' is True: it is a whole number"]),
        ("data", '[[package]]\nurl = "https://a/b.deb"', ["wrong.toml:1: 'package[0].sha256' is missing"]),
        ("rtp", 'listen = ":5004"\nto_ptime_ms = 15', ["wrong.toml:2: 'to_ptime_ms' is 15", "multiple of 10"]),
    ],
)
def test_what_is_wrong_is_told_with_its_line(kind: str, text: str, words: list[str]) -> None:
    told = _told(text)
    assert all(word in told[0] for word in words), told
    assert not any("secret" in line for line in told)
    assert check_file(Path("wrong.toml"), KINDS[kind])[1] == check_file(Path("wrong.toml"))[1], "its kind was found"


def test_a_model_of_another_rate_is_told_where_it_is_named(home: Path) -> None:
    identity_model(home / "slow.onnx", metadata={"sample_rate_hz": "16000"})
    told = _told(
        'model = "slow.onnx"\n[[chain]]\nplugin = "slow.onnx"\n[[chain]]\nplugin = "network"\nmodel = "no.onnx"'
    )
    assert len(told) == 3
    assert told[0].startswith("wrong.toml:1: 'model': slow.onnx breaks the model contract")
    assert told[1].startswith("wrong.toml:3: stage 1 of the chain, 'slow'")
    assert all("'sample_rate_hz' is '16000'; models are run at 48000" in line for line in told[:2])
    assert told[2].startswith("wrong.toml:6: stage 2 of the chain, 'network': no model file no.onnx")


def test_all_that_ships_is_in_order() -> None:
    for path in sorted(CONFIGS.rglob("*.toml")):
        if path.parent.name in ("live", "voip", "data") or path.parent == CONFIGS:
            kind, problems = check_file(path)
            assert problems == [], path
            assert kind is not None
            kinds = {"voip.toml": "sip", "web.toml": "web", "live": "live", "voip": "rtp", "data": "data"}
            assert kind.name == (kinds.get(path.name) if path.parent == CONFIGS else kinds[path.parent.name])


def test_a_run_that_is_refused_says_the_same_first_line_and_how_many_more() -> None:
    told = _told("gain_db = 99\nguard_ms = -1\n")
    with pytest.raises(FullbandError) as caught:
        load_live_settings("wrong.toml", {})
    assert str(caught.value) == f"{told[0]} (1 more: 'fullband config check')"
    with pytest.raises(FullbandError, match=r"^command line: 'gain_db' is 50.0: it can be 24 or less$"):
        load_live_settings("default", {"gain_db": 50.0})


def test_the_command_tells_it_to_people_and_to_programs() -> None:
    Path("wrong.toml").write_text("guard_sm = 1\n")
    runner = CliRunner()
    done = runner.invoke(config, ["check", "wrong.toml", "podcast"])
    assert isinstance(done.exception, FullbandError) and done.exception.exit_status == 1
    lines = done.stdout.splitlines()
    assert lines[0] == "wrong.toml:1: unknown key 'guard_sm'; did you mean 'guard_ms'?"
    assert lines[1].endswith("podcast.toml: settings of 'fullband live', nothing wrong")
    assert str(done.exception) == "1 to be put right in 1 of 2 files"
    told = json.loads(runner.invoke(config, ["check", "wrong.toml", "--json", "-"]).stdout)
    (problem,) = told[0]["problems"]
    assert (told[0]["kind"], problem["line"], problem["key"]) == ("live", 1, "guard_sm")
    assert runner.invoke(config, ["check", "podcast"]).exit_code == 0


@pytest.mark.parametrize("name", [*shipped_presets(), "with include", None])
def test_what_is_shown_gives_the_same_settings_again(home: Path, name: str | None) -> None:
    if name == "with include":
        name = "outer.toml"
        Path("inner.toml").write_text('[[chain]]\nplugin = "limiter"\nceiling_db = -3\n')
        Path(name).write_text(
            'input = "a \\"b\\" # c"\n[[chain]]\nplugin = "gain"\n[[chain]]\ninclude = "inner.toml"\n'
        )
    done = CliRunner().invoke(config, ["show", *([name] if name else [])])
    assert done.exit_code == 0
    Path("shown.toml").write_text(done.stdout)
    assert check_file(Path("shown.toml"))[1] == []
    shown, meant = load_live_settings("shown.toml", {}), load_live_settings(name, {})
    assert shown.model_copy(update={"chain": ()}) == meant.model_copy(update={"chain": ()})
    for one, other in zip(specs_of(shown), specs_of(meant), strict=True):
        assert (one.structure, one.bypass) == (other.structure, other.bypass)
        assert dict(other.values).items() <= dict(one.values).items()


def test_every_value_that_is_shown_says_where_it_comes_from(home: Path) -> None:
    Path("inner.toml").write_text('[[chain]]\nplugin = "limiter"\nceiling_db = -3\n')
    Path("outer.toml").write_text('gain_db = 2\n[[chain]]\ninclude = "inner.toml"\n')
    shown = CliRunner().invoke(config, ["show", "outer.toml"]).stdout
    for line in (
        "gain_db = 2.0 # outer.toml:1",
        "guard_ms = 2.0 # default",
        "# input is not set",
        "ceiling_db = -3 # inner.toml:3, included",
        "release_ms = 80.0 # default",
    ):
        assert line in shown.splitlines()
    told = json.loads(CliRunner().invoke(config, ["show", "outer.toml", "--json", "-"]).stdout)
    assert told["settings"]["chain"][0]["ceiling_db"] == -3
    assert told["from"]["chain[0].ceiling_db"] == "inner.toml:3, included"
    assert tomllib.loads(shown)["gain_db"] == 2.0


def test_saved_presets_are_listed_before_those_that_ship_and_are_in_order(home: Path) -> None:
    save_settings(LiveSettings(gain_db=3.0), "mine")
    listed = CliRunner().invoke(config, ["list"]).stdout.splitlines()
    assert listed[0].startswith("mine") and str(home) in listed[0]
    assert [line.split()[0] for line in listed[1:]] == shipped_presets()
    assert CliRunner().invoke(config, ["check"]).exit_code == 0
