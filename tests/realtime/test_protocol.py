"""Requests over the socket: each is understood or refused by a line that names the key and the right word."""

from __future__ import annotations

import json

import pytest

from realtime.control import protocol
from realtime.errors import FullbandError


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        ('{"command": "bypass", "state": "toggle"}', protocol.Bypass(state="toggle")),
        ('{"command": "mute", "state": "on", "id": "a"}', protocol.Mute(state="on", id="a")),
        ('{"command": "gain", "db": -3, "id": 7}', protocol.Gain(db=-3.0, id=7)),
        ('{"command": "guard", "ms": 5}', protocol.Guard(ms=5.0)),
        ('  {"command": "stats"}\r', protocol.Stats()),
        ('{"command": "status"}', protocol.Status()),
        ('{"command": "reload"}', protocol.Reload()),
        ('{"command": "load", "source": "podcast"}', protocol.Load(source="podcast")),
        ('{"command": "save", "target": "desk"}', protocol.Save(target="desk")),
        ('{"command": "stop"}', protocol.Stop()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_requests_are_understood(line: str, request_: protocol.AnyRequest) -> None:
    assert protocol.parse(line.encode()) == request_


@pytest.mark.parametrize(
    ("line", "names"),
    [
        (b"gain 3", ["JSON"]),
        (b"\xff\xfe", ["JSON"]),
        (b'{"command": "gain", "db": NaN}', ["JSON"]),
        (b"[" * 4000, ["JSON"]),
        (b"[1]", ["object", '{"command": "status"}']),
        (b"{}", ["'command'", "bypass", "stop"]),
        (b'{"command": "gian", "db": 1}', ["'gian'", "'gain'"]),
        (b'{"command": 5}', ["5", "commands are"]),
        (b'{"command": ["gain"]}', ["commands are"]),
        (b'{"command": "gain", "dp": 1}', ["gain", "'dp'", "'db'"]),
        (b'{"command": "gain"}', ["gain", "'db' is missing"]),
        (b'{"command": "stop", "now": 1}', ["stop", "'now'", "none"]),
        (b'{"command": "gain", "db": 1, "dp": 1}', ["gain", "'dp'", "'db'"]),
        (b'{"command": "gain", "db": "loud"}', ["'db'", "'loud'", "number"]),
        (b'{"command": "gain", "db": true}', ["'db'", "True"]),
        (b'{"command": "gain", "db": 99}', ["'db'", "99", "24"]),
        (b'{"command": "guard", "ms": -1}', ["'ms'", "-1", "0"]),
        (b'{"command": "mute", "state": "of"}', ["'state'", "'of'", "did you mean 'off'"]),
        (b'{"command": "mute", "state": true}', ["'state'", "True", "'toggle'"]),
        (b'{"command": "stats", "id": [1]}', ["'id'"]),
    ],
    ids=lambda value: value[:40].decode("latin-1") if isinstance(value, bytes) else "",
)
def test_what_is_wrong_is_named_in_one_short_line(line: bytes, names: list[str]) -> None:
    with pytest.raises(FullbandError) as caught:
        protocol.parse(line)
    answer = protocol.refusal(str(caught.value))
    error = json.loads(answer)["error"]
    assert answer.count(b"\n") == 1
    assert len(error) < 200
    assert all(name in error for name in names), error


@pytest.mark.parametrize("identity", [7, "a", None])
def test_an_answer_carries_the_identity_of_its_request(identity: int | str | None) -> None:
    line = json.dumps({"command": "nonsense", "id": identity}).encode()
    assert protocol.identity(line) == identity
    told = json.loads(protocol.result({"gain_db": 1.0}, identity))
    assert told == {"ok": True, "result": {"gain_db": 1.0}} | ({} if identity is None else {"id": identity})


@pytest.mark.parametrize("line", [b"nonsense", b"[1]", b'{"id": [1]}', b'{"id": 1.5}', b'{"id": "' + b"x" * 99 + b'"}'])
def test_an_identity_that_is_none_is_left_out(line: bytes) -> None:
    assert protocol.identity(line) is None
