"""The ways a full-band recording comes down and up again before a system may extend it."""

from __future__ import annotations

from dataclasses import dataclass

from scipy import signal

from ..degrade.codecs import CODECS, through
from ..degrade.filters import (
    SAMPLE_RATE_HZ,
    Samples,
    decimate,
    fir_taps,
    iir_sections,
    sinc_decimate,
    upsample,
    zero_phase,
)

RATES_HZ = (8_000, 12_000, 16_000, 24_000)

#: Corners of what training draws from, and the orders that the literature tests.
FIR_TAPS = (81, 193, 299)
FIR_EDGES = (0.90, 0.95, 0.99)
IIR_FAMILIES = ("butter", "cheby", "ellip", "bessel")
IIR_ORDERS = (3, 6, 9)

#: An analogue-like filter falls here, as a fraction of half the rate.
IIR_EDGE = 0.95

#: What calls go through; rates are those of the band that is left.
CALL_CODECS = {
    8_000: ("pcmu", "gsm", "amr-nb", "opus-8k"),
    16_000: ("g722", "msbc", "opus-9k", "opus-12k"),
}


@dataclass(frozen=True)
class Condition:
    """One way. *kind*: "protocol", "filter" or "codec"; *name* is unique for its rate."""

    rate_hz: int
    kind: str = "protocol"
    name: str = "sinc"
    taps: int = 0
    edge: float = 0.0
    family: str = ""
    order: int = 0
    codec: str = ""

    @property
    def cutoff_hz(self) -> float:
        """What a system is told of the band's end: half the rate, or what a codec is known to leave."""
        return CODECS[self.codec].bandwidth_hz if self.codec else self.rate_hz / 2

    def apply(self, samples: Samples) -> Samples:
        """Full-band samples at 48 kHz -> the low band, at 48 kHz, in line and as long."""
        if self.codec:
            return through(self.codec, samples)
        ratio = SAMPLE_RATE_HZ // self.rate_hz
        nyquist_hz = self.rate_hz / 2
        if self.family:
            samples = zero_phase(samples, iir_sections(self.family, self.order, self.edge * nyquist_hz))
            low = sinc_decimate(samples, self.rate_hz)
        elif self.taps:
            low = decimate(samples, fir_taps(self.taps, self.edge * nyquist_hz), ratio)
        else:
            low = sinc_decimate(samples, self.rate_hz)
        if self.name == "telephone":
            low = zero_phase(low, signal.butter(4, [300.0, 3_400.0], "band", fs=self.rate_hz, output="sos"))
        return upsample(low, self.rate_hz)[: len(samples)]


def protocol(rate_hz: int) -> Condition:
    """The usual one: torchaudio's default sinc filter down, the host's filter up."""
    return Condition(rate_hz)


def filters(rate_hz: int, few: bool = False) -> list[Condition]:
    """Anti-alias filters at *rate_hz*: all, or the *few* at the corners."""
    firs = [
        Condition(rate_hz, "filter", f"fir {taps} {edge:.2f}", taps=taps, edge=edge)
        for taps in FIR_TAPS
        for edge in FIR_EDGES
    ]
    iirs = [
        Condition(rate_hz, "filter", f"{family} {order}", family=family, order=order, edge=IIR_EDGE)
        for family in IIR_FAMILIES
        for order in IIR_ORDERS
    ]
    if few:
        return [firs[0], firs[-1], iirs[0], iirs[-1]]
    return firs + iirs


def codecs(rate_hz: int) -> list[Condition]:
    """What calls at *rate_hz* go through."""
    telephone = [Condition(rate_hz, "codec", "telephone")] if rate_hz == 8_000 else []
    return telephone + [Condition(rate_hz, "codec", name, codec=name) for name in CALL_CODECS.get(rate_hz, ())]
