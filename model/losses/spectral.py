"""Distance between spectra at several resolutions, only where the target can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..networks.core import CROSSOVER
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

#: Vorbis and MP3 leave out bands for single frames, and the high band of pauses: a target this empty
#: teaches nothing.
HOLE_RMS = 1e-5


@dataclass(frozen=True)
class Truth:
    """Targets [B, samples] and where they hold: above cutoff_hz [B, 1], below limit_hz [B, 1].

    *lossy* [B, 1] is 1.0 where holes and empty pauses are a codec's, 0.0 where silence is silence.
    """

    target: Tensor
    cutoff_hz: Tensor
    limit_hz: Tensor
    lossy: Tensor


class SpectralLoss(nn.Module):
    """Mean over resolutions of L1 between log spectra, between smooth envelopes, and excess in pauses."""

    def __init__(self, windows: tuple[int, ...], pause_weight: float) -> None:
        super().__init__()
        self.windows = windows
        self.pause_weight = pause_weight
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
        """Output [B, samples] -> scalars "total", "fine", "envelope" and "pause", in nepers."""
        rms = torch.sqrt(truth.target.square().mean(-1, keepdim=True) + 1e-12)
        scale = REFERENCE_RMS / rms
        parts = [self._at(window, output * scale, truth.target * scale, truth) for window in self.windows]
        fine, envelope, pause = (torch.stack(part).mean() for part in zip(*parts, strict=True))
        total = fine + envelope + self.pause_weight * pause
        return {"total": total, "fine": fine, "envelope": envelope, "pause": pause}

    def _at(self, size: int, output: Tensor, target: Tensor, truth: Truth) -> tuple[Tensor, Tensor, Tensor]:
        window = self.get_buffer(f"window_{size}")
        bands = self.get_buffer(f"bands_{size}")
        noise_power = float(window.square().sum())
        floor = FLOOR_RMS**2 * noise_power

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
        empty = (smooth_wanted < HOLE_RMS**2 * noise_power) | pause
        hole = empty.to(target.dtype) * truth.lossy.unsqueeze(-1)
        band_weight = inside(self.get_buffer(f"centres_hz_{size}")) * (1.0 - hole)
        bin_hole = hole[:, self.get_buffer(f"band_of_bin_{size}")]
        bin_weight = inside(self.get_buffer(f"bins_hz_{size}")) * (1.0 - bin_hole)
        quiet = band_weight * pause.to(target.dtype)
        envelope = excess(smooth_given, smooth_wanted)
        return (
            _mean(excess(given, wanted).abs(), bin_weight),
            _mean(envelope.abs(), band_weight),
            # Few pauses shall count for little, not for as much as many.
            (envelope.clamp_min(0.0) * quiet).sum() / (quiet.sum() + 0.01 * band_weight.sum() + 1.0),
        )


def _mean(value: Tensor, weight: Tensor) -> Tensor:
    return (value * weight).sum() / (weight.sum() + 1.0)


def _smooth(power: Tensor, bands: Tensor) -> Tensor:
    """Power [B, bins, T] -> mean of three frames in each of *bands* [bands, bins]."""
    padded = functional.pad(bands @ power, (1, 1), mode="replicate")
    return (padded[..., :-2] + padded[..., 1:-1] + padded[..., 2:]) / 3.0
