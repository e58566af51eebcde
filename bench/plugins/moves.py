"""Parameters moved while audio runs, on every stage there is, and what was heard of it; every LADSPA plugin, run.

A click is looked for as in :mod:`.clicks`: above 6 kHz, where the voice has nothing. What a stage may put there is what
it puts there with its parameter at rest, at either end of the way, and what a legal fade between the two would. Some
plugins click of themselves, here and there: gates, crackles, what divides by nearly nothing. So what exceeds the limit
is compared with the same plugin left alone, begun at other moments: where that exceeds the same limit as much, no way
of moving it is to blame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.engine import Engine, EngineSettings, StreamFormat
from realtime.errors import FullbandError
from realtime.native.offline import run_blocks
from realtime.plugins.ladspa.catalogue import all_plugins, find_plugin
from realtime.plugins.ladspa.descriptor import file_name
from realtime.plugins.ladspa.stage import leap_of, unsuited
from realtime.plugins.parameter import Parameter
from realtime.plugins.registry import is_ladspa, parameters_of
from realtime.plugins.spec import resolve

from ..signals.clicks import RATE_HZ, Clicks, find_clicks, jumps, thresholds
from ..signals.material import at_48_khz, telephone_voice

_BLOCK = 128

#: A parameter is moved so often; a ramp and what follows of it have an end in between.
_MOVE_BLOCKS = 100
_MOVES = 6

#: Part of its range by which a hand moves a slider at a time.
_SLIDE = 0.05

#: Where along its way a parameter that clicks is left at rest, if it is moved within earshot.
_REST = (0.0, 0.05, 0.1, 0.2, 0.5, 0.8, 0.9, 1.0)

#: So often a plugin that clicks is left alone, begun somewhere in the voice, and played so much softer, as is drawn.
MOMENTS = 40
_SOFTER_BY = 0.02

#: What is begun in the midst of the voice has it faded in, and is listened to from then on.
_ENTRY_SAMPLES = 480
_SETTLED_BLOCKS = 40

BY_A_LITTLE = " by a little"

#: How what is heard is judged: as the host's way of moving, or as the plugin's own.
AS_MOVED, AT_REST = "clicks as it moves", "clicks at rest"

#: How the problem of a plugin begins that has the wrong ports.
NO_STAGE = "no stage"

#: What a parameter without a bound is moved to.
_UNBOUNDED = (0.0, 1.0)

#: How far from a jump what made it may be: a fade and the filter that jumps are looked for with.
_REACH = 1024

#: Above this the host limits what it plays, which is not what is tried here: the voice is then so much softer.
_NOT_LIMITED = 0.85
_SOFTER = 0.15

Stages = Sequence[dict[str, Any]]


@lru_cache(maxsize=1)
def _voice() -> NDArray[np.float32]:
    voice: NDArray[np.float32] = at_48_khz(telephone_voice(2.5))[0]
    return voice[: _MOVE_BLOCKS * _MOVES * _BLOCK]


def _play(engine: Engine, x: NDArray[np.float32]) -> NDArray[np.float32]:
    blocks = len(x) // _BLOCK
    heard = np.zeros(blocks * _BLOCK, np.float32)
    worker = engine.worker.address
    run_blocks(engine.port_address, worker, np.ascontiguousarray(x), np.full(blocks, _BLOCK), heard, _BLOCK)
    return heard


@dataclass(frozen=True)
class _Heard:
    """What was heard [n], and what the stages then told of themselves."""

    x: NDArray[np.float32]
    stages: list[dict[str, Any]]

    @property
    def faults(self) -> int:
        """Blocks of a stage that were no audio."""
        return sum(int(stage["faults"]) for stage in self.stages)


def _listen(chains: Sequence[Stages], model: Path | None, x: NDArray[np.float32]) -> _Heard:
    """Play *x* [n], the chain being set to each of *chains* in turn."""
    settings = EngineSettings(model, cutoff_hz=4_000.0, chain=resolve(chains[0]))
    with Engine(StreamFormat(RATE_HZ, RATE_HZ, _BLOCK), settings) as engine:
        piece = _MOVE_BLOCKS * _BLOCK
        heard = []
        for k, first in enumerate(range(0, len(x), piece)):
            engine.set_chain(resolve(chains[k % len(chains)]))
            heard.append(_play(engine, x[first : first + piece]))
        return _Heard(np.concatenate(heard), engine.describe_chain())


def _from_a_moment(number: int) -> tuple[int, NDArray[np.float32]]:
    """Where in the voice it is begun, in samples, and the voice from there on; what is drawn goes with *number*."""
    drawn = np.random.default_rng(number)
    first = int(drawn.integers(_MOVE_BLOCKS * (_MOVES - 2))) * _BLOCK
    x = _voice()[first:] * np.float32(1.0 - _SOFTER_BY * drawn.random())
    x[:_ENTRY_SAMPLES] *= np.linspace(0.0, 1.0, _ENTRY_SAMPLES, dtype=np.float32)
    return first, x


def _widened(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest of *x* [n] within reach of each sample."""
    padded = np.pad(x, _REACH)
    blocks = np.lib.stride_tricks.sliding_window_view(padded, 2 * _REACH + 1)[:: _REACH // 4].max(axis=1)
    return np.repeat(blocks, _REACH // 4)[: len(x)]


class Passage:
    """A chain on its way from the first to the second of *ways*, and what may be heard of that: its limit."""

    def __init__(self, ways: Sequence[Stages], model: Path | None = None) -> None:
        self._ways, self._model = ways, model
        self._level = np.float32(1.0)
        at_rest = [_listen([way], model, _voice()) for way in ways]
        if max(np.abs(heard.x).max() for heard in at_rest) > _NOT_LIMITED:
            self._level = np.float32(_SOFTER)
            at_rest = [_listen([way], model, self._level * _voice()) for way in ways]
        #: Blocks that were no audio with nothing moving.
        self.rest_faults = max(heard.faults for heard in at_rest)
        self._limit = thresholds([heard.x for heard in at_rest])
        self._limit += np.max([_widened(jumps(heard.x)) for heard in at_rest], axis=0)

    def moved(self) -> Clicks:
        """Clicks while it goes there and back, again and again."""
        return find_clicks(_listen(self._ways, self._model, self._level * _voice()).x, self._limit)

    def rest_excess(self, chains: Sequence[Stages], enough: float) -> float:
        """The largest jump, of the limit, with the chain at rest as each of *chains*, begun at several moments.

        Heard until it is *enough*, or all have been.
        """
        largest = 0.0
        for number in range(MOMENTS):
            first, x = _from_a_moment(number)
            settled = _SETTLED_BLOCKS * _BLOCK
            for chain in chains:
                heard = _listen([chain], self._model, self._level * x).x[settled:]
                largest = max(largest, find_clicks(heard, self._limit[first + settled :]).excess)
                if largest >= enough:
                    return largest
        return largest


def clicks_between(ways: Sequence[Stages], model: Path | None = None) -> Clicks:
    """Clicks while a chain goes from the first to the second of *ways* and back, again and again."""
    return Passage(ways, model).moved()


def _with(stages: Stages, place: int, /, **values: Any) -> Stages:
    return [{**stage, **values} if k == place else stage for k, stage in enumerate(stages)]


def ends(parameter: Parameter) -> tuple[float, float]:
    """From where to where a parameter is moved: from end to end."""
    low = parameter.low if math.isfinite(parameter.low) else min(_UNBOUNDED[0], parameter.high)
    high = parameter.high if math.isfinite(parameter.high) else max(_UNBOUNDED[1], parameter.low)
    return low, high


def slide_of(parameter: Parameter) -> tuple[float, float]:
    """From where to where a hand moves it at a time."""
    low, high = ends(parameter)
    value, step = parameter.default, _SLIDE * (high - low)
    return value, value + step if value + step <= high else value - step


@dataclass(frozen=True)
class Move:
    """A parameter, or the bypass, that was moved: what was heard of it.

    *excess*: the largest jump as a multiple of its limit; more than 1 is a click. *rest_excess*: the same with nothing
    moving, listened for where something clicked; *rest_faults* the blocks that were no audio at all, then.
    """

    name: str
    clicks: int
    excess: float
    rest_excess: float | None = None
    rest_faults: int = 0

    @property
    def verdict(self) -> str:
        """Whether it is heard, and whether that is the plugin's own."""
        if self.clicks == 0:
            return "silent"
        is_own = self.rest_faults > 0 or (self.rest_excess is not None and self.rest_excess >= self.excess)
        return AT_REST if is_own else AS_MOVED


def _try_move(name: str, ways: Sequence[Stages], between: Sequence[Stages], model: Path | None) -> Move:
    """Move from one of *ways* to the other; *between* are the places that it is heard at on its way."""
    passage = Passage(ways, model)
    found = passage.moved()
    rest = passage.rest_excess([*ways, *between], found.excess) if found.count else None
    return Move(name, found.count, found.excess, rest, passage.rest_faults)


def sweep_stage(stages: Stages, place: int, model: Path | None = None, *, slide: bool = False) -> list[Move]:
    """Move each parameter of one of *stages*, and its bypass, from end to end while all else is at rest.

    *slide*: by a little, too, as by a hand.
    """
    plugin = str(stages[place]["plugin"])
    found = []
    for parameter in parameters_of(plugin):
        moves = {parameter.name: ends(parameter)}
        if slide and parameter.kind == "float":
            moves[parameter.name + BY_A_LITTLE] = slide_of(parameter)
        for name, (low, high) in moves.items():
            ways, between = (
                [_with(stages, place, **{parameter.name: low + part * (high - low)}) for part in parts]
                for parts in ((0.0, 1.0), _REST if is_heard_between(plugin, parameter, high - low) else ())
            )
            found.append(_try_move(name, ways, between, model))
    ways = [_with(stages, place, bypass=bypass) for bypass in (False, True)]
    return [*found, _try_move("bypass", ways, (), model)]


def is_heard_between(plugin: str, parameter: Parameter, by: float) -> bool:
    """Whether a *parameter* that is moved *by* so much passes what lies between while it is heard."""
    if not is_ladspa(plugin):
        return parameter.kind == "float"
    return abs(by) <= leap_of(find_plugin(plugin), parameter)


@dataclass(frozen=True)
class PluginRow:
    """What became of a LADSPA plugin. *problem* None: it loaded and ran, its output audio.

    *load* is the part of one core that a stage of it takes, *latency_samples* what it tells. *moves*: what was moved.
    """

    plugin: str
    problem: str | None
    latency_samples: int = 0
    load: float = 0.0
    parameters: int = 0
    moves: tuple[Move, ...] = ()


def try_plugin(plugin: str, sweep: bool) -> PluginRow:
    """Run the LADSPA *plugin* in a chain; with *sweep* move all its parameters."""
    try:
        (told,) = _listen([[{"plugin": plugin}]], None, _voice()).stages
    except FullbandError as error:
        return PluginRow(plugin, str(error))
    problem = "its output is no audio" if told["faults"] else None
    latency = round(told["latency_ms"] * RATE_HZ / 1000.0)
    moves = sweep_stage([{"plugin": plugin}], 0, slide=True) if sweep and problem is None else []
    return PluginRow(plugin, problem, latency, told["load"], len(told["parameters"]), tuple(moves))


def catalogue() -> tuple[list[str], list[PluginRow]]:
    """The LADSPA plugins of this machine that can be a stage; and a row for every one that cannot."""
    facts, refused = all_plugins()
    names, rows = [], [PluginRow(file_name(path), f"refused: {reason}") for path, reason in refused.items()]
    for one in facts:
        name = f"{file_name(one.path)}:{one.label}"
        reason = unsuited(one)
        if reason is not None:
            rows.append(PluginRow(name, f"{NO_STAGE}: {reason}"))
        else:
            names.append(name)
    return names, rows


def try_all(names: Sequence[str], sweep: bool, progress: Callable[[str], None]) -> Iterator[PluginRow]:
    """:func:`try_plugin` of each, in a child process that may crash."""
    pool = ProcessPoolExecutor(max_workers=1)
    try:
        for name in names:
            progress(name)
            try:
                find_plugin(name)
                yield pool.submit(try_plugin, name, sweep).result()
            except FullbandError as error:
                yield PluginRow(name, str(error))
            except BrokenProcessPool:
                yield PluginRow(name, "it crashed while it ran in the chain")
                pool = ProcessPoolExecutor(max_workers=1)
    finally:
        pool.shutdown()
