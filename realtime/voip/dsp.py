"""Per-sample work of the legs, compiled: it holds no GIL and allocates nothing.

Concealment is after the idea of ITU-T G.711 Appendix I: the last pitch periods are repeated, fading, the seam smoothed;
without its delay, as the signal is predicted for as long as its overlap would last. Time-scaling cuts out or puts in
whole pitch periods by overlap-add (Verhelst and Roelands, "An overlap-add technique based on waveform similarity
(WSOLA)", ICASSP 1993).

*x* is a signal with its past: what has been played, then, from *start* on, what is to be played.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ..native import COMPILE_NOGIL
from ..native.continuation import FADE_SAMPLES, HISTORY_SAMPLES, WORK_DOUBLES, predict
from ..native.memory import floats_at, record_at
from ..native.resampler import RESAMPLER, needed, push, resample

#: Pitch of voices: 66 to 400 Hz.
SHORTEST_PERIOD_MS = 2.5
LONGEST_PERIOD_MS = 15.0

#: A repeated period is heard as such after a while: it fades from here to here, and then there is only noise.
FADE_FROM_MS = 10.0
FADE_TO_MS = 70.0

#: Older periods that are repeated too, so that it buzzes less.
_PERIODS = 3

#: Length of the crossfades into a repetition and within it; shorter ones can be heard.
_JOIN_MS = 4.0

CONCEALMENT = np.dtype(
    [(name, np.int64) for name in ("rate_hz", "length", "phase", "run", "seed")] + [("noise_rms", np.float64)],
    align=True,
)

#: Memory in float64 for the beginning of a concealment.
WORK_SAMPLES = WORK_DOUBLES + (HISTORY_SAMPLES + FADE_SAMPLES) // 2

#: Reflection coefficients of comfort noise that are used at most.
NOISE_ORDER = 10


@njit(**COMPILE_NOGIL)
def samples_needed(address, count):  # type: ignore[no-untyped-def]
    """Input samples that the resampler at *address* still has to have for *count* outputs."""
    return needed(record_at(address, RESAMPLER), count)


@njit(**COMPILE_NOGIL)
def resample_at(address, block, out):  # type: ignore[no-untyped-def]
    """Push *block* [1, n] into the resampler at *address* and give all that it can to *out*; gives how many."""
    resampler = record_at(address, RESAMPLER)
    push(resampler, block, 0, block.shape[1])
    return resample(resampler, out, out.shape[1])


@njit(**COMPILE_NOGIL)
def _random(c):  # type: ignore[no-untyped-def]
    """Uniform within ±sqrt(3), so of power one (a linear congruential generator, Numerical Recipes)."""
    c.seed = (c.seed * 1664525 + 1013904223) & 0xFFFFFFFF
    return (c.seed / 2147483648.0 - 1.0) * 1.7320508


@njit(**COMPILE_NOGIL)
def _likeness(x, a, b, count, step):  # type: ignore[no-untyped-def]
    """Normalised correlation of x[a:a + count] and x[b:b + count], of every *step*-th sample."""
    product = 0.0
    power_a = 1e-9
    power_b = 1e-9
    for i in range(0, count, step):
        product += x[a + i] * x[b + i]
        power_a += x[a + i] * x[a + i]
        power_b += x[b + i] * x[b + i]
    return product / math.sqrt(power_a * power_b)


@njit(**COMPILE_NOGIL)
def find_period(x, fixed, moving, direction, least, most, count, step):  # type: ignore[no-untyped-def]
    """The shift in [least, most] at which x[moving + direction * shift:] is most like x[fixed:]; and how like.

    First every *step*-th shift and sample, then each one around the best.
    """
    best = least
    likeness = -2.0
    for shift in range(least, most + 1, step):
        found = _likeness(x, fixed, moving + direction * shift, count, step)
        if found > likeness:
            likeness = found
            best = shift
    centre = best
    likeness = -2.0
    for shift in range(max(centre - step + 1, least), min(centre + step, most + 1)):
        found = _likeness(x, fixed, moving + direction * shift, count, 1)
        if found > likeness:
            likeness = found
            best = shift
    return best, likeness


@njit(**COMPILE_NOGIL)
def power(x, start, count):  # type: ignore[no-untyped-def]
    """Mean power of x[start:start + count]."""
    total = 0.0
    for i in range(count):
        total += x[start + i] * x[start + i]
    return total / max(count, 1)


@njit(**COMPILE_NOGIL)
def _ease(t):  # type: ignore[no-untyped-def]
    """From 0 to 1, level at both ends."""
    t = min(max(t, 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


def join_samples(rate_hz: int) -> int:
    """Length of the array *predicted* of the following two."""
    return min(int(_JOIN_MS * rate_hz / 1000), FADE_SAMPLES)


@njit(**COMPILE_NOGIL)
def begin_concealment(address, x, end, template, predicted, work):  # type: ignore[no-untyped-def]
    """Prepare to go on where x[:end] breaks off: *template* becomes what is repeated, *predicted* what joins it.

    *work* [WORK_SAMPLES] float64 is memory to work in.
    """
    c = record_at(address, CONCEALMENT)
    rate = c.rate_hz
    least = int(SHORTEST_PERIOD_MS * rate / 1000.0)
    most = int(LONGEST_PERIOD_MS * rate / 1000.0)
    count = rate // 100
    step = max(rate // 8000, 1)
    period, likeness = find_period(x, end - count, end - count, -1, least, most, count, step)
    if likeness < 0.5:
        period = most  # noise: the longer the less it sounds like a tone
    periods = max(min(_PERIODS, min(template.shape[0], end - most) // period), 1)
    length = periods * period
    for i in range(length):
        template[i] = x[end - length + i]
    # The end of the template runs into what came before its beginning.
    seam = min(int(_JOIN_MS * rate / 1000.0), period - 1)
    for i in range(seam):
        w = np.float32(_ease((i + 1.0) / seam))
        template[length - seam + i] += w * (x[end - length - seam + i] - template[length - seam + i])
    c.length = length
    c.phase = length - period
    c.run = 0
    history = floats_at(work.ctypes.data + 8 * WORK_DOUBLES, (1, HISTORY_SAMPLES))
    tail = floats_at(work.ctypes.data + 8 * WORK_DOUBLES + 4 * HISTORY_SAMPLES, (1, FADE_SAMPLES))
    for i in range(HISTORY_SAMPLES):
        history[0, i] = x[end - HISTORY_SAMPLES + i]
    predict(history, 0, 0, tail, work.ctypes.data)
    for i in range(predicted.shape[0]):
        # It comes faded over another length.
        predicted[i] = tail[0, i] / max(_ease(1.0 - i / FADE_SAMPLES), 1e-6)


@njit(**COMPILE_NOGIL)
def conceal(address, template, predicted, noise, memory, gain, out, first, count):  # type: ignore[no-untyped-def]
    """Write the next *count* samples of the concealment to out[first:].

    It fades into noise of the record's level, coloured by the all-pole filter *noise* [NOISE_ORDER] with its *memory*
    and its *gain* for an excitation of power one.
    """
    c = record_at(address, CONCEALMENT)
    fade_from = FADE_FROM_MS * c.rate_hz / 1000.0
    fade = (FADE_TO_MS - FADE_FROM_MS) * c.rate_hz / 1000.0
    join = predicted.shape[0]
    for i in range(count):
        level = 1.0 - _ease((c.run - fade_from) / fade)
        y = 0.0
        if level > 0.0 and c.length > 0:
            y = level * template[c.phase]
            c.phase += 1
            if c.phase >= c.length:
                c.phase = 0
        if c.run < join:
            y += _ease(1.0 - c.run / join) * (predicted[c.run] - y)
        if c.noise_rms > 0.0:
            n = gain * _random(c)
            for k in range(noise.shape[0]):
                n -= noise[k] * memory[k]
            for k in range(noise.shape[0] - 1, 0, -1):
                memory[k] = memory[k - 1]
            memory[0] = n
            y += (1.0 - level) * c.noise_rms * n
        out[first + i] = y
        c.run += 1


@njit(**COMPILE_NOGIL)
def blend(x, start, fresh, count):  # type: ignore[no-untyped-def]
    """Let x[start:start + count] give way to the beginning of *fresh*, which is changed to hold both."""
    for i in range(count):
        w = np.float32(_ease((i + 0.5) / count))
        fresh[i] = x[start + i] + w * (fresh[i] - x[start + i])


@njit(**COMPILE_NOGIL)
def shorten(x, start, end, period):  # type: ignore[no-untyped-def]
    """Take one *period* out at *start*: two periods are laid over each other. x ends at *end*; gives its new end."""
    for i in range(period):
        w = np.float32(_ease((i + 0.5) / period))
        x[start + i] += w * (x[start + period + i] - x[start + i])
    for i in range(start + period, end - period):
        x[i] = x[i + period]
    return end - period


@njit(**COMPILE_NOGIL)
def lengthen(x, start, end, period):  # type: ignore[no-untyped-def]
    """Put one *period* in after that at *start*; needs two of them, and room. Gives the new end of x."""
    for i in range(end - 1, start + period - 1, -1):
        x[i + period] = x[i]
    for i in range(period):
        w = np.float32(_ease((i + 0.5) / period))
        # What followed, now one period later, gives way to the first period again.
        x[start + period + i] = x[start + 2 * period + i] + w * (x[start + i] - x[start + 2 * period + i])
    return end + period
