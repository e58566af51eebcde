"""Every key of a TOML file is found on its line, whatever lies between."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

from realtime.settings.toml_lines import Loc, key_lines

#: A key whose last word is ``at_N`` stands on line N.
DOCUMENT = '''\
# [not.a.table]
at_2 = 1
a.b.at_3 = "x"  # at_9 = 3

text_at_5 = """
[[chain]]
fake = 1
"""
list_at_9 = [
  # a comment ] in it
  "[table]", 'at_7 = 1',
  [1, 2],
]
"quoted key.at_14" = { x_at_14 = 1, y_at_14 = { z_at_14 = [ { deep_at_14 = 1 } ] } }
date_at_15 = 1979-05-27 07:32:00

[table_at_17]
  at_18 = \'\'\'one line\'\'\'
  [table_at_17.inner_at_19]
  at_20 = 1
[[chain]]
at_22 = 1
[[chain.sub]]
at_24 = 2
[chain.table_at_25]
at_26 = 1
[[chain.sub]]
at_28 = 2
[[chain]]
at_30 = 1
  [[chain.sub]] # the first of the second
at_32 = 1
[ spaced . "out_at_33" ]
at_34 = 1
'''


def _walk(value: Any, loc: Loc = ()) -> Iterator[Loc]:
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*loc, key)
        yield from _walk(inner, (*loc, key))


def test_keys_are_on_the_lines_that_they_name() -> None:
    lines = key_lines(DOCUMENT)
    named = [loc for loc in _walk(tomllib.loads(DOCUMENT)) if "at_" in str(loc[-1])]
    assert len(named) == 23
    for loc in named:
        assert lines[loc] == int(str(loc[-1]).rpartition("at_")[2]), loc


def test_every_key_has_a_line_and_nothing_else_has() -> None:
    assert set(key_lines(DOCUMENT)) == set(_walk(tomllib.loads(DOCUMENT)))
    assert key_lines("") == key_lines("# nothing\n") == {}


def test_tables_of_a_list_are_where_their_headings_are() -> None:
    lines = key_lines(DOCUMENT)
    assert [lines["chain", 0], lines["chain", 1]] == [21, 29]
    assert [lines["chain", 0, "sub", 0], lines["chain", 0, "sub", 1], lines["chain", 1, "sub", 0]] == [23, 27, 31]
    assert lines["list_at_9", 2, 1] == 9
