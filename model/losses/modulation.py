"""How much of a voice's pitch is heard in the high band, against how much there was.

A log-spectral distance is least for a high band of even noise, which makes a voice hoarse: the puffs of air at every
closing of the glottis are missing. They show as modulation of the envelope at the pitch, which this loss compares. It
compares depths and not waveforms, as no network can know the phases of a high band that it has never heard.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..metrics.voice import FRAME_SAMPLES, STEP_SAMPLES
from ..networks.transforms import SAMPLE_RATE_HZ, bin_frequencies_hz
from .spectral import FLOOR_RMS, HISS_MARGIN, HOLE_RMS, REFERENCE_RMS, Truth

#: Envelopes are the magnitudes of windows of 2 ms every 0.5 ms: short against the period of a high voice.
WINDOW_SAMPLES = 96
HOP_SAMPLES = 24

#: They are read in bands this wide from the cutoff on; the last may end where nothing is left to add.
BAND_HZ = 3_000.0
OFFSETS_HZ = (500.0, 3_500.0, 6_500.0)

#: Depth that chance gives to even noise: below it differences mean little.
CHANCE = 0.05

_FRAME_POINTS = FRAME_SAMPLES // HOP_SAMPLES
_STEP_POINTS = STEP_SAMPLES // HOP_SAMPLES


class ModulationLoss(nn.Module):
    """Mean over voiced frames and bands of the L1 between logarithms of the depth of modulation at the pitch."""

    def __init__(self) -> None:
        super().__init__()
        taper = torch.hann_window(_FRAME_POINTS + 1)[1:]
        buffers = {
            "window": torch.hann_window(WINDOW_SAMPLES),
            "bins_hz": torch.tensor(bin_frequencies_hz(WINDOW_SAMPLES, 0, WINDOW_SAMPLES // 2), dtype=torch.float32),
            "offsets_hz": torch.tensor(OFFSETS_HZ),
            "taper": taper / taper.sum(),
            "turns": torch.arange(_FRAME_POINTS) * (HOP_SAMPLES / SAMPLE_RATE_HZ),
        }
        for name, value in buffers.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, output: Tensor, truth: Truth) -> Tensor:
        """Output [B, samples] -> scalar, in nepers; 0 where no frame is voiced."""
        scale = REFERENCE_RMS / torch.sqrt(truth.target.square().mean(-1, keepdim=True) + 1e-12)
        bands = self._bands(truth.cutoff_hz)
        with torch.no_grad():
            wanted, amplitude = self._depth(truth.target * scale, bands, truth.pitch_hz)
            weight = self._trusted(amplitude, bands, truth, scale)
        given, _ = self._depth(output * scale, bands, truth.pitch_hz)
        difference = torch.log(given + CHANCE) - torch.log(wanted + CHANCE)
        return (difference.abs() * weight).sum() / (weight.sum() + 1.0)

    def _bands(self, cutoff_hz: Tensor) -> Tensor:
        """Bins [B, bands, bins] of the bands above *cutoff_hz* [B, 1]; the window blurs them by a bin either way."""
        low_hz = (cutoff_hz + self.get_buffer("offsets_hz")).unsqueeze(-1)
        blur_hz = 0.5 * SAMPLE_RATE_HZ / WINDOW_SAMPLES
        bins_hz = self.get_buffer("bins_hz")
        return ((bins_hz >= low_hz + blur_hz) & (bins_hz <= low_hz + BAND_HZ - blur_hz)).to(cutoff_hz.dtype)

    def _depth(self, signal: Tensor, bands: Tensor, pitch_hz: Tensor) -> tuple[Tensor, Tensor]:
        """Share of each band's envelope that swings at the pitch, and the envelope's mean, both [B, bands, frames]."""
        window = self.get_buffer("window")
        spectrum = torch.stft(signal, WINDOW_SAMPLES, HOP_SAMPLES, window=window, return_complex=True)
        power = bands @ (spectrum.real.square() + spectrum.imag.square())
        floor = FLOOR_RMS**2 * window.square().sum() * (bands.sum(-1, keepdim=True) + 1.0)
        envelope = torch.sqrt(power + floor).unfold(-1, _FRAME_POINTS, _STEP_POINTS)[..., : pitch_hz.shape[1], :]
        tapered = envelope * self.get_buffer("taper")
        mean = tapered.sum(-1)
        phase = 2.0 * math.pi * pitch_hz.unsqueeze(-1) * self.get_buffer("turns")
        swing = tapered - mean.unsqueeze(-1) * self.get_buffer("taper")
        real, imaginary = (swing * wave.unsqueeze(1) for wave in (torch.cos(phase), torch.sin(phase)))
        depth = 2.0 * torch.sqrt(real.sum(-1).square() + imaginary.sum(-1).square() + 1e-4 * mean.square()) / mean
        return depth, mean

    def _trusted(self, amplitude: Tensor, bands: Tensor, truth: Truth, scale: Tensor) -> Tensor:
        """1.0 for the voiced frames of bands [B, bands, frames] in which the target has more than holes and hiss."""
        voiced = (truth.pitch_hz > 0.0).unsqueeze(1)
        inside = (truth.cutoff_hz + self.get_buffer("offsets_hz") + BAND_HZ < truth.limit_hz).unsqueeze(-1)
        noise = self.get_buffer("window").square().sum() * bands.sum(-1, keepdim=True)
        lowest = torch.clamp_min(HISS_MARGIN * truth.hiss_rms * scale, HOLE_RMS).unsqueeze(-1)
        heard = amplitude.square() > lowest.square() * noise
        return (voiced & inside & heard).to(amplitude.dtype)
