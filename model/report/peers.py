"""Figures that other systems published of themselves, for comparison beside ours; none was measured here."""

from __future__ import annotations

from dataclasses import dataclass

#: What the figures share: VCTK 0.92, its eight held-out speakers, sinc filters, ViSQOL in audio mode at 48 kHz.
SOURCE = "published in the repository of AP-BWE: VCTK 0.92, eight held-out speakers, to 48 kHz"


@dataclass(frozen=True)
class Peer:
    """One system: LSD and ViSQOL by input rate in Hz, and what it needs."""

    name: str
    about: str
    scores: dict[int, tuple[float, float]]


PEERS = (
    Peer(
        "sinc",
        "the low band alone",
        {24_000: (2.17, 2.99), 16_000: (2.57, 2.26), 12_000: (2.75, 2.09), 8_000: (2.94, 2.07)},
    ),
    Peer(
        "NU-Wave2",
        "1.7 M parameters, diffusion, not causal",
        {24_000: (0.72, 3.74), 16_000: (0.86, 3.00), 12_000: (0.94, 2.75), 8_000: (1.09, 2.48)},
    ),
    Peer(
        "UDM+",
        "6.3 M parameters, diffusion, not causal",
        {24_000: (0.64, 4.02), 16_000: (0.79, 3.35), 12_000: (0.88, 3.08), 8_000: (1.03, 2.81)},
    ),
    Peer(
        "mdctGAN", "not causal", {24_000: (0.71, 3.69), 16_000: (0.83, 3.27), 12_000: (0.85, 3.12), 8_000: (0.93, 3.03)}
    ),
    Peer(
        "AP-BWE",
        "29.8 M parameters, not causal",
        {24_000: (0.61, 4.25), 16_000: (0.72, 3.70), 12_000: (0.78, 3.46), 8_000: (0.84, 3.35)},
    ),
)
