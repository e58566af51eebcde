"""Names given on the command line, held against those that there are."""

from __future__ import annotations

from collections.abc import Iterable

from realtime.errors import FullbandError, suggest


def check_names(kind: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse the first of *given* that is not *known*."""
    known = list(known)
    for name in given:
        if name not in known:
            raise FullbandError(f"no {kind} named '{name}'; {suggest(name, known)}", exit_status=2)
