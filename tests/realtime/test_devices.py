"""A device is found by what people call it; where that is not one device, the message names those it could be."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Literal

import pytest

from realtime.devices import Device, _choose, find, list_devices
from realtime.errors import FullbandError


def _device(index: int, name: str, hostapi: str = "ALSA") -> Device:
    return Device(index, name, hostapi, 2, 2, 48_000.0, 5.0, 5.0)


KNOWN = [
    _device(0, "HDA Intel PCH: ALC257 Analog (hw:0,0)"),
    _device(1, "USB Audio Headset: Audio (hw:1,0)"),
    _device(2, "default"),
    _device(3, "FakeMic", "JACK Audio Connection Kit"),
    _device(4, "FakeMic 2", "JACK Audio Connection Kit"),
    _device(5, "FakeMic"),
]


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("usb headset", 1),
        ("Headset USB", 1),
        ("hda intel pch: alc257 analog (hw:0,0)", 0),
        ("ALSA: default", 2),
        ("JACK: FakeMic", 3),
        ("jack: fakemic", 3),
        ("JACK: FakeMic 2", 4),
        ("2 fakemic", 4),
        ("4", 4),
        ("  default ", 2),
    ],
)
def test_a_device_is_found_by_name_words_or_number(name: str, index: int) -> None:
    assert _choose(name, "input", KNOWN).index == index


def test_an_exact_name_wins_over_one_that_contains_it() -> None:
    assert _choose("FakeMic", "input", [KNOWN[4], KNOWN[3]]).index == 3


def test_a_name_of_two_devices_is_refused_with_both() -> None:
    with pytest.raises(FullbandError, match="could be any of") as caught:
        _choose("fakemic", "input", KNOWN)
    assert "'JACK: FakeMic'" in str(caught.value)
    assert "'ALSA: FakeMic'" in str(caught.value)


@pytest.mark.parametrize("name", ["usb hedset", "JACK: FakMic"])
def test_an_unknown_name_is_answered_with_the_nearest(name: str) -> None:
    with pytest.raises(FullbandError, match="no output device") as caught:
        _choose(name, "output", KNOWN)
    assert ("FakeMic" if "Mic" in name else "Headset") in str(caught.value)


def test_a_number_that_no_device_has_is_refused() -> None:
    with pytest.raises(FullbandError, match="no input device '99'"):
        _choose("99", "input", KNOWN)


@pytest.mark.parametrize("kind", ["input", "output"])
def test_what_is_asked_of_this_machine_is_a_device_or_one_clear_line(kind: Literal["input", "output"]) -> None:
    for name in (None, "a name that no device has"):
        try:
            device = find(name, kind)
        except FullbandError as error:
            assert "\n" not in str(error)
        else:
            assert device in list_devices()


def test_importing_the_module_does_not_open_the_sound_system() -> None:
    code = "import sys, realtime.devices; sys.exit('sounddevice' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=False, env={**os.environ, "PYTHONPATH": "."})
    assert done.returncode == 0
