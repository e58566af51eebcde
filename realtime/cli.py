"""The one entry point, ``fullband``: finds the command, and turns every failure into one line.

Exit status: 0 done, 1 failed with one line on standard error, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from . import __version__
from .errors import FullbandError, suggest
from .signals import hold_reloads

#: Command, module and the line for --help; a module is imported when its command is used, so that help
#: and a live start do not pay for what they do not need.
COMMANDS = {
    "live": ("realtime.commands.live", "Make a microphone full-band in real time."),
    "file": ("realtime.commands.file", "Make recordings full-band."),
    "match": ("realtime.commands.match", "Give the high band the brightness of your microphone."),
    "ctl": ("realtime.commands.ctl", "Control a running host."),
    "voip": ("realtime.commands.voip", "Telephony through the host."),
    "plugins": ("realtime.commands.plugins", "List plugins, and tell what a model file lacks."),
    "config": ("realtime.commands.config", "Presets and settings: list, check, show."),
    "service": ("realtime.commands.service", "Have it run at every login."),
    "devices": ("realtime.commands.devices", "List the sound devices."),
    "doctor": ("realtime.commands.doctor", "Tell what this machine can hold."),
    "bench": ("bench.commands", "Measure latency and deadlines."),
    "gather": ("model.cli", "Fetch recorded speech to train on."),
    "train": ("model.cli", "Train a network."),
    "evaluate": ("model.cli", "Score a network against references."),
    "export": ("model.cli", "Export a trained network to ONNX."),
    "study": ("model.study.commands", "Repeat the study of U-Nets that this project grew out of."),
}


#: What only the extra ``train`` brings.
_TRAINING_PACKAGES = ("torch", "scipy", "onnx", "onnxscript", "visqol", "pesq")
#: What only the extra ``voip`` brings.
_VOIP_PACKAGES = ("aiosipua", "aiortc", "aioice", "aiohttp", "av")


class _LazyCommand(TyperCommand):
    """Knows its name and help; the real command is loaded when it gets arguments."""

    commands: dict[str, tuple[str, str]]

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        return _load(self.name or "", self.commands).make_context(info_name, args, parent=parent, **extra)


class LazyGroup(TyperGroup):
    """A group of commands, each loaded when it is used: *table* is as :data:`COMMANDS`."""

    table = COMMANDS

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.table:
            return None
        command = _LazyCommand(cmd_name, help=self.table[cmd_name][1])
        command.commands = self.table
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in self.table:
            hint = suggest(args[0], self.table, "commands are")
            raise FullbandError(f"no command '{args[0]}'; {hint}", exit_status=2)
        return super().resolve_command(ctx, args)


def _announce_compilation() -> None:
    """The audio path is compiled while its modules are imported; say so before ten silent seconds."""
    from .native import IS_CACHED

    if not IS_CACHED and sys.stderr.isatty():
        sys.stderr.write("compiling the audio path for this processor, once …\n")


@contextmanager
def _without_scipy() -> Iterator[None]:
    """numba looks for SciPy's linear algebra as soon as it is used: long to import, and nothing here needs it."""
    if "scipy" in sys.modules:
        yield
        return
    sys.modules["scipy"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["scipy"]


def _load(name: str, commands: dict[str, tuple[str, str]]) -> Any:
    module_name, help_text = commands[name]
    if name == "live":
        hold_reloads()
    with _without_scipy() if name == "live" else nullcontext():
        if name in ("live", "file", "doctor", "bench", "sip", "rtp", "web"):
            _announce_compilation()
        module = importlib.import_module(module_name)
    loaded: Any = getattr(module, name)
    if not isinstance(loaded, typer.Typer):
        single = typer.Typer(add_completion=False)
        single.command(name=name, help=loaded.__doc__ or help_text)(loaded)
        loaded = single
    return _flowing(typer.main.get_command(loaded))


def _flowing(command: Any) -> Any:
    """*command*, and those within, with paragraphs of help that are as wide as the terminal, not as their source."""
    paragraphs = (command.help or "").split("\n\n")
    command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    for within in getattr(command, "commands", {}).values():
        _flowing(within)
    return command


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Real-time audio super-resolution: a voice that sounds like a telephone comes out full-band.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fullband {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version


def main() -> None:
    """Run ``fullband`` with the arguments of the process."""
    try:
        status = app(standalone_mode=False)
    except FullbandError as error:
        status = _fail(str(error), error.exit_status)
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package not in (*_TRAINING_PACKAGES, *_VOIP_PACKAGES):
            raise
        extra = "train" if package in _TRAINING_PACKAGES else "voip"
        status = _fail(f"this needs {package}, which the light install leaves out: pip install 'fullband[{extra}]'", 1)
    except (KeyboardInterrupt, typer.Abort):
        status = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except Exception as error:
        # Typer's usage errors, whichever copy of click it brings; anything else is a fault of ours.
        describe = getattr(error, "format_message", None)
        if describe is None:
            raise
        text = describe()
        if not text or type(error).__name__ == "NoArgsIsHelpError":
            sys.exit(0)
        status = _fail(f"{text.rstrip('.')}; see --help", 2)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str, status: int) -> int:
    sys.stderr.write(f"fullband: {' '.join(message.split())}\n")
    return status
