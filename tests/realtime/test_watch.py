"""What PipeWire's tools tell is understood, also while things change under their eyes."""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime.backends.watch import pipewire_default, pipewire_objects

# As pw-dump wrote it while a node went (its numbers and properties cut short).
_CHANGING = """
[ { "id": 46, "info": null } ]
[ { "id": 41, "info": null } ]
[ { "id": 30, "type": "PipeWire:Interface:Node",
    "info": { "props": { "node.name": "spk", "node.description": "FakeSpeaker" } } },
  { "id": 31, "type": "PipeWire:Interface:Node",
    "info": { "props": { "node.name": "usb", "node.description": "UsbHeadset" } } },
  { "id": 33, "type": "PipeWire:Interface:Metadata",
    "metadata": [ { "subject": 0, "key": "default.audio.sink", "value": { "name": "spk" } } ] } ]
[ { "id": 31, "info": null } ]
"""


def _tool(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = folder / "pw-dump"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_a_dump_in_several_lists_is_one_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _tool(tmp_path, f"cat << 'END'{_CHANGING}END", monkeypatch)
    objects = pipewire_objects()
    assert objects is not None
    assert [found["id"] for found in objects] == [30, 33]
    assert pipewire_default("output") == {"FakeSpeaker", "spk"}
    assert pipewire_default("input") == set()


@pytest.mark.parametrize("script", ["exit 1", "echo '[ {'", "echo '[ 7 ]'", "echo '{}'"])
def test_no_answer_is_no_picture(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _tool(tmp_path, script, monkeypatch)
    found = pipewire_objects()
    assert not found
    assert pipewire_default("output", patience_s=0.2) == set()
