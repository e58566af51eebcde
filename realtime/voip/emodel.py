"""How a listener would rate what is heard, from what is measured: the E-model (ITU-T G.107), with its default values.

Delay is by the approximation of Cole and Rosenbluth ("Voice over IP performance monitoring", SIGCOMM CCR 2001); loss by
G.107 equation 7-29, with the codec's values of G.113 appendix I. It was made for narrow bands: a wide one is not rated
higher, so what it says is about delay and loss.
"""

from __future__ import annotations

#: Impairment of the codec, and how well it stands loss (with concealment), by name.
_CODECS = {"PCMU": (0.0, 25.1), "PCMA": (0.0, 25.1), "L16": (0.0, 25.1), "G722": (0.0, 20.0), "opus": (0.0, 20.0)}
_UNKNOWN = (5.0, 15.0)

#: R with nothing wrong at all.
_BEST = 93.2


def mos(codec: str, delay_ms: float, concealed_share: float) -> float:
    """Mean opinion score, 1 to 4.5, at a one-way *delay_ms* and with so much concealed."""
    impairment, robustness = _CODECS.get(codec, _UNKNOWN)
    percent = 100.0 * concealed_share
    loss = impairment + (95.0 - impairment) * percent / (percent + robustness)
    delay = 0.024 * delay_ms + 0.11 * max(delay_ms - 177.3, 0.0)
    r = min(max(_BEST - delay - loss, 0.0), 100.0)
    return round(max(1.0 + 0.035 * r + 7e-6 * r * (r - 60.0) * (100.0 - r), 1.0), 2)
