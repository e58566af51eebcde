"""Plugins of others whose controls step inside, however slowly they are moved: found by ``fullband bench plugins``.

Lengths of delays, mostly: a tap that is read a whole sample further is heard. However little such a control is moved,
the stage goes over to instances that have it already.
"""

from __future__ import annotations

from .descriptor import Facts, file_name

_DELAY = ("delay_seconds",)

#: Parameters by ``file.so:label``; the figures are in ``bench/results/plugins.json``.
STEPPING: dict[str, tuple[str, ...]] = {
    "bandpass_a_iir_1893.so:bandpass_a_iir": ("center_frequency_hz",),
    **{
        f"cmt.so:{kind}_{length}s": _DELAY
        for kind in ("delay", "fbdelay")
        for length in ("0.01", "0.1", "1", "5", "60")
    },
    "delay.so:delay_5s": _DELAY,
    "fad_delay_1192.so:fadDelay": ("delay_seconds",),
    "gong_1424.so:gong": tuple(f"{part}_size_{k}" for part in ("inner", "outer") for k in (1, 2, 3, 4)),
    "gong_beater_1439.so:gongBeater": ("strike_duration_s",),
    "gverb_1216.so:gverb": ("roomsize_m",),
    "plate_1423.so:plate": ("reverb_time",),
    "revdelay_1605.so:revdelay": ("delay_time_s",),
    "ringmod_1188.so:ringmod_1i1o1l": ("modulation_depth",),
    "satan_maximiser_1408.so:satanMaximiser": ("decay_time_samples",),
    "sifter_1210.so:sifter": ("sift_size",),
    "tape_delay_1211.so:tapeDelay": tuple(f"tap_{k}_distance_inches" for k in (1, 2, 3, 4)),
    "valve_1209.so:valve": ("distortion_level", "distortion_character"),
    "valve_rect_1405.so:valveRect": ("sag_level", "distortion"),
}


def steps(facts: Facts, parameter: str) -> bool:
    """Whether *parameter* of a plugin steps inside."""
    return parameter in STEPPING.get(f"{file_name(facts.path)}:{facts.label}", ())
