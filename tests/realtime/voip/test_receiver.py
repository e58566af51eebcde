"""The jitter buffer, in virtual time: what is heard when the network is bad, and how late."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.signals.alignment import align
from bench.signals.clicks import find_clicks, thresholds
from bench.signals.material import at_48_khz, telephone_voice
from bench.voip.impairment import Impairment, Link
from realtime.voip.codecs import L16, OPUS, PCMU
from realtime.voip.media import Media
from realtime.voip.receiver import Receiver
from realtime.voip.rtp import Packet

from .line import Heard, call, impaired, listen, packets

Samples = NDArray[np.float32]

SECONDS = 12.0

#: A frame of the listener, the packet's own phase, and what the resampler waits for.
_LEAST_MS = 15.0


@pytest.fixture(scope="module")
def said() -> Samples:
    """Speech without pauses, up to 4 kHz, at 48 kHz."""
    return at_48_khz(telephone_voice(SECONDS))[0]


def _settled(heard: Heard) -> NDArray[np.float64]:
    return heard.delays_ms[200:]


def test_a_good_network_costs_little_more_than_a_frame_and_changes_nothing(said: Samples) -> None:
    heard, _ = call(L16, said)
    assert heard.concealed_share == 0.0
    assert np.percentile(_settled(heard), 95) < _LEAST_MS + 8.0
    found = align(heard.samples[48_000:], said[48_000:], 960, steered=True)  # at first the buffer settles
    assert found.unheard == 0


@pytest.mark.parametrize("loss", [0.01, 0.05, 0.10])
def test_what_is_lost_is_made_up_and_no_more_and_the_delay_stays(said: Samples, loss: float) -> None:
    heard, link = call(PCMU, said, Impairment(loss=loss))
    assert abs(heard.concealed_share - link.lost_share) < 0.005
    assert heard.receiver.counts.lost == link.lost
    assert _settled(heard).max() < _LEAST_MS + 15.0


def test_a_burst_of_losses_is_made_up(said: Samples) -> None:
    heard, link = call(PCMU, said, Impairment(burst_begin=0.02, burst_end=0.33))
    assert link.lost_share > 0.02
    assert abs(heard.concealed_share - link.lost_share) < 0.01


def test_opus_makes_most_lost_packets_up_from_the_next_ones(said: Samples) -> None:
    heard, link = call(OPUS, said, Impairment(loss=0.05))
    assert heard.receiver.counts.recovered > 0.7 * link.lost
    assert heard.concealed_share < 0.5 * link.lost_share


def test_jitter_is_waited_for_and_no_longer_than_it_is(said: Samples) -> None:
    heard, _ = call(PCMU, said, Impairment(jitter_ms=60.0))
    assert heard.concealed_share < 0.01
    assert 50.0 < np.median(_settled(heard)) < 85.0
    assert _settled(heard).max() < 100.0


def test_the_delay_shrinks_again_when_the_jitter_is_over(said: Samples) -> None:
    media = Media(PCMU)
    long = np.tile(said, 3)
    sent = packets(media, long)
    calm = len(sent) // 6
    arriving = impaired(sent[:calm], Link(Impairment(jitter_ms=80.0), 1)) + sent[calm:]
    arriving.sort(key=lambda one: one[0])
    heard = listen(media, arriving, len(long) / 48_000)
    assert heard.delays_ms[: calm * 2].max() > 60.0
    assert heard.delays_ms[-100:].max() < 30.0


def test_packets_that_overtake_each_other_are_put_in_order(said: Samples) -> None:
    heard, link = call(PCMU, said, Impairment(reorder=0.05))
    counts = heard.receiver.counts
    assert 0.9 * link.overtaken <= counts.reordered <= link.overtaken  # the last of all overtakes nothing
    assert counts.lost == 0
    assert heard.concealed_share < 0.01


def test_copies_are_counted_and_not_heard(said: Samples) -> None:
    heard, link = call(PCMU, said, Impairment(duplicate=0.10))
    assert heard.receiver.counts.duplicate == link.copies
    assert heard.concealed_share == 0.0
    assert heard.receiver.counts.lost == 0


@pytest.mark.parametrize("ppm", [-300.0, 300.0])
def test_a_sender_whose_clock_is_off_is_followed_by_the_resampler(said: Samples, ppm: float) -> None:
    heard, _ = call(PCMU, np.tile(said, 4), Impairment(sender_ppm=ppm))
    assert heard.concealed_share == 0.0
    assert np.ptp(_settled(heard)) < 12.0
    assert heard.receiver.counts.shortened + heard.receiver.counts.lengthened <= 2
    assert abs(heard.receiver.ppm - ppm) < 150.0


@pytest.mark.parametrize(
    "impairment",
    [
        Impairment(loss=0.10),
        Impairment(burst_begin=0.02, burst_end=0.33),
        Impairment(jitter_ms=60.0),
        Impairment(loss=0.05, jitter_ms=40.0, reorder=0.05, duplicate=0.05, sender_ppm=300.0),
    ],
    ids=["loss", "bursts", "jitter", "all"],
)
def test_nothing_of_it_clicks(said: Samples, impairment: Impairment) -> None:
    """In linear samples at 48 kHz a seam would show above 6 kHz, where this voice has nothing."""
    heard, _ = call(L16, said, impairment)
    # Where the voice was when a seam was made moves with the delay; the loudest place of all is the measure.
    limit = float(thresholds([said]).max())
    assert find_clicks(heard.samples, np.full(len(heard.samples), limit)).count == 0


def test_the_click_detector_finds_what_a_buffer_of_zeros_would_do(said: Samples) -> None:
    """The test above can fail."""
    cut = said.copy()
    for first in range(48_000, len(cut) - 48_000, 9_600):
        cut[first : first + 480] = 0.0
    limit = float(thresholds([said]).max())
    assert find_clicks(cut, np.full(len(cut), limit)).count > 5


def test_a_stall_of_the_network_leaves_no_delay_behind(said: Samples) -> None:
    media = Media(PCMU)
    arriving = [(6.0 if 5.5 < when < 6.0 else when, packet) for when, packet in packets(media, said)]
    heard = listen(media, arriving, SECONDS)
    assert heard.delays_ms[620:].max() < 400.0
    assert heard.delays_ms[-1] < 230.0
    assert heard.receiver.counts.lost == 0


def test_a_sender_whose_clock_stood_still_is_soon_heard_as_before(said: Samples) -> None:
    """All packets come 700 ms later than they did, for ever, as after a stall of the other side."""
    media = Media(PCMU)
    arriving = [(when + (0.7 if when > 5.0 else 0.0), packet) for when, packet in packets(media, said)]
    heard = listen(media, arriving, SECONDS)
    counts = heard.receiver.counts
    assert counts.lost == 0
    assert counts.resyncs <= 1
    assert counts.concealed_samples < 48_000 * 1.0
    assert np.abs(heard.delays_ms[620:]).max() < 60.0


def test_another_stream_takes_over_at_once(said: Samples) -> None:
    media = Media(PCMU)
    sent = packets(media, said)
    half = len(sent) // 2
    second = [(when, packet) for when, packet in packets(media, said, ssrc=2) if when > sent[half][0]]
    heard = listen(media, sent[: half + 1] + second, SECONDS)
    counts = heard.receiver.counts
    assert counts.streams == 2
    assert heard.receiver.arrivals.ssrc == 2
    assert counts.concealed_samples < 48_000 * 0.05
    assert counts.lost == 0
    assert heard.delays_ms[-1] < _LEAST_MS + 8.0


def test_one_packet_of_another_stream_changes_nothing(said: Samples) -> None:
    media = Media(PCMU)
    sent = packets(media, said)
    stray = replace_packet(sent[300][1], ssrc=99)
    heard = listen(media, [*sent[:300], (sent[300][0] - 0.001, stray), *sent[300:]], SECONDS)
    assert heard.receiver.counts.streams == 1
    assert heard.receiver.counts.strange == 1
    assert heard.concealed_share == 0.0


def replace_packet(packet: Packet, **changes: int) -> Packet:
    return packet._replace(**changes)  # type: ignore[arg-type]


def test_sequence_and_timestamp_may_wrap_around_and_jump(said: Samples) -> None:
    media = Media(PCMU)
    sent = packets(media, said)
    first = sent[0][1]
    wrapping = []
    for number, (when, packet) in enumerate(sent):
        jump = 20_000 if number >= 400 else 0
        sequence = (packet.sequence - first.sequence + 65_500 + jump) % 65_536
        timestamp = (packet.timestamp - first.timestamp + 2**32 - 8_000 + 100 * jump) % 2**32
        wrapping.append((when, packet._replace(sequence=sequence, timestamp=timestamp)))
    heard = listen(media, wrapping, SECONDS)
    counts = heard.receiver.counts
    assert counts.lost == 0
    assert counts.streams == 2  # the jump; wrapping around is none
    assert heard.concealed_share < 0.01


def test_a_long_silence_is_neither_loss_nor_delay(said: Samples) -> None:
    """Nothing is sent for five seconds, as by a sender that leaves pauses out."""
    media = Media(PCMU)
    sent = [(when, packet) for when, packet in packets(media, said) if not 4.0 < when < 9.0]
    number = sent[0][1].sequence
    without_gap = [(when, p._replace(sequence=(number + k) % 65_536)) for k, (when, p) in enumerate(sent)]
    heard = listen(media, without_gap, SECONDS)
    assert heard.receiver.counts.lost == 0
    assert heard.receiver.counts.concealed_samples == 0
    assert heard.delays_ms[-1] < _LEAST_MS + 8.0
    quiet = heard.samples[6 * 48_000 : 8 * 48_000]
    assert np.sqrt(np.mean(quiet**2)) < 0.01


def test_comfort_noise_is_heard_at_the_level_that_was_told(said: Samples) -> None:
    media = Media(PCMU)
    sent = [(when, packet) for when, packet in packets(media, said) if when < 4.0]

    def tell(receiver: Receiver, frame: int) -> None:
        if frame == 402:
            receiver.note_noise(bytes([46]))  # -46 dB below full scale: 0.005

    heard = listen(media, sent, 6.0, tell)
    level = float(np.sqrt(np.mean(heard.samples[5 * 48_000 :] ** 2)))
    assert 0.0035 < level < 0.007
    assert heard.receiver.counts.concealed_samples == 0


def test_pauses_that_are_left_out_are_counted_as_nothing_lost() -> None:
    """G.711 with comfort noise, sent and heard by our own."""
    rng = np.random.default_rng(0)
    speech = at_48_khz(telephone_voice(2.0))[0]
    pause = (0.002 * rng.standard_normal(96_000)).astype(np.float32)
    media = replace(Media(PCMU), dtx=True)
    sent = packets(media, np.concatenate([pause, speech, pause, speech]))
    audio = [(when, packet) for when, packet in sent if packet.payload_type == 0]
    assert len(audio) < 0.8 * 400

    receiver_noise = {round(when * 100): packet for when, packet in sent if packet.payload_type == 13}
    assert receiver_noise

    def tell(receiver: Receiver, frame: int) -> None:
        packet = receiver_noise.get(frame)
        if packet is not None:
            receiver.arrivals.skip(packet)
            receiver.note_noise(packet.payload)

    heard = listen(media, audio, 8.0, tell)
    assert heard.receiver.counts.lost <= 1  # noise that was told before the first packet
    assert heard.concealed_share < 0.01
