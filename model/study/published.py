"""What the study itself reported, on the first 1000 recordings of VCTK as it drew them.

Source: its tables (2022). SNR in its unit, 10 · ln of the ratio of root mean squares: x 0.8686 are decibels.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One cell of its table."""

    mse: float
    snr_unit: float
    nrmse: float


#: By the names of :func:`model.study.config.twelve`.
TABLE = {
    "plain-dropout-3": Published(67_026, 22.78, 0.1779),
    "plain-dropout-4": Published(66_944, 22.92, 0.1737),
    "plain-dropout-5": Published(64_744, 23.07, 0.1689),
    "plain-3": Published(51_023, 25.43, 0.1162),
    "plain-4": Published(47_582, 25.74, 0.1125),
    "plain-5": Published(45_324, 25.73, 0.1125),
    "inception-dropout-3": Published(170_675, 15.23, 0.4275),
    "inception-dropout-4": Published(81_340, 19.79, 0.2289),
    "inception-dropout-5": Published(75_183, 20.27, 0.2341),
    "inception-3": Published(49_434, 25.64, 0.1143),
    "inception-4": Published(55_401, 25.41, 0.1194),
    "inception-5": Published(42_914, 25.87, 0.1116),
}

#: SNR with batches of one.
SINGLE = {"linear": 19.67, "spline": 26.80, "inception-5": 27.57}

#: Inter-quartile range of its test split, in steps of 16 bit.
QUARTILE_RANGE = 482.0
