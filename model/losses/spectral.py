"""Distance between spectra at several resolutions, only where the target can be trusted."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..networks.shaper import CROSSOVER
from ..networks.transforms import SAMPLE_RATE_HZ, bin_frequencies_hz, triangular_bands

#: Signals are compared at this level, so that loud and soft segments weigh the same.
REFERENCE_RMS = 0.05

#: Amplitude of white noise at which a difference stops to count: the floor of the LSD of the usual
#: protocol, 1e-8 in the power of a bin of a Hann window of 2048 samples.
FLOOR_RMS = 3.6e-6

#: A frame 30 dB below the mean is a pause; there too loud is worse than too soft.
PAUSE_POWER = 1e-3

#: Spacing of the bands in which envelopes are compared: fine enough for the gaps between formants.
ENVELOPE_HZ = 375.0

#: The third of an octave around the cutoff, where a hole or a line between the bands is heard.
CROSSOVER_THIRD = (2.0 ** (-1.0 / 6.0), 2.0 ** (1.0 / 6.0))

#: Vorbis and MP3 leave out bands for single frames, and the high band of pauses: a target this empty
#: teaches nothing.
HOLE_RMS = 1e-5

#: Added hiss fills the holes; what is less than 6 dB above it is one.
HISS_MARGIN = 2.0


@dataclass(frozen=True)
class Truth:
    """Targets [B, samples] and where they hold; all else is [B, 1].

    They hold above *cutoff_hz* and below *limit_hz*, where a codec's content ends. *lossy* is 1.0 where holes and empty
    pauses are a codec's, 0.0 where silence is silence. *hiss_rms* is the level of steady noise that was added on top,
    which fills a codec's holes. *pitch_hz* [B, frames] is the pitch of frames of 40 ms every 10 ms, 0 without a voice.
    """

    target: Tensor
    cutoff_hz: Tensor
    limit_hz: Tensor
    lossy: Tensor
    hiss_rms: Tensor
    pitch_hz: Tensor


class SpectralLoss(nn.Module):
    """Mean over resolutions of L1 between log spectra, between smooth envelopes, and excess in pauses.

    The longest window adds the log-spectral distance itself, the root mean square over the bins of a frame, and the
    errors of two levels: of all that was added, and of the third of an octave around the cutoff. The logarithms of
    bins are content with less than the energy of a band.
    """

    def __init__(
        self, windows: tuple[int, ...], pause_weight: float, distance_weight: float = 0.0, level_weight: float = 0.0
    ) -> None:
        super().__init__()
        self.windows = windows
        self.pause_weight = pause_weight
        self.distance_weight = distance_weight
        self.level_weight = level_weight
        for size in windows:
            bins_hz = bin_frequencies_hz(size, 0, size // 2)
            centres_hz = np.arange(0.0, SAMPLE_RATE_HZ / 2 + 1.0, max(ENVELOPE_HZ, bins_hz[1]))
            bands = triangular_bands(centres_hz, bins_hz)
            bands /= bands.sum(axis=1, keepdims=True)
            buffers = {
                "window": torch.hann_window(size),
                "bins_hz": torch.tensor(bins_hz, dtype=torch.float32),
                "centres_hz": torch.tensor(centres_hz, dtype=torch.float32),
                "bands": torch.tensor(bands),
                "band_of_bin": torch.tensor(bands.argmax(axis=0)),
            }
            for name, value in buffers.items():
                self.register_buffer(f"{name}_{size}", value, persistent=False)

    def forward(self, output: Tensor, truth: Truth) -> dict[str, Tensor]:
        """Output [B, samples] -> scalars "total", "fine", "envelope", "pause", "distance" and "level", in nepers."""
        rms = torch.sqrt(truth.target.square().mean(-1, keepdim=True) + 1e-12)
        scale = REFERENCE_RMS / rms
        scaled = replace(truth, target=truth.target * scale, hiss_rms=truth.hiss_rms * scale)
        parts = [self._at(window, output * scale, scaled) for window in self.windows]
        losses = {name: torch.stack([part[name] for part in parts]).mean() for name in ("fine", "envelope", "pause")}
        longest = parts[self.windows.index(max(self.windows))]
        losses |= {name: longest[name] for name in ("distance", "level")}
        weights = {
            "fine": 1.0,
            "envelope": 1.0,
            "pause": self.pause_weight,
            "distance": self.distance_weight,
            "level": self.level_weight,
        }
        total = torch.stack([weight * losses[name] for name, weight in weights.items()]).sum()
        return {"total": total, **losses}

    def _at(self, size: int, output: Tensor, truth: Truth) -> dict[str, Tensor]:
        window = self.get_buffer(f"window_{size}")
        bands = self.get_buffer(f"bands_{size}")
        noise_power = float(window.square().sum())
        floor = FLOOR_RMS**2 * noise_power
        target = truth.target

        def power(signal: Tensor) -> Tensor:
            spectrum = torch.stft(signal, size, size // 4, window=window, return_complex=True)
            return spectrum.real.square() + spectrum.imag.square()

        def inside(frequency_hz: Tensor) -> Tensor:
            above = frequency_hz > CROSSOVER[0] * truth.cutoff_hz
            return (above & (frequency_hz < truth.limit_hz)).to(target.dtype).unsqueeze(-1)

        def excess(given: Tensor, wanted: Tensor) -> Tensor:
            return 0.5 * (torch.log(given + floor) - torch.log(wanted + floor))

        wanted, given = power(target), power(output)
        smooth_wanted, smooth_given = _smooth(wanted, bands), _smooth(given, bands)
        loudness = wanted.mean(1, keepdim=True)
        pause = loudness < PAUSE_POWER * loudness.mean(-1, keepdim=True)
        hiss_rms = truth.hiss_rms.unsqueeze(-1)
        lowest = torch.clamp_min(HISS_MARGIN * hiss_rms, HOLE_RMS).square() * noise_power
        # In a pause hiss is all there is, and known.
        empty = torch.where(pause, hiss_rms == 0.0, smooth_wanted < lowest)
        hole = empty.to(target.dtype) * truth.lossy.unsqueeze(-1)
        band_weight = inside(self.get_buffer(f"centres_hz_{size}")) * (1.0 - hole)
        bin_hole = hole[:, self.get_buffer(f"band_of_bin_{size}")]
        bin_weight = inside(self.get_buffer(f"bins_hz_{size}")) * (1.0 - bin_hole)
        quiet = band_weight * pause.to(target.dtype)
        envelope = excess(smooth_given, smooth_wanted)
        difference = excess(given, wanted)
        return {
            "fine": _mean(difference.abs(), bin_weight),
            "envelope": _mean(envelope.abs(), band_weight),
            # Few pauses shall count for little, not for as much as many.
            "pause": (envelope.clamp_min(0.0) * quiet).sum() / (quiet.sum() + 0.01 * band_weight.sum() + 1.0),
            "distance": _distance(difference, bin_weight),
            "level": self._level(
                size, given, wanted, truth, 1.0 - (pause & (hiss_rms == 0.0)) * truth.lossy[..., None]
            ),
        }

    def _level(self, size: int, given: Tensor, wanted: Tensor, truth: Truth, told: Tensor) -> Tensor:
        """L1 between log levels of two wide bands; *told* [B, 1, T] is 0.0 where the target tells none."""
        bins_hz = self.get_buffer(f"bins_hz_{size}")
        floor = FLOOR_RMS**2 * float(self.get_buffer(f"window_{size}").square().sum())
        low, high = (factor * truth.cutoff_hz for factor in CROSSOVER_THIRD)
        errors = []
        for first_hz, last_hz in ((low, high), (truth.cutoff_hz, truth.limit_hz)):
            band = ((bins_hz > first_hz) & (bins_hz < last_hz)).to(given.dtype).unsqueeze(1)
            known = (last_hz <= truth.limit_hz).to(given.dtype).unsqueeze(-1)
            levels = [torch.log(band @ power + floor * (band.sum(-1, keepdim=True) + 1.0)) for power in (given, wanted)]
            errors.append(_mean(0.5 * (levels[0] - levels[1]).abs(), told * known))
        return torch.stack(errors).mean()


def _mean(value: Tensor, weight: Tensor) -> Tensor:
    return (value * weight).sum() / (weight.sum() + 1.0)


def _distance(difference: Tensor, weight: Tensor) -> Tensor:
    """Root mean square over the bins [B, bins, T] of each frame, averaged over the frames that have any."""
    total = weight.sum(1)
    mean = (difference.square() * weight).sum(1) / (total + 1.0)
    root = torch.sqrt(mean + 1e-6) - 1e-3  # no distance is none, with a finite slope
    return (root * (total > 0.0)).sum() / ((total > 0.0).sum() + 1.0)


def _smooth(power: Tensor, bands: Tensor) -> Tensor:
    """Power [B, bins, T] -> mean of three frames in each of *bands* [bands, bins]."""
    padded = functional.pad(bands @ power, (1, 1), mode="replicate")
    return (padded[..., :-2] + padded[..., 1:-1] + padded[..., 2:]) / 3.0
