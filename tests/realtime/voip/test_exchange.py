"""Many calls in one batch: each gets its own voice back, and none is harmed by another. The clock is turned by hand."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.signals.material import at_48_khz, telephone_voice
from realtime.errors import FullbandError
from realtime.voip.exchange import Exchange
from realtime.voip.frames import Frame, Sink, Source, Tee, silence
from realtime.wishes import Brightness
from tests.realtime.microphones import narrow, recorded

Samples = NDArray[np.float32]


class Voice:
    """A source of *samples*."""

    def __init__(self, samples: Samples, bandwidth_hz: float = 4_000.0) -> None:
        self.samples, self.bandwidth_hz, self.frames = samples, bandwidth_hz, 0

    def pull(self) -> Frame:
        frame = silence()
        piece = self.samples[self.frames * 480 : (self.frames + 1) * 480]
        frame[: len(piece)] = piece
        self.frames += 1
        return frame


class Kept:
    """A sink that keeps all."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def push(self, frame: Frame) -> None:
        self.frames.append(frame.copy())

    @property
    def samples(self) -> Samples:
        return np.concatenate(self.frames)


def _tick(exchange: Exchange, count: int) -> None:
    for _ in range(count):
        exchange.tick(time.monotonic_ns() + 10**9)


def _above_hz(samples: Samples, hz: float) -> float:
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    return float(power[np.fft.rfftfreq(len(samples), 1 / 48_000) > hz].sum() / power.sum())


@pytest.fixture(scope="module")
def voice() -> Samples:
    return at_48_khz(telephone_voice(3.0))[0]


def test_sources_and_sinks_are_what_they_say() -> None:
    assert isinstance(Voice(np.zeros(1, np.float32)), Source)
    assert isinstance(Kept(), Sink)
    assert isinstance(Tee(), Sink)


def test_each_call_gets_its_own_voice_back_with_a_high_band_on_top(voice: Samples) -> None:
    gains = (1.0, 0.5, 0.25)
    kept = [Kept() for _ in gains]
    exchange = Exchange(max_streams=4, lanes=2)
    try:
        for gain, sink in zip(gains, kept, strict=True):
            exchange.connect(Voice(np.float32(gain) * voice), sink)
        assert exchange.statistics().lanes == 4  # a second batch was made for the third
        _tick(exchange, 250)
        delay = round(exchange.delay_ms * 48)
    finally:
        exchange.close()
    for gain, sink in zip(gains, kept, strict=True):
        heard = sink.samples[delay + 4_800 :]
        said = gain * voice[4_800 : 4_800 + len(heard)]
        assert np.corrcoef(heard, said)[0, 1] > 0.95
        assert _above_hz(heard, 5_500.0) > 1e-4 > 10 * _above_hz(said, 5_500.0)


def test_without_the_network_a_voice_passes_unchanged_and_at_once(voice: Samples) -> None:
    exchange, kept = Exchange("none"), Kept()
    exchange.connect(Voice(voice), kept)
    _tick(exchange, 10)
    np.testing.assert_array_equal(kept.samples, voice[:4_800])


def test_a_change_of_the_cutoff_is_made_without_the_high_band_and_leaves_the_level_alone(voice: Samples) -> None:
    def heard(change: bool) -> Samples:
        kept = Kept()
        exchange = Exchange()
        try:
            stream = exchange.connect(Voice(voice), kept, cutoff_hz=4_000.0)
            stream.set_brightness(Brightness(-6.0))
            _tick(exchange, 120)
            if change:
                stream.set_cutoff_hz(7_000.0)
            _tick(exchange, 3)
            # The lane's own memory, as the network reads it.
            assert stream.batch is not None and stream.batch.engine.inference is not None
            controls = stream.batch.engine.inference.controls
            assert (controls["level_db"][stream.lane] < -100.0) == change
            _tick(exchange, 60)
            assert controls["level_db"][stream.lane] == -6.0
            assert controls["cutoff_hz"][stream.lane] == (7_000.0 if change else 4_000.0)
        finally:
            exchange.close()
        return kept.samples

    left, changed = heard(False), heard(True)
    np.testing.assert_array_equal(left[: 120 * 480], changed[: 120 * 480])
    spectrum_db = [
        10 * np.log10(np.mean(np.abs(np.fft.rfft(x * np.hanning(len(x)))[k:]) ** 2) + 1e-20)
        for x, k in ((left[123 * 480 : 126 * 480], 180), (changed[123 * 480 : 126 * 480], 180))
    ]
    assert spectrum_db[1] < spectrum_db[0] - 20.0, "meanwhile there is nothing above 6 kHz"


def test_bypass_takes_the_high_band_away_and_gives_it_back(voice: Samples) -> None:
    exchange, kept = Exchange(max_streams=1), Kept()
    try:
        stream = exchange.connect(Voice(np.tile(voice, 2)), kept, bypass=True)
        _tick(exchange, 200)
        stream.set_bypass(False)
        _tick(exchange, 200)
    finally:
        exchange.close()
    assert _above_hz(kept.samples[9_600:96_000], 5_500.0) < 1e-6
    assert _above_hz(kept.samples[100_800:], 5_500.0) > 1e-5


def test_whoever_has_a_lane_next_hears_nothing_of_the_one_before(voice: Samples) -> None:
    exchange, after = Exchange(max_streams=1, lanes=1), Kept()
    try:
        stream = exchange.connect(Voice(voice), Kept())
        _tick(exchange, 50)
        stream.close()
        with pytest.raises(StopIteration):  # a batch is not used again at once: another would be made
            next(batch for batch in exchange._batches if batch.free)
        _tick(exchange, 40)
        exchange.connect(Voice(np.zeros(480, np.float32)), after)
        _tick(exchange, 20)
        assert len(exchange._batches) == 1
    finally:
        exchange.close()
    assert np.abs(after.samples).max() < 1e-6


def test_a_source_that_fails_ends_its_own_call_alone(voice: Samples) -> None:
    class Failing(Voice):
        def pull(self) -> Frame:
            if self.frames == 5:
                raise RuntimeError("broken")
            return super().pull()

    exchange, kept = Exchange("none"), Kept()
    broken = exchange.connect(Failing(voice), Kept())
    exchange.connect(Voice(voice), kept)
    _tick(exchange, 20)
    assert broken.closed
    assert isinstance(broken.fault, RuntimeError)
    assert len(kept.frames) == 20
    assert exchange.calls == 1


def test_where_the_network_is_not_done_the_low_band_goes_out_on_time(voice: Samples) -> None:
    exchange, kept = Exchange(max_streams=1), Kept()
    try:
        exchange.connect(Voice(voice), kept)
        exchange._batches[0].engine.stop()  # the network never comes
        for _ in range(100):
            exchange.tick(time.monotonic_ns())
        delay = round(exchange.delay_ms * 48)
        assert exchange.statistics().dull_ticks == 100
    finally:
        exchange.close()
    heard = kept.samples[delay:]
    np.testing.assert_allclose(heard, voice[: len(heard)], atol=1e-3)


def test_a_batch_whose_network_never_comes_keeps_no_other_waiting(voice: Samples) -> None:
    kept = [Kept(), Kept()]
    exchange = Exchange(max_streams=2, lanes=1)
    try:
        for sink in kept:
            exchange.connect(Voice(np.tile(voice, 10)), sink)
        broken, sound = (group for group in exchange._groups if group.batch is not None)
        assert broken.batch is not None
        broken.batch.engine.stop()
        exchange.start()
        assert (sound.due_ns - broken.due_ns) % 10_000_000 == 5_000_000
        while sound.ticks - sound.dull < 20 or broken.ticks < 20:
            time.sleep(0.01)
        assert broken.dull == broken.ticks
    finally:
        exchange.close()
    assert all(len(sink.frames) >= 20 for sink in kept)


def test_a_frame_that_nobody_takes_is_neither_late_nor_left_out() -> None:
    with Exchange("none") as exchange:
        time.sleep(0.3)
    statistics = exchange.statistics()
    assert (statistics.ticks, statistics.late_ticks, statistics.skipped_ticks) == (0, 0, 0)


def test_who_starts_the_clock_goes_before_other_programs_until_it_is_closed() -> None:
    found: list[int] = []
    allowed: list[bool] = []

    def start() -> None:
        thread = threading.get_native_id()
        found.append(os.getpriority(os.PRIO_PROCESS, thread))
        with Exchange("none"):
            found.append(os.getpriority(os.PRIO_PROCESS, thread))
        found.append(os.getpriority(os.PRIO_PROCESS, thread))
        try:
            os.setpriority(os.PRIO_PROCESS, thread, -11)
        except PermissionError:
            allowed.append(False)
        else:
            allowed.append(True)

    one = threading.Thread(target=start)
    one.start()
    one.join()
    before, during, after = found
    assert during == (min(before, -11) if allowed[0] else before)
    assert after == before


def test_too_many_streams_are_refused_and_those_without_the_network_are_not(voice: Samples) -> None:
    exchange = Exchange(max_streams=1)
    try:
        exchange.connect(Voice(voice), Kept())
        with pytest.raises(FullbandError, match="all 1 streams are taken"):
            exchange.connect(Voice(voice), Kept())
        exchange.connect(Voice(voice), Kept(), enhance=False)
    finally:
        exchange.close()


def test_the_band_of_a_wide_codec_is_found_by_listening(voice: Samples) -> None:
    """Opus may carry a telephone's voice; nothing is added until that is known."""
    exchange, kept = Exchange(max_streams=1), Kept()
    try:
        stream = exchange.connect(Voice(voice, 24_000.0), kept)
        assert stream.cutoff_hz == 24_000.0
        _tick(exchange, 300)
        assert 3_000.0 < stream.cutoff_hz < 5_000.0
    finally:
        exchange.close()


def test_the_clock_keeps_time(voice: Samples) -> None:
    kept = Kept()
    with Exchange("none") as exchange:
        exchange.connect(Voice(voice), kept)
        began = time.monotonic()
        time.sleep(0.5)
        passed_s = time.monotonic() - began
    statistics = exchange.statistics()
    frames = statistics.ticks + statistics.skipped_ticks
    assert abs(frames - 100 * passed_s) < 30  # whatever the machine does, none is lost without being counted


def test_a_missing_model_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(FullbandError, match="no model file"):
        Exchange(str(tmp_path / "missing.onnx"))


def test_a_call_whose_band_becomes_narrow_stays_as_bright_as_it_was() -> None:
    dull = Brightness(-4.0, 3.0)
    heard = recorded(dull, 8.0)
    said = np.concatenate([heard, narrow(np.tile(heard, 3), 8_000.0)])
    exchange = Exchange(max_streams=3, lanes=3)
    try:
        stream = exchange.connect(Voice(said, 24_000.0), Kept())
        wished = exchange.connect(Voice(said, 24_000.0), Kept())
        wished.set_brightness(Brightness(2.0, 0.0))
        other = exchange.connect(Voice(narrow(said, 8_000.0), 24_000.0), Kept())
        assert stream.batch is not None and stream.batch.engine.inference is not None
        controls = stream.batch.engine.inference.controls
        told = []
        for _ in range(len(said) // 480):
            _tick(exchange, 1)
            if controls["level_db"][stream.lane, 0] > -100.0:  # not while its high band is faded out
                told.append((controls["level_db"][stream.lane, 0], controls["tilt_db"][stream.lane, 0]))
            time.sleep(0.002)
        assert told[-1] == pytest.approx(tuple(dull), abs=1.5)
        assert np.abs(np.diff(np.array(told), axis=0)).max() < 0.1, "it glides"
        assert (controls["level_db"][other.lane, 0], controls["tilt_db"][other.lane, 0]) == (0.0, 0.0)
        assert (controls["level_db"][wished.lane, 0], controls["tilt_db"][wished.lane, 0]) == (2.0, 0.0)
    finally:
        exchange.close()


def test_what_is_wished_holds_for_every_call(voice: Samples) -> None:
    wished = Brightness(-3.0, 2.0)
    exchange = Exchange(max_streams=3, brightness=wished, pivot_hz=4_000.0)
    try:
        streams = [exchange.connect(Voice(voice), Kept(), cutoff_hz=4_000.0) for _ in range(2)]
        wide = exchange.connect(Voice(voice), Kept(), cutoff_hz=8_000.0)
        _tick(exchange, 10)
        batch = streams[0].batch
        assert batch is not None and batch.engine.inference is not None
        controls = batch.engine.inference.controls
        assert [(controls["level_db"][x.lane, 0], controls["tilt_db"][x.lane, 0]) for x in streams] == [wished, wished]
        # Another band, the same line: an octave further on.
        assert (controls["level_db"][wide.lane, 0], controls["tilt_db"][wide.lane, 0]) == (-1.0, 2.0)
    finally:
        exchange.close()
    with pytest.raises(FullbandError, match=r"study-unet.*tilt \+2\.0"):
        Exchange("study-unet", brightness=wished)
