"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from ..bandwidth import CUTOFF_RANGE_HZ
from ..wishes import HIGH_LEVEL_RANGE_DB, HIGH_TILT_RANGE_DB

ModelOption = Annotated[str | None, typer.Option(help="A shipped model, the path of an .onnx file, or 'none'.")]
CutoffOption = Annotated[
    float | None,
    typer.Option(
        "--cutoff",
        min=CUTOFF_RANGE_HZ[0],
        max=CUTOFF_RANGE_HZ[1],
        help="Where the voice's band ends, in Hz; found by itself.",
    ),
]
LevelOption = Annotated[
    float | None,
    typer.Option(
        "--level", min=HIGH_LEVEL_RANGE_DB[0], max=HIGH_LEVEL_RANGE_DB[1], help="Level of the high band alone, in dB."
    ),
]
TiltOption = Annotated[
    float | None,
    typer.Option(
        "--tilt",
        min=HIGH_TILT_RANGE_DB[0],
        max=HIGH_TILT_RANGE_DB[1],
        help="Its tilt, in dB an octave from the cutoff up.",
    ),
]
PivotOption = Annotated[
    float | None,
    typer.Option(
        "--pivot",
        min=CUTOFF_RANGE_HZ[0],
        max=CUTOFF_RANGE_HZ[1],
        help="Where that level holds and the tilt turns, in Hz; without it where the voice's band ends.",
    ),
]
