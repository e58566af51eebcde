"""A codec keeps time and level, gives the same again, and ends the band where its record says."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from model.degrade.codecs import CODECS, through
from realtime.errors import FullbandError
from realtime.paths import VOICE_CLIP

from .speech import RATE_HZ


@pytest.fixture(scope="module")
def voice() -> NDArray[np.float32]:
    samples, _ = soundfile.read(VOICE_CLIP, dtype="float32", stop=3 * RATE_HZ + 77)
    return samples


def _spectrum(samples: NDArray[np.float32]) -> NDArray[np.complex128]:
    return np.fft.rfft(samples, 1 << 18)


def _power(samples: NDArray[np.float32], low_hz: float, high_hz: float) -> float:
    frequency_hz = np.fft.rfftfreq(1 << 18, 1.0 / RATE_HZ)
    band = (frequency_hz >= low_hz) & (frequency_hz < high_hz)
    return float(np.sum(np.abs(_spectrum(samples)[band]) ** 2))


@pytest.mark.parametrize("codec", CODECS)
def test_what_comes_out_is_as_long_and_in_line(voice: NDArray[np.float32], codec: str) -> None:
    heard = through(codec, voice)
    assert heard.shape == voice.shape and heard.dtype == np.float32 and np.all(np.isfinite(heard))
    correlation = np.fft.irfft(_spectrum(heard) * np.conj(_spectrum(voice)))
    late = (int(np.argmax(correlation)) + (1 << 17)) % (1 << 18) - (1 << 17)
    # Filters in codecs of speech turn phases of low tones a little: on voice the peak may be a sample elsewhere.
    assert abs(late) <= 1


@pytest.mark.parametrize("codec", CODECS)
def test_the_level_of_speech_is_kept_within_1_db(voice: NDArray[np.float32], codec: str) -> None:
    change_db = 10.0 * np.log10(_power(through(codec, voice), 300.0, 3_000.0) / _power(voice, 300.0, 3_000.0))
    assert abs(change_db) < 1.0


@pytest.mark.parametrize("codec", CODECS)
def test_the_band_ends_where_the_record_says(voice: NDArray[np.float32], codec: str) -> None:
    heard, edge_hz = through(codec, voice), CODECS[codec].bandwidth_hz
    below, above = (
        10.0 * np.log10(_power(heard, low, low + 400.0) / _power(voice, low, low + 400.0))
        for low in (edge_hz - 600.0, edge_hz + 200.0)
    )
    assert below > -6.0 and (above < -15.0 or edge_hz >= 20_000.0)


@pytest.mark.parametrize("codec", CODECS)
def test_threads_give_the_same_as_one_after_the_other(voice: NDArray[np.float32], codec: str) -> None:
    expected = through(codec, voice[:RATE_HZ])
    with ThreadPoolExecutor(4) as pool:
        for heard in pool.map(lambda _: through(codec, voice[:RATE_HZ]), range(4)):
            assert np.array_equal(heard, expected)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("count", [1, 100, 5_000])
def test_short_and_loud_input_is_taken(codec: str, count: int) -> None:
    heard = through(codec, np.full(count, 1.5, np.float32))
    assert heard.shape == (count,) and np.all(np.isfinite(heard))


def test_a_codec_that_is_not_known_is_named_with_its_neighbours() -> None:
    with pytest.raises(FullbandError, match=r"no codec 'opus-13k'; did you mean 'opus-1[26]k'\?"):
        through("opus-13k", np.zeros(1, np.float32))
