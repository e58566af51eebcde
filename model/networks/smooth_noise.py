"""Noise that fluctuates less than chance: of even power in every short time and narrow band.

The spectrum of ordinary noise scatters by 5.6 dB from moment to moment and from line to line. Noise can be made that
scatters less (Pumplin, "Low-noise noise", J. Acoust. Soc. Am. 78, 1985), and it is heard as smoother. Here it is made
by descent, for windows of 8 to 64 ms at once, and read from a file; :func:`make_noise` is how that file came about:

    python -m model.networks.smooth_noise
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: Two seconds, and whole hops of all networks; then it repeats.
PERIOD_SAMPLES = 98_304

#: Windows in which it is even.
WINDOWS = (384, 768, 1536, 3072)

_FILE = Path(__file__).with_name("smooth_noise.npy")
_RATE_HZ = 48_000
_LOWEST_HZ = 3_000.0
_STEP = 0.03


def spectrogram(noise: Tensor, window: int) -> Tensor:
    """Magnitudes [frames, bins] of periodic *noise* [n] above 3 kHz; their mean square is that of white noise, 1."""
    shape = torch.hann_window(window)
    whole = torch.cat([noise, noise[:window]])
    frames = whole.unfold(0, window, window // 4)[: len(noise) // (window // 4)]
    magnitude = torch.fft.rfft(frames * shape).abs() / math.sqrt(float(shape.square().sum()))
    return magnitude[:, int(_LOWEST_HZ / _RATE_HZ * window) :]


def make_noise(samples: int, steps: int, seed: int = 0) -> NDArray[np.float32]:
    """Periodic noise [samples] of mean square 1, evened out in *steps* from white noise."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(samples, generator=generator).requires_grad_(True)
    optimiser = torch.optim.Adam([noise], lr=_STEP)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = _STEP * (0.5 + 0.5 * math.cos(math.pi * step / steps)) + 1e-4
        # Frames begin elsewhere every time, so that it is even everywhere.
        moved = torch.roll(noise, int(torch.randint(samples, (1,), generator=generator)))
        uneven = [(torch.sqrt(spectrogram(moved, w).square() + 1e-3) - 1.0).square().mean() for w in WINDOWS]
        optimiser.zero_grad()
        torch.stack(uneven).sum().backward()
        optimiser.step()
    made = noise.detach()
    return np.asarray(made / made.square().mean().sqrt(), dtype=np.float32)


def smooth_noise() -> Tensor:
    """The noise [PERIOD_SAMPLES] that ships."""
    return torch.from_numpy(np.load(_FILE).astype(np.float32))


if __name__ == "__main__":
    np.save(_FILE, make_noise(PERIOD_SAMPLES, 400).astype(np.float16))
