"""The high band's sound: excitations brought to the wanted level in each band, from the crossover up."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from .features import HIGHEST_CUTOFF_HZ
from .layers import RecentMean, SignNoise, TableNoise
from .smooth_noise import smooth_noise
from .transforms import Analysis, Framing, Synthesis, bin_frequencies_hz, erb_centres_hz, triangular_bands

#: Over the last kHz below the highest cutoff the output fades to nothing.
CUTOFF_FADE_HZ = 1_000.0

#: The high band rises between these fractions of the cutoff: steep filters leave more of the low band there than it
#: adds, soft ones less. What lies below is never touched.
CROSSOVER = (0.90, 0.96)

#: Excitations are brought to one level over the period of a low voice: over less, the pulses of its pitch would be
#: levelled as well, and the voice be hoarse.
EVEN_SAMPLES = 576

#: Largest power of an excitation over that level, which pulses need and the onset of a voice shall not exceed.
LARGEST_RISE = 3.0

#: Just under the lowest crossover; bins below it are not computed.
LOWEST_HZ = 3_000.0


NEPERS_PER_DB = math.log(10.0) / 20.0
LN2 = math.log(2.0)


class Shaper(nn.Module):
    """Excitations shaped by a gain and a mix per band. In the order of the mix:

    - *harmonic*, x·sin(ln|x|) of the voice, keeps its pitch (the non-linearity of Opus' bandwidth extension,
      arXiv 2412.11392);
    - *pulsed*, noise that rises and falls with the slope of the voice, as breath does within a period (left out by
      small networks);
    - *steady* noise, which fluctuates less than chance would have it.
    """

    def __init__(self, framing: Framing, bands: int, pulsed: bool) -> None:
        super().__init__()
        self.framing = framing
        samples = framing.window_samples
        first, last = int(LOWEST_HZ * samples / 48_000.0), samples // 2
        self.analysis = Analysis(framing.window(), first, last)
        self.synthesis = Synthesis(framing, first, last)
        bins_hz = bin_frequencies_hz(samples, first, last)
        triangles = triangular_bands(erb_centres_hz(3_500.0, 23_500.0, bands), bins_hz)
        self.bands = bands
        before = round((EVEN_SAMPLES - samples) / framing.hop_samples)
        self.bins = len(bins_hz)
        triangles, bins_hz = np.tile(triangles, 2), np.tile(bins_hz, 2)
        self.steady = TableNoise(smooth_noise(), framing.hop_samples, samples, self.analysis)
        self.pulsed = SignNoise(framing.hop_samples, samples) if pulsed else None
        self.recent = RecentMean(1 + max(0, before), self.excitations - 1, bands)
        self.bins_hz: Tensor
        self.spread: Tensor
        self.gather: Tensor
        self.register_buffer("bins_hz", torch.tensor(bins_hz, dtype=torch.float32), False)
        self.register_buffer("spread", torch.tensor(triangles), False)
        # A band narrower than the bins' spacing may hold none.
        mean = 2.0 * triangles / (triangles.sum(axis=1, keepdims=True) + 1e-9)
        self.register_buffer("gather", torch.tensor(mean.T.copy()), False)

    @property
    def excitations(self) -> int:
        """How many there are to mix."""
        return 2 if self.pulsed is None else 3

    @property
    def tables(self) -> tuple[int, ...]:
        """Lengths of the tables of noise, whose rows are chosen frame by frame."""
        return (self.steady.rows,) if self.pulsed is None else (self.steady.rows, *self.pulsed.LENGTHS)

    def crossover(self, cutoff_hz: Tensor, level_db: Tensor, tilt_db: Tensor) -> Tensor:
        """Amplitude [..., 2 * bins] that lets the high band rise over the top of the low band.

        Above it *level_db* is added, and *tilt_db* for every octave from the cutoff.
        """
        start, end = CROSSOVER
        rise = ((1.0 / (end - start)) * self.bins_hz / cutoff_hz - start / (end - start)).clamp(0.0, 1.0)
        octaves = (1.0 / LN2) * (torch.log(self.bins_hz) - torch.log(cutoff_hz)).relu()
        wanted = NEPERS_PER_DB * (level_db + tilt_db * octaves)
        fade = ((HIGHEST_CUTOFF_HZ - cutoff_hz) / CUTOFF_FADE_HZ).clamp(0.0, 1.0)
        return rise * fade * torch.exp(wanted)

    def forward(
        self,
        newest: Tensor,
        rows: Tensor,
        gain: Tensor,
        mix: Tensor,
        mask: Tensor,
        mean: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """Newest samples [..., window_samples + 1] at unit level -> windowed frame of the high band.

        *rows* [..., tables] choose the noise, *gain* [..., bands] is the amplitude of a bin, *mix*
        [..., excitations, bands] the share of power (0..1) of each excitation, *mask* [..., 2 * bins] the crossover.
        *mean* takes powers [..., excitations - 1, bands] and gives those of the last frames: `recent`, or its step.
        """
        newest = newest.unsqueeze(-2)
        voice = newest[..., 1:]
        excitations = voice * torch.sin(torch.log(voice.abs() + 1e-6))
        if self.pulsed is not None:
            breath = (voice - newest[..., :-1]) * self.pulsed(rows[..., 1:])
            excitations = torch.cat([excitations, breath], dim=-2)
        spectra = self.analysis(excitations)
        power = (spectra * spectra) @ self.gather
        level = torch.maximum(mean(power), power / LARGEST_RISE)
        amplitude = gain.unsqueeze(-2) * torch.sqrt(mix)
        even = amplitude[..., :-1, :] / torch.sqrt(level + 1e-14)
        scale = torch.cat([even, amplitude[..., -1:, :]], dim=-2) @ self.spread
        spectra = torch.cat([spectra, self.steady(rows[..., :1])], dim=-2)
        return self.synthesis((spectra * scale).sum(-2) * mask)
