"""A running host as lines of a log: one every some seconds, for people or as JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import IO, Any

import numpy as np

from .errors import FullbandError
from .native.ring import Ring
from .session import Session
from .taps import Tap, decibels

INTERVAL_SECONDS = 5.0


class Loudness:
    """Peak and rms of everything in *ring* since it was asked last."""

    def __init__(self, ring: Ring) -> None:
        self._tap = Tap(ring)
        self._peak = self._power = 0.0
        self._samples = 0

    def listen(self) -> None:
        """Take in what has come; to be called at least every two seconds."""
        heard = self._tap.read()
        if heard.size:
            self._peak = max(self._peak, float(np.abs(heard).max()))
            self._power += float(np.square(heard, dtype=np.float64).sum())
            self._samples += heard.size

    def take(self) -> tuple[float, float]:
        """Peak and rms in dBFS; from now on they begin anew."""
        self.listen()
        found = decibels(self._peak), decibels((self._power / max(self._samples, 1)) ** 0.5)
        self._peak = self._power = 0.0
        self._samples = 0
        return found


def snapshot(session: Session, before: Loudness, after: Loudness) -> dict[str, Any]:
    """What there is to say of *session* now, ready for JSON; levels are of the time since the last one."""
    statistics, engine = session.statistics(), session.engine
    levels = [round(level, 1) for side in (before, after) for level in side.take()]
    names = ("in_peak_dbfs", "in_rms_dbfs", "out_peak_dbfs", "out_rms_dbfs")
    stages = [
        {key: stage[key] for key in ("name", "bypass", "failing", "load", "mean_us", "p99_us")}
        for stage in engine.describe_chain()
    ]
    return {
        "type": "snapshot",
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "devices": session.backend.describe(),
        "lost": session.lost,
        **statistics.as_dict(),
        **dict(zip(names, levels, strict=True)),
        "chain": stages,
    }


def line(values: dict[str, Any]) -> str:
    """:func:`snapshot` as a line for people; what is as it should be is left out where that is clear."""
    words = [
        f"{values['seconds']:.0f} s",
        f"in {values['in_peak_dbfs']:.1f}",
        f"out {values['out_peak_dbfs']:.1f} dBFS",
        f"hop {values['hop_p50_ms']:.2f}/{values['hop_p99_ms']:.2f} ms",
        f"misses {values['deadline_misses']}",
        f"dull {values['dull_seconds']:.2f} s",
        f"xruns {values['xruns'] + values['device_xruns']}",
        f"band {values['cutoff_hz'] / 1000.0:.1f} kHz",
        f"delay {values['latency_ms']:.1f} ms",
    ]
    words += [
        word
        for word, holds in (
            ("BYPASS", values["bypass"]), ("MUTED", values["muted"]), ("DEVICE AWAY", values["lost"]),
        )
        if holds
    ]  # fmt: skip
    words += [f"{stage['name']} {100.0 * stage['load']:.1f} %" for stage in values["chain"]]
    return "  ".join(words)


class LogLines:
    """Every *interval_s* a snapshot of *session*: as a line to *say*, and as a line of JSON to *target*.

    *target* is a path, which is appended to, or ``-`` for standard output; None: no JSON. *interval_s* 0: none at all,
    only what is told. A context; :meth:`update` is to be called some ten times a second. The last snapshot is of the
    end.
    """

    def __init__(
        self, session: Session, target: str | None, say: Callable[[str], None] | None, interval_s: float
    ) -> None:
        self._session = session
        self._say = say
        self._interval_s = interval_s
        self._next_s = time.monotonic() + interval_s
        self._cleanup = ExitStack()
        self._target = target
        self._file: IO[str] | None = _opened(target, self._cleanup)
        self._before, self._after = Loudness(session.engine.low), Loudness(session.engine.mix)
        self._wanted = interval_s > 0.0 and (say is not None or target is not None)

    def update(self) -> None:
        """Write a line where it is time."""
        if not self._wanted:
            return
        self._before.listen()
        self._after.listen()
        if time.monotonic() >= self._next_s:
            self._next_s = max(self._next_s + self._interval_s, time.monotonic())
            self._write_snapshot(self._say)

    def tell(self, text: str) -> None:
        """Have *text*, which people have been told, in the JSON, too."""
        self._write({"type": "notice", "time": datetime.now(UTC).isoformat(timespec="milliseconds"), "text": text})

    def _write_snapshot(self, say: Callable[[str], None] | None) -> None:
        values = snapshot(self._session, self._before, self._after)
        self._write(values)
        if say is not None:
            say(line(values))

    def _write(self, values: dict[str, Any]) -> None:
        if self._file is None:
            return
        try:
            self._file.write(json.dumps(values, allow_nan=False) + "\n")
            self._file.flush()
        except OSError as error:  # a full disk, or a reader that is gone, is no reason to end a call
            self._file = None
            sys.stderr.write(f"fullband: no more JSON lines to {self._target}: {error.strerror}\n")

    def __enter__(self) -> LogLines:
        return self

    def __exit__(self, *_: Any) -> None:
        if self._wanted and self._file is not None:
            self._write_snapshot(None)
        self._cleanup.close()


def _opened(target: str | None, cleanup: ExitStack) -> IO[str] | None:
    if target is None:
        return None
    if target == "-":
        return sys.stdout
    try:
        return cleanup.enter_context(open(target, "a", encoding="utf-8"))
    except OSError as error:
        raise FullbandError(f"cannot write {target}: {error.strerror}") from None
