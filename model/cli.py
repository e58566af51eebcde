"""The commands of `model`: gather, train, export, evaluate. The main command line mounts them lazily."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from realtime.errors import FullbandError
from realtime.paths import CONFIGS, find_model
from realtime.report import Report
from realtime.settings.file import find_preset

from .evaluate import evaluate
from .study.commands import study

app = typer.Typer(no_args_is_help=True, help="Train, evaluate and export networks.")

DataFolders = Annotated[
    list[Path],
    typer.Option("--data", help="folder of audio: with a manifest.csv, VCTK as it unpacks, or any; can be repeated"),
]
JsonFile = Annotated[str | None, typer.Option("--json", help="write the result as JSON; - is standard output")]


@app.command()
def gather(
    sources: Annotated[
        str, typer.Argument(metavar="SOURCES", help="a list that ships, as debian, or the path of a TOML file")
    ],
    into: Annotated[Path, typer.Option(help="folder to make, for `train --data`")],
    json_file: JsonFile = None,
) -> None:
    """Fetch recorded speech and make training data of it. A stopped run goes on with what it has fetched."""
    from .data.gather import gather
    from .data.packages import Sources
    from .report.progress import bar

    console = Console(stderr=True)
    wanted = Sources.read(find_preset(sources, CONFIGS / "data", exit_status=2))
    with bar(console, "gathering") as advance:
        rows = gather(wanted, into, advance)
    minutes = sum(row.seconds for row in rows) / 60.0
    speakers = {row.speaker for row in rows}
    Report(json_file).finish({"minutes": round(minutes, 1), "clips": len(rows), "speakers": sorted(speakers)})
    console.print(f"{into}: {minutes:.0f} minutes in {len(rows)} recordings by {len(speakers)} speakers")


@app.command()
def train(
    data: DataFolders,
    run: Annotated[Path, typer.Option(help="folder of this run; a checkpoint in it is resumed")] = Path("runs/default"),
    config: Annotated[Path | None, typer.Option(help="TOML; without it the shipped recipe")] = None,
    minutes: Annotated[float | None, typer.Option(help="budget in minutes, overrides the file's")] = None,
    steps: Annotated[int | None, typer.Option(help="budget in steps, overrides the file's")] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from", help="begin a new run with these weights: checkpoint.pt, or a model as it ships, as default"
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto: cuda where there is one")] = "auto",
    threads: Annotated[int, typer.Option(help="threads of torch")] = 1,
    workers: Annotated[
        int | None, typer.Option(min=0, help="processes that make batches; without it one for each core left over")
    ] = None,
) -> None:
    """Train a network, or go on training the one in RUN. Ctrl-C keeps what was learnt.

    Several GPUs: torchrun --nproc-per-node N -m model.cli train …
    """
    import torch

    from .data.corpus import find_clips
    from .data.mixture import Mixture
    from .training.config import TrainConfig
    from .training.distributed import leave
    from .training.trainer import Trainer, choose_device

    torch.set_num_threads(threads)
    settings = TrainConfig.read(config) if config else TrainConfig()
    if minutes is not None or steps is not None:
        budget = settings.run.model_copy(update={"minutes": minutes, "steps": steps})
        settings = settings.model_copy(update={"run": budget})
    mixture = Mixture(
        [clip for folder in data for clip in find_clips(folder, "train")],
        lossy_floor_hz=settings.data.lossy_floor_hz,
        pcm_boost=settings.data.pcm_boost,
        corpus_cap=settings.data.corpus_cap,
    )
    if workers is None:
        workers = min(max((os.cpu_count() or 1) - threads, 0), 8)
    begun_with = None if start is None else _weights(start)
    trainer = Trainer(settings, run, device=choose_device(device), workers=workers, start=begun_with)
    console = Console(stderr=True)
    console.print(f"{mixture.seconds / 60.0:.1f} minutes of {mixture.speakers} speakers, from step {trainer.step}")
    columns = (
        TextColumn("step {task.fields[step]}"),
        BarColumn(),
        TextColumn("loss {task.fields[loss]:.3f}"),
        TimeElapsedColumn(),
        TextColumn("left {task.fields[left]}"),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("training", total=1.0, step=trainer.step, loss=0.0, left="?")

        def show(step: int, share: float, losses: dict[str, float]) -> None:
            left_s = trainer.elapsed_s * (1.0 - share) / max(share, 1e-6)
            left = f"{left_s / 60.0:.0f} min"
            progress.update(bar, completed=share, step=step, loss=losses["total"], left=left)

        try:
            trainer.train(mixture, show)
        except KeyboardInterrupt:
            trainer.save()
            console.print(f"stopped; the same command goes on from step {trainer.step}")
            raise
        finally:
            leave()
    console.print(f"{trainer.checkpoint_path}: {trainer.step} steps in {trainer.elapsed_s / 60.0:.1f} minutes")


def _weights(start: str) -> Path | None:
    """Where the weights lie that *start* names: a checkpoint's path, or a model as :func:`find_model` knows it."""
    return Path(start) if Path(start).suffix == ".pt" else find_model(start)


def _shares(checkpoint: Path, mixed: list[str]) -> dict[Path, float]:
    shares = {}
    for text in mixed:
        path, _, share = text.rpartition("=")
        try:
            shares[Path(path)] = float(share)
        except ValueError:
            raise FullbandError(f"--blend {text}: write CHECKPOINT=SHARE, as runs/b/checkpoint.pt=0.3") from None
    rest = 1.0 - sum(shares.values())
    if min(shares.values(), default=0.0) < 0.0 or rest < 0.0 or checkpoint in shares:
        raise FullbandError("--blend: shares are of other checkpoints, positive and at most 1 in all")
    return {checkpoint: rest, **shares}


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="checkpoint.pt of a run")],
    output: Annotated[Path, typer.Argument(help="the ONNX file to write")],
    name: Annotated[str, typer.Option(help="name of the model, in its metadata")] = "core",
    licence: Annotated[str, typer.Option(help="licence of the weights, in the metadata")] = "undeclared",
    trained_on: Annotated[str, typer.Option(help="sources of the data, in the metadata")] = "undeclared",
    mixed: Annotated[
        list[str] | None,
        typer.Option("--blend", metavar="CHECKPOINT=SHARE", help="mix these weights in; the first gets what is left"),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Write a trained network as one file under the streaming contract, and check and time that file."""
    from . import export as exporter
    from .training.trainer import blend

    console = Console(stderr=True)
    network = blend(_shares(checkpoint, mixed or []))
    exporter.write_onnx(network, output, exporter.metadata(network.framing, name, licence, trained_on))
    exporter.check(network, output)
    cost = exporter.measure(network, output)
    Report(json_file).finish(cost.as_dict())
    console.print(
        f"{output}: {cost.file_kb:.0f} kB, {cost.parameters} parameters, "
        f"{cost.network_mmac_per_s:.0f} MMAC/s for the network and {cost.signal_mmac_per_s:.0f} for transforms, "
        f"{cost.hop_ms_p50:.3f} ms a hop (p99 {cost.hop_ms_p99:.3f})"
    )
    for part in cost.parts:
        console.print(
            f"  {part.name:<22} {part.parameters:>8} parameters {part.mmac_per_s:6.1f} MMAC/s "
            f"{part.hop_ms:.3f} ms a hop"
        )


app.command()(evaluate)
app.add_typer(study, name="study")


if __name__ == "__main__":
    app()
