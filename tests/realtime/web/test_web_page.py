"""The page in a real browser: spoken into, heard, looked at, and driven by the keyboard."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.servers import poll
from tests.sip_peers import voice

from .browser import Visitor, WebHost, chromium, web_host

pytestmark = pytest.mark.server

#: One round of the voice that ships is 8.7 s: any part as long as this has speech in it.
_LOOK_MS = 4_000


@dataclass
class Place:
    folder: Path
    host: WebHost
    browser: Any
    microphone: Path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("page")
    microphone = folder / "microphone.wav"
    soundfile.write(microphone, voice(48_000), 48_000, subtype="PCM_16")
    with web_host(folder) as host, chromium(microphone) as browser:
        yield Place(folder, host, browser, microphone)


def expect_status(visitor: Visitor, text: str) -> None:
    from playwright.sync_api import expect

    expect(visitor.page.get_by_role("status")).to_contain_text(text, timeout=60_000)


def power_db(samples: NDArray[np.float32], from_hz: float, to_hz: float) -> float:
    """Mean power of [n] between two frequencies, in dB."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    frequency = np.fft.rfftfreq(len(samples), 1 / 48_000)
    inside = (frequency >= from_hz) & (frequency < to_hz)
    return float(10.0 * np.log10(spectrum[inside].sum() / len(samples) ** 2 + 1e-20))


def low_band(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """What a telephone carries, 300 to 3000 Hz."""
    spectrum = np.fft.rfft(samples)
    frequency = np.fft.rfftfreq(len(samples), 1 / 48_000)
    spectrum[(frequency < 300.0) | (frequency > 3_000.0)] = 0.0
    return np.fft.irfft(spectrum, len(samples))


def likeness(heard: NDArray[np.float32], said: NDArray[np.float32]) -> tuple[float, float]:
    """Of windows of 0.1 s of *heard* that hold speech, beside *said* over and over: how like the low band of half of
    them is, at least, to where it is most like; and how far apart, in ms, the middle half of these places are.

    A window in which a jitter buffer stretches, cuts or conceals is like nothing: on a busy machine that is one in ten.
    """
    window = 4_800
    heard_low = low_band(heard)
    said_low = low_band(said)
    likenesses, shifts = [], []
    size = len(said_low)
    spectrum = np.fft.rfft(said_low)
    # Energy of every window of the loop.
    energy = np.fft.irfft(np.fft.rfft(said_low**2) * np.conj(np.fft.rfft(np.ones(window), size)), size)
    for start in range(0, len(heard_low) - window, window):
        part = heard_low[start : start + window]
        if np.sqrt(np.mean(part**2)) < 0.01:
            continue
        product = np.fft.irfft(spectrum * np.conj(np.fft.rfft(part, size)), size)
        correlation = product / np.sqrt(np.maximum(energy, 1e-3) * np.sum(part**2))
        place = int(correlation.argmax())
        likenesses.append(float(correlation[place]))
        shifts.append((place - start) % size)
    assert len(likenesses) >= 8, "the voice was not heard"
    around = np.angle(np.exp(2j * np.pi * (np.array(shifts) - np.median(shifts)) / size)) * size / (2 * np.pi)
    return float(np.median(likenesses)), float(np.subtract(*np.percentile(around, [75, 25]))) / 48.0


def test_a_page_hears_itself_full_band_and_as_it_was_with_bypass(place: Place) -> None:
    visitor = Visitor(place.browser, place.host.address)
    page = visitor.page
    page.get_by_label("Sent to the host as").select_option("opus")
    page.get_by_label("Before the network hears it").select_option("telephone")
    # By the keyboard alone from here on.
    page.get_by_role("button", name="Start").press("Enter")
    expect_status(visitor, "Connected")
    page.get_by_role("button", name="Record").press("Space")
    visitor.listen()
    page.wait_for_timeout(_LOOK_MS)
    full = visitor.heard()
    page.get_by_role("button", name="Stop recording").press("Space")
    expect_status(visitor, "Recorded.")
    page.get_by_role("button", name="Bypass: off").press("Space")
    expect_status(visitor, "Bypass on")
    page.wait_for_timeout(500)
    visitor.heard()
    page.wait_for_timeout(_LOOK_MS)
    dull = visitor.heard()
    visitor.screenshot(place.folder, "page")
    pictures = {name: visitor.pixels(name) for name in ("before", "after")}
    figures = page.locator("#figures").inner_text()
    sides = {}
    for side in ("before", "after"):
        with page.expect_download() as download:
            page.get_by_role("link", name=f"{side.capitalize()} (WAV)").press("Enter")
        sides[side], rate_hz = soundfile.read(download.value.path(), dtype="float32")
        assert rate_hz == 48_000
    page.get_by_role("button", name="Stop").press("Enter")
    expect_status(visitor, "Stopped")
    page.close()

    # What was heard has a high band that the telephone's voice lacks, and only without bypass.
    levels = {name: power_db(part, 5_000, 16_000) - power_db(part, 300, 3_000) for name, part in
              (("full", full), ("dull", dull))}  # fmt: skip
    assert levels["full"] > -30.0
    assert levels["dull"] < levels["full"] - 15.0
    # Either way is Opus at the browser's or the host's bit rate, .98 each; what is heard has been through both. The
    # buffers shift time by some periods of the voice while they settle.
    for way, (heard, said, least) in {
        "to the host": (sides["before"], voice(48_000), 0.95),
        "from the host": (full, sides["after"], 0.95),
        "there and back": (full, voice(48_000), 0.9),
    }.items():
        like, spread_ms = likeness(heard, said)
        assert like > least, way
        assert spread_ms < 150.0, way

    # Right before and right after the network, to the sample.
    before, after = sides["before"], sides["after"]
    assert len(before) == len(after) > 48_000
    assert power_db(before, 4_500, 20_000) < power_db(before, 300, 3_000) - 50.0
    assert power_db(after, 4_500, 20_000) > power_db(before, 4_500, 20_000) + 15.0
    correlation = np.corrcoef(low_band(before), low_band(after))[0, 1]
    assert correlation > 0.95

    # Both pictures are drawn, the voice's band in both, what is above it in the lower one.
    for picture in pictures.values():
        assert len(np.unique(picture[90:].reshape(-1, 4), axis=0)) > 20
    high = {name: float(picture[:90, :, :3].mean()) for name, picture in pictures.items()}
    assert high["after"] > high["before"] + 2.0

    for told in ("Jitter (RFC 3550)", "Packets lost", "Delay from", "Load"):
        assert told in figures
    assert visitor.complaints == []
    assert "fault" not in place.host.log


def test_what_is_added_is_as_loud_as_the_slider_says(place: Place) -> None:
    visitor = Visitor(place.browser, place.host.address)
    page = visitor.page
    page.get_by_label("Before the network hears it").select_option("telephone")
    page.get_by_role("button", name="Start").press("Enter")
    expect_status(visitor, "Connected")
    visitor.listen()
    added_db = {}
    for key, said in (("Home", "−24 dB"), ("End", "+12 dB")):
        slider = page.get_by_role("slider", name="Level")
        slider.press(key)
        assert slider.get_attribute("aria-valuetext") == said
        page.wait_for_timeout(500)
        visitor.heard()
        page.wait_for_timeout(_LOOK_MS)
        heard = visitor.heard()
        added_db[key] = power_db(heard, 5_000, 16_000) - power_db(heard, 300, 3_000)
    page.get_by_role("button", name="As it is").press("Enter")
    assert page.locator("#wishes").inner_text().count("as it is") == 2
    page.get_by_role("button", name="Stop").press("Enter")
    expect_status(visitor, "Stopped")
    page.close()
    assert added_db["End"] - added_db["Home"] > 20.0
    assert visitor.complaints == []


@pytest.mark.slow
def test_a_recording_is_played_before_and_after(place: Place) -> None:
    visitor = Visitor(place.browser, place.host.address)
    page = visitor.page
    page.get_by_label("Recording", exact=True).check()
    page.get_by_label("File").set_input_files(place.microphone)
    page.get_by_role("button", name="Start").press("Enter")
    expect_status(visitor, "Playing")
    page.get_by_role("button", name="Bypass: off").press("Space")
    page.wait_for_timeout(2_000)
    assert len(np.unique(visitor.pixels("after").reshape(-1, 4), axis=0)) > 20
    with page.expect_download() as download:
        page.get_by_role("link", name="After (WAV)").press("Enter")
    made, _ = soundfile.read(download.value.path(), dtype="float32")
    assert len(made) == len(voice(48_000))
    assert power_db(made, 5_000, 16_000) > power_db(made, 300, 3_000) - 30.0
    visitor.screenshot(place.folder, "page-recording")
    page.get_by_role("button", name="Stop").press("Enter")
    expect_status(visitor, "Stopped")
    page.close()
    assert visitor.complaints == []


def test_a_page_that_goes_away_ends_its_session_and_the_host_ends_cleanly(place: Place) -> None:
    visitor = Visitor(place.browser, place.host.address)
    seen = len(place.host.records.read_text().splitlines())
    visitor.page.get_by_label("Sent to the host as").select_option("PCMU")
    visitor.page.get_by_role("button", name="Start").press("Enter")
    expect_status(visitor, "Connected")
    visitor.page.close()
    host = place.host
    poll(lambda: len(host.records.read_text().splitlines()) > seen, "the record of the session", 20.0)
    record = json.loads(host.records.read_text().splitlines()[-1])
    assert (record["service"], record["outcome"], record["full_band"]) == ("web", "answered", [True])
    leg = record["legs"]["page"]
    assert leg["codec"] == "PCMU/8000"
    assert leg["packets_received"] > 0 and leg["packets_sent"] > 0
    other = Visitor(place.browser, host.address)
    other.page.get_by_role("button", name="Start").press("Enter")
    expect_status(other, "Connected")
    assert host.end() == 0
    expect_status(other, "Stopped: this host is shutting down")
    assert json.loads(host.figures.read_text())["faults"] == 0
    assert "Traceback" not in host.log
