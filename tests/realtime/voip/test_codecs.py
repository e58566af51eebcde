"""Codecs: what they lose and what they do not."""

from __future__ import annotations

from contextlib import suppress

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from bench.signals.material import telephone_voice
from realtime.errors import FullbandError
from realtime.kernel import upsample
from realtime.voip import g711
from realtime.voip.codecs import CODECS, G722, OPUS, PCMA, PCMU, Codec, find_codec


def _voice(rate_hz: int, seconds: float = 2.0) -> NDArray[np.float32]:
    """Speech, up to 4 kHz."""
    return upsample(telephone_voice(seconds), 8_000, rate_hz)[0] if rate_hz > 8_000 else telephone_voice(seconds)[0]


def _through(codec: Codec, said: NDArray[np.float32], packet_ms: int = 20) -> NDArray[np.float32]:
    encoder, decoder = codec.encoder(packet_ms), codec.decoder()
    count = codec.rate_hz * packet_ms // 1000
    heard = []
    for first in range(0, len(said) // count * count, count):
        payload = encoder.encode(said[first : first + count])
        assert payload is not None
        assert decoder.length(payload) == count
        heard.append(decoder.decode(payload))
    return np.concatenate(heard)


@pytest.mark.parametrize(("law", "name"), [("mu", "pcm_mulaw"), ("a", "pcm_alaw")])
def test_g711_decodes_every_byte_as_another_implementation_does(law: str, name: str) -> None:
    context = av.CodecContext.create(name, "r")
    context.format, context.layout, context.sample_rate = "s16", "mono", 8_000
    frames = context.decode(av.Packet(bytes(range(256))))
    theirs = np.concatenate([frame.to_ndarray().ravel() for frame in frames])
    np.testing.assert_array_equal(g711.DECODE[law] * 32_768, theirs)


@pytest.mark.parametrize("law", ["mu", "a"])
def test_g711_gives_each_sample_the_nearest_level_or_the_one_beside_it_at_a_border(law: str) -> None:
    sample = np.arange(65_536).astype(np.uint16).view(np.int16).astype(np.float64)
    levels = np.sort(np.unique(g711.DECODE[law].astype(np.float64) * 32_768))
    above = np.clip(np.searchsorted(levels, sample), 1, len(levels) - 1)
    nearest = np.minimum(np.abs(levels[above] - sample), np.abs(levels[above - 1] - sample))
    ours = np.abs(g711.DECODE[law][g711.ENCODE[law]] * 32_768 - sample)
    step = np.diff(levels)[np.clip(np.searchsorted(levels, sample), 0, len(levels) - 2)]
    assert (ours - nearest <= step / 2).all()
    assert np.mean(ours - nearest) < 4.0


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.rtpmap)
def test_a_voice_comes_through(codec: Codec) -> None:
    said = _voice(codec.rate_hz)
    heard = _through(codec, said, 10)
    most = int(0.02 * codec.rate_hz)
    count = len(heard) - 2 * most
    likeness = [np.corrcoef(heard[d:][:count], said[:count])[0, 1] for d in range(0, most, codec.rate_hz // 8_000)]
    assert max(likeness) > 0.9


@pytest.mark.parametrize("codec", [PCMU, PCMA, G722], ids=lambda codec: codec.name)
def test_any_payload_of_these_has_a_length_and_decodes_to_it(codec: Codec) -> None:
    payload = np.random.default_rng(0).integers(0, 256, 160, np.uint8).tobytes()
    decoder = codec.decoder()
    assert len(decoder.decode(payload)) == decoder.length(payload)


def test_opus_refuses_what_is_no_packet_of_its_own_and_goes_on() -> None:
    decoder = OPUS.decoder()
    rng = np.random.default_rng(1)
    for size in range(1, 200):
        payload = rng.integers(0, 256, size, np.uint8).tobytes()
        if decoder.length(payload) > 0:
            with suppress(ValueError):
                assert len(decoder.decode(payload)) <= 5_760
    payload = OPUS.encoder(20).encode(np.zeros(960, np.float32))
    assert payload is not None
    assert len(decoder.decode(payload)) == 960


def test_a_lost_opus_packet_is_made_up_from_the_next_one() -> None:
    said = _voice(48_000, 4.0)
    encoder, whole = OPUS.encoder(20), OPUS.decoder()
    payloads = [encoder.encode(said[k * 960 : (k + 1) * 960]) or b"" for k in range(200)]
    wanted = [whole.decode(payload) for payload in payloads]
    recovered_error = repeated_error = power = 0.0
    for lost in range(20, 190, 10):
        decoder = OPUS.decoder()
        for payload in payloads[:lost]:
            decoder.decode(payload)
        recovered = decoder.recover(payloads[lost + 1], 960)
        assert recovered is not None
        recovered_error += float(np.mean((recovered - wanted[lost]) ** 2))
        repeated_error += float(np.mean((wanted[lost - 1] - wanted[lost]) ** 2))
        power += float(np.mean(wanted[lost] ** 2))
    assert recovered_error < 0.2 * power < repeated_error


def test_with_dtx_opus_sends_next_to_nothing_of_silence() -> None:
    encoder = OPUS.encoder(20, True)
    sent = [encoder.encode(np.zeros(960, np.float32)) for _ in range(100)]
    assert sum(payload is not None for payload in sent) < 30


@pytest.mark.parametrize(("written", "codec"), [("pcmu", PCMU), ("G.722", G722), ("OPUS", OPUS), ("alaw", PCMA)])
def test_a_codec_is_found_by_what_people_write(written: str, codec: Codec) -> None:
    assert find_codec(written) is codec


def test_an_unknown_codec_is_answered_by_the_nearest() -> None:
    with pytest.raises(FullbandError, match="PCMU"):
        find_codec("PCM-U")
