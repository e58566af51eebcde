"""Devices are found by what people call them, and refusals name the way out."""

from __future__ import annotations

import json
import sys

import pytest

from realtime import devices
from realtime.devices import Device, find
from realtime.errors import FullbandError
from tests import servers

_JACK = "JACK Audio Connection Kit"


def _device(index: int, name: str, hostapi: str, inputs: int = 1, outputs: int = 1) -> Device:
    return Device(index, name, hostapi, inputs, outputs, 48_000.0, 5.0, 6.0)


KNOWN = [
    _device(0, "HDA Intel PCH: ALC257 Analog (hw:0,0)", "ALSA", 2, 2),
    _device(1, "USB Headset: Audio (hw:1,0)", "ALSA", 1, 2),
    _device(2, "jack", "ALSA", 2, 2),
    _device(3, "USB Headset Mono", _JACK),
    _device(4, "USB Headset Mono Monitor", _JACK, 1, 0),
    _device(5, "Speakers", _JACK, 0, 2),
    _device(6, "USB Headset: Audio (hw:1,0)", "OSS"),
]


@pytest.fixture(autouse=True)
def known(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with the devices of :data:`KNOWN`; tests on a real server see that one's."""
    if request.node.get_closest_marker("server") is None:
        monkeypatch.setattr(devices, "list_devices", lambda: KNOWN)
        monkeypatch.setattr(devices, "default_index", lambda kind: None if kind == "output" else 1)


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("0", 0),
        ("alc257", 0),
        ("ANALOG intel", 0),
        ("jack", 2),  # an exact name wins over a system of that name
        ("usb headset mono", 3),  # and over a longer one
        ("JACK: usb headset mono", 3),
        ("monitor usb", 4),
        ("jack:monitor", 4),
        ("jack audio connection kit: monitor", 4),
        ("alsa: usb", 1),
        ("ALSA: headset usb", 1),
        ("alsa: jack", 2),
        ("OSS: USB Headset: Audio (hw:1,0)", 6),
    ],
)
def test_a_name_finds_its_device(name: str, index: int) -> None:
    assert find(name, "input").index == index


def test_without_a_name_it_is_the_default() -> None:
    assert find(None, "input").index == 1
    with pytest.raises(FullbandError, match=r"no default output device.*--output.*'JACK: Speakers'"):
        find(None, "output")


def test_an_ambiguous_name_is_answered_with_the_choices() -> None:
    with pytest.raises(FullbandError) as failure:
        find("usb", "input")
    for label in ("ALSA: USB Headset: Audio (hw:1,0)", "JACK: USB Headset Mono", "OSS: USB Headset"):
        assert label in str(failure.value)
    assert "Intel" not in str(failure.value)
    assert "\n" not in str(failure.value)


def test_the_system_settles_a_name_that_two_systems_have() -> None:
    with pytest.raises(FullbandError, match=r"any of 'ALSA: USB Headset: Audio.*', 'OSS: USB Headset: Audio"):
        find("USB Headset: Audio (hw:1,0)", "input")


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(FullbandError, match=r"no output device 'jack: speekers'.*'JACK: Speakers'"):
        find("jack: speekers", "output")
    with pytest.raises(FullbandError, match=r"no input device 'zzz'.*'JACK: USB Headset Mono Monitor'"):
        find("zzz", "input")


def test_only_devices_of_the_kind_are_found() -> None:
    assert find("usb headset mono", "output").index == 3
    with pytest.raises(FullbandError):
        find("speakers", "input")
    with pytest.raises(FullbandError, match="no input device '5'"):
        find("5", "input")


def test_no_device_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "list_devices", list)
    with pytest.raises(FullbandError, match=r"no input device; .*simulated"):
        find(None, "input")


def test_a_missing_library_is_answered_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoLibrary:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [NoLibrary(), *sys.meta_path])
    with pytest.raises(FullbandError, match=r"PortAudio library not found.*apt-get install libportaudio2"):
        devices.import_sounddevice()


@pytest.mark.server
def test_the_command_lists_what_a_server_has() -> None:
    reason = servers.missing("pipewire")
    if reason is not None:
        pytest.skip(reason)
    command = [sys.executable, "-c", "from realtime.cli import main; main()", "devices"]
    with servers.pipewire() as server:
        shown = server.run(command)
        listed = json.loads(server.run([*command, "--json", "-"]).stdout)
    assert shown.returncode == 0, shown.stderr
    assert "JACK: FakeMic" in shown.stdout
    by_label = {device["label"]: device for device in listed}
    assert by_label["JACK: FakeSpeaker"]["max_output_channels"] == 1
    assert by_label["JACK: FakeMic"]["default_rate_hz"] == 48_000.0
