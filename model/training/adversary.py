"""The second stage: discriminators that look at spectrograms of several resolutions.

Least-squares GAN (arXiv 1611.04076) with feature matching, on log magnitudes as in the bandwidth extension of Opus
(arXiv 2412.11392). A spectral loss is content with the mean of all high bands that fit a low band; a discriminator
is not.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from ..losses.spectral import REFERENCE_RMS, Truth
from ..networks.transforms import bin_frequencies_hz

#: Amplitudes below this, for signals at the reference level, look alike.
_LOG_FLOOR = 1e-4

#: Convolutions: bins by frames, the bins halved each time.
_KERNEL = (7, 3)
_LAYERS = 4


class SpectrogramDiscriminator(nn.Module):
    """Judges a log-magnitude spectrogram [B, 1, bins, frames] in patches; it is told which bin is which."""

    def __init__(self, bins: int, channels: int) -> None:
        super().__init__()
        place = torch.linspace(-1.0, 1.0, bins)[None, None, :, None]
        self.place: Tensor
        self.register_buffer("place", place, persistent=False)
        sizes = [2, *(min(2**layer, 4) * channels for layer in range(_LAYERS))]
        padding = (_KERNEL[0] // 2, _KERNEL[1] // 2)
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(first, second, _KERNEL, stride=(2, 1), padding=padding))
            for first, second in pairwise(sizes)
        )
        self.judge = weight_norm(nn.Conv2d(sizes[-1], 1, (3, 3), padding=(1, 1)))

    def forward(self, spectrogram: Tensor) -> list[Tensor]:
        """Features of every layer; the last is the judgement, 1 for real."""
        place = self.place.expand(len(spectrogram), -1, -1, spectrogram.shape[-1])
        hidden = torch.cat([spectrogram, place], dim=1)
        features = []
        for layer in self.layers:
            hidden = functional.leaky_relu(layer(hidden), 0.2)
            features.append(hidden)
        return [*features, self.judge(hidden)]


class Adversary(nn.Module):
    """Discriminators at *windows* samples, a quarter of a window apart."""

    def __init__(self, windows: Iterable[int], channels: int) -> None:
        super().__init__()
        self.windows = tuple(windows)
        self.discriminators = nn.ModuleList(SpectrogramDiscriminator(size // 2 + 1, channels) for size in self.windows)
        for size in self.windows:
            self.register_buffer(f"window_{size}", torch.hann_window(size), persistent=False)
            bins_hz = torch.tensor(bin_frequencies_hz(size, 0, size // 2), dtype=torch.float32)
            self.register_buffer(f"bins_hz_{size}", bins_hz, persistent=False)

    def _spectrogram(self, size: int, signal: Tensor) -> Tensor:
        window = self.get_buffer(f"window_{size}")
        spectrum = torch.stft(signal, size, size // 4, window=window, return_complex=True)
        power = (spectrum.real.square() + spectrum.imag.square()) / window.square().sum()
        return 0.5 * torch.log(power + _LOG_FLOOR**2)

    def _pair(self, size: int, output: Tensor, truth: Truth) -> tuple[Tensor, Tensor]:
        """Spectrograms of both; where the target cannot be trusted they are made the same."""
        scale = REFERENCE_RMS / torch.sqrt(truth.target.square().mean(-1, keepdim=True) + 1e-12)
        real = self._spectrogram(size, truth.target * scale)
        known = (self.get_buffer(f"bins_hz_{size}") < truth.limit_hz).unsqueeze(-1)
        fake = torch.where(known, self._spectrogram(size, output * scale), real)
        return fake.unsqueeze(1), real.unsqueeze(1)

    def judge(self, output: Tensor, truth: Truth) -> Tensor:
        """What the discriminators minimise: to call the target 1 and *output* [B, samples] 0."""
        losses = []
        for size, discriminator in zip(self.windows, self.discriminators, strict=True):
            fake, real = self._pair(size, output.detach(), truth)
            losses.append((discriminator(real)[-1] - 1.0).square().mean() + discriminator(fake)[-1].square().mean())
        return torch.stack(losses).mean()

    def persuade(self, output: Tensor, truth: Truth) -> dict[str, Tensor]:
        """What the network minimises: scalars "adversarial" and "matching"."""
        adversarial, matching = [], []
        for size, discriminator in zip(self.windows, self.discriminators, strict=True):
            fake, real = self._pair(size, output, truth)
            given = discriminator(fake)
            with torch.no_grad():
                wanted = discriminator(real)
            adversarial.append((given[-1] - 1.0).square().mean())
            matching += [
                (first - second).abs().mean() / (second.abs().mean() + 1e-3)
                for first, second in zip(given[:-1], wanted[:-1], strict=True)
            ]
        return {"adversarial": torch.stack(adversarial).mean(), "matching": torch.stack(matching).mean()}
