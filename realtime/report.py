"""Where a command's result goes: to people, or as JSON to a file or to standard output alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from .errors import FullbandError


class Report:
    """Output of one command. *json_target*: None (people only), a path, or ``-`` for standard output.

    With ``-`` nothing but the JSON is written to standard output; progress and words go to standard error. So it is
    with *taken*: something else has standard output for itself.
    """

    def __init__(self, json_target: str | None, taken: bool = False) -> None:
        self.json_target = json_target
        #: Whether standard output is not for words.
        self.taken = taken or json_target == "-"
        self.console = Console(stderr=self.taken, highlight=False)

    def say(self, text: str) -> None:
        """A line for people; left out where standard output is for JSON."""
        if not self.taken:
            self.console.print(text, soft_wrap=True)

    def finish(self, result: dict[str, Any] | list[Any]) -> None:
        """Write the JSON, where it was asked for."""
        if self.json_target is None:
            return
        text = json.dumps(result, indent=2) + "\n"
        if self.json_target == "-":
            sys.stdout.write(text)
            return
        try:
            Path(self.json_target).write_text(text)
        except OSError as error:
            raise FullbandError(f"cannot write {self.json_target}: {error.strerror}") from None
