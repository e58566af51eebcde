"""What `study evaluate` leaves in the folder of a study, for its report: figures, pictures, sounds."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, get_args

import numpy as np
import soundfile

from realtime.errors import FullbandError
from realtime.paths import shipped_models

from ..data.corpus import Clip, read_clip
from ..report.listening import loudest
from . import evaluation, lessons, look, pictures, stream
from .config import NetworkSection, Split
from .contenders import BASELINES, Contender, on_chunks, on_recording
from .evaluation import Standing, Work
from .pairs import Pairs, lower
from .unet import UNet

#: The shipped models that are heard and scored beside the study's: ours, and the study's best, made causal.
BESIDE = ("default", "study-unet")

#: Recordings of which the sounds are kept, and their length.
EXAMPLES = 2
EXAMPLE_S = 4.0

RESULTS = "results.json"

VARIANT_TAILS: tuple[Literal["plain", "inception"], ...] = ("plain", "inception")


def trained(folder: Path) -> list[Contender]:
    """The runs of a study that have a checkpoint."""
    found = [path.parent for path in sorted((folder / "runs").glob("*/checkpoint.pt"))]
    return [Contender(run.name, run / "checkpoint.pt") for run in found]


def beside(folder: Path) -> list[Contender]:
    """Models of the host: the shipped ones, and what `study export` has left in *folder*."""
    shipped = shipped_models()
    exported = {path.stem: path for path in sorted(folder.glob("*.onnx"))}
    models = {name: shipped[name] for name in BESIDE} | exported
    return [Contender(name, path) for name, path in models.items()]


def best(standings: Sequence[Standing]) -> Standing | None:
    """The network with the least mean squared error on the test chunks."""
    networks = [standing for standing in standings if standing.steps and standing.chunks]
    return min(networks, key=lambda one: one.chunks.mse if one.chunks else math.inf) if networks else None


def evaluate(
    folder: Path,
    clips_of: Mapping[str, Sequence[Clip]],
    split: Split,
    *,
    batch: int,
    chunks: int | None,
    clips: int | None,
    heard: int | None,
    jobs: int,
    advance: Callable[[float], None],
) -> dict[str, Any]:
    """Score everything that is trained in *folder*; writes and gives its results.

    *clips_of* are the recordings of "train" and "test"; the first serve to tell corpora apart.
    """
    runs = trained(folder)
    if not runs:
        raise FullbandError(f"{folder} has no trained network; `fullband study train` or `all` makes them")
    pairs = Pairs(folder / "pairs")
    work = evaluation.plan(pairs, clips_of["test"], split, batch, chunks, clips, heard)
    contenders = [*evaluation.baselines(), *runs, *beside(folder)]
    standings = evaluation.evaluate(contenders, work, jobs, lambda share: advance(0.8 * share))
    first = best(standings)
    assert first is not None
    chosen = next(contender for contender in runs if contender.name == first.name)
    (folder / "pictures").mkdir(exist_ok=True)
    sample = look.sample(pairs)
    look.draw(pairs, sample, folder / "pictures" / "data.png")
    _draw(folder, work, runs, standings, chosen)
    _sound(folder, work, chosen)
    advance(0.1)
    results = {
        "summary": look.summarise(pairs, sample).as_dict(),
        "pairs": pairs.section.model_dump(),
        "split": split,
        "batch": batch,
        "scored": {"chunks": len(work.numbers), "clips": len(work.clips), "heard": work.heard},
        "licences": sorted({f"{clip.corpus}: {clip.licence}" for clip in work.clips}),
        "standings": [evaluation.as_dict(standing) for standing in standings],
        "best": first.name,
        "ablation": evaluation.ablate(chosen, work),
        "aliasing": asdict(lessons.aliasing(work.clips, pairs.section)),
        "leaks": [asdict(lessons.leak(pairs, how, chunks)) for how in get_args(Split)],
        "rivalry": asdict(lessons.rivalry(standings)),
        "corpora": [asdict(one) for one in lessons.corpora(clips_of["train"], pairs.section)],
        "provenance": asdict(lessons.provenance(pairs, work.numbers)),
        "costs": costs(folder),
    }
    (folder / RESULTS).write_text(json.dumps(results, indent=1) + "\n")
    advance(0.1)
    return results


def costs(folder: Path) -> list[dict[str, Any]]:
    """One hop of the host's models, and of the study's two networks of five blocks at full size, made causal.

    What weights they have does not change what they cost: those two are not trained.
    """
    found = [stream.cost_of(one.path, one.name) for one in beside(folder) if one.path is not None]
    with TemporaryDirectory() as place:
        for tail in VARIANT_TAILS:
            path = Path(place) / f"{tail}.onnx"
            network = NetworkSection(tail=tail, causal=True, lookahead=12, dropout="none").unet(4)
            hosted = stream.HostedUNet(UNet(network)).eval()
            stream.write(hosted, path, stream.metadata(hosted, tail, "none", "untrained"))
            found.append(stream.cost_of(path, f"{tail}-5, every filter, causal", 40))
    return found


def _draw(
    folder: Path, work: Work, runs: Sequence[Contender], standings: Sequence[Standing], chosen: Contender
) -> None:
    target = folder / "pictures"
    pictures.losses([run.path.parent for run in runs if run.path is not None], target / "losses.png")
    pictures.rivals(standings, target / "rivals.png")
    low, high = Pairs(work.folder).read(work.numbers[:64])
    given = {name: on_chunks(Contender(name), low, work.section.factor) for name in BASELINES[:2]}
    given[chosen.name] = on_chunks(chosen, low, work.section.factor)
    pictures.scatter(high, given, target / "scatter.png")


def _sound(folder: Path, work: Work, chosen: Contender) -> None:
    """Low, spline, super, our own network and the original of a few recordings, as FLAC; spectrograms of the first."""
    section = work.section
    target = folder / "examples"
    target.mkdir(exist_ok=True)
    for number, clip in enumerate(work.clips[:EXAMPLES]):
        samples, _ = read_clip(clip)
        samples = samples[: len(samples) - len(samples) % section.factor]
        low = lower(samples, section)
        part = loudest(samples, EXAMPLE_S)
        sounds = {"low": on_recording(Contender("sinc"), low, section.factor, None)}
        for contender in (Contender("spline"), chosen, *beside(folder)):
            sounds[contender.name] = on_recording(contender, low, section.factor, section.chunk)
        sounds["original"] = samples
        for place, (name, whole) in enumerate(sounds.items()):
            heard = np.clip(whole[part], -1.0, 1.0)
            soundfile.write(target / f"{number}-{place}-{name}.flac", heard, 48_000, subtype="PCM_16")
        if number == 0:
            shown = {name: whole[part] for name, whole in sounds.items()}
            pictures.spectrograms(shown, folder / "pictures" / "spectrograms.png")


def load(folder: Path) -> dict[str, Any]:
    """What `evaluate` left in *folder*."""
    try:
        results: dict[str, Any] = json.loads((folder / RESULTS).read_text())
    except (OSError, ValueError):
        raise FullbandError(f"{folder} has no results; `fullband study evaluate` or `all` makes them") from None
    return results
