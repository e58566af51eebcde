"""Parameters moved while audio runs, on every stage there is, and what was heard of it; every LADSPA plugin, run.

A click is looked for as in :mod:`.clicks`: above 6 kHz, where the voice has nothing. What a stage may put there is what
it puts there with its parameter at rest, at either end of the way, and what a legal fade between the two would. Some
plugins click with a parameter at rest somewhere in between: that is told, as no way of moving it is to blame.
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
from realtime.plugins.ladspa.stage import unsuited
from realtime.plugins.parameter import Parameter
from realtime.plugins.registry import parameters_of
from realtime.plugins.spec import resolve

from .clicks import RATE_HZ, Clicks, find_clicks, jumps, thresholds
from .material import at_48_khz, telephone_voice

_BLOCK = 128

#: A parameter is moved so often; a ramp and what follows of it have an end in between.
_MOVE_BLOCKS = 75
_MOVES = 6

#: Part of its range by which a hand moves a slider at a time.
_SLIDE = 0.05

#: Where along its way a parameter that clicks is left at rest, to hear whether it does so by itself.
_REST = (0.0, 0.05, 0.1, 0.2, 0.5, 0.8, 0.9, 1.0)

_BY_A_LITTLE = " by a little"

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


def _heard(
    chains: Sequence[Stages], model: Path | None, level: float = 1.0
) -> tuple[NDArray[np.float32], list[dict[str, Any]]]:
    """What is heard of the voice while the chain is set to each of *chains* in turn; what its stages then tell."""
    x = np.float32(level) * _voice()
    settings = EngineSettings(model, cutoff_hz=4_000.0, chain=resolve(chains[0]))
    with Engine(StreamFormat(RATE_HZ, RATE_HZ, _BLOCK), settings) as engine:
        piece = _MOVE_BLOCKS * _BLOCK
        heard = []
        for k in range(_MOVES):
            engine.set_chain(resolve(chains[k % len(chains)]))
            heard.append(_play(engine, x[k * piece : (k + 1) * piece]))
        return np.concatenate(heard), engine.describe_chain()


def _widened(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest of *x* [n] within reach of each sample."""
    padded = np.pad(x, _REACH)
    blocks = np.lib.stride_tricks.sliding_window_view(padded, 2 * _REACH + 1)[:: _REACH // 4].max(axis=1)
    return np.repeat(blocks, _REACH // 4)[: len(x)]


def clicks_between(ways: Sequence[Stages], model: Path | None = None) -> Clicks:
    """Clicks while a chain goes from the first to the second of *ways* and back, again and again."""
    level = 1.0
    at_rest = [_heard([way], model)[0] for way in ways]
    if max(np.abs(heard).max() for heard in at_rest) > _NOT_LIMITED:
        level = _SOFTER
        at_rest = [_heard([way], model, level)[0] for way in ways]
    moved, _ = _heard(ways, model, level)
    limit = thresholds(at_rest) + np.max([_widened(jumps(heard)) for heard in at_rest], axis=0)
    return find_clicks(moved, limit)


def _with(stages: Stages, place: int, **values: Any) -> Stages:
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


def rest_jump(stages: Stages, place: int, name: str, low: float, high: float) -> float:
    """The largest jump while a parameter is at rest, at one of several places from *low* to *high*."""
    largest = 0.0
    for part in _REST:
        heard, _ = _heard([_with(stages, place, **{name: low + part * (high - low)})], None)
        largest = max(largest, float(jumps(heard).max()))
    return largest


def sweep_stage(stages: Stages, place: int, model: Path | None = None, *, slide: bool = False) -> dict[str, Clicks]:
    """Clicks of each parameter of one of *stages*, and of its bypass, moved from end to end while all else is at rest.

    *slide*: by a little, too, as by a hand.
    """
    stage = stages[place]
    found = {}
    for parameter in parameters_of(str(stage["plugin"])):
        low, high = ends(parameter)
        ways = [_with(stages, place, **{parameter.name: value}) for value in (low, high)]
        found[parameter.name] = clicks_between(ways, model)
        if slide and parameter.kind == "float":
            ways = [_with(stages, place, **{parameter.name: v}) for v in slide_of(parameter)]
            found[parameter.name + _BY_A_LITTLE] = clicks_between(ways, model)
    found["bypass"] = clicks_between([_with(stages, place, bypass=bypass) for bypass in (False, True)], model)
    return found


@dataclass(frozen=True)
class PluginRow:
    """What became of a LADSPA plugin. *problem* None: it loaded and ran, its output audio.

    *load* is the part of one core that a stage of it takes, *latency_samples* what it tells. *clicks* are those of
    its parameters and its bypass that clicked when moved from end to end, by name, with their excess; *at_rest* names
    those with which it clicks as loudly while they are at rest.
    """

    plugin: str
    problem: str | None
    latency_samples: int = 0
    load: float = 0.0
    parameters: int = 0
    clicks: tuple[tuple[str, float], ...] = ()
    at_rest: tuple[str, ...] = ()


def try_plugin(plugin: str, sweep: bool) -> PluginRow:
    """Run the LADSPA *plugin* in a chain; with *sweep* move all its parameters."""
    try:
        _, (told,) = _heard([[{"plugin": plugin}]], None)
    except FullbandError as error:
        return PluginRow(plugin, str(error))
    problem = "its output is no audio" if told["faults"] else None
    latency = round(told["latency_ms"] * RATE_HZ / 1000.0)
    found = sweep_stage([{"plugin": plugin}], 0, slide=True) if sweep and problem is None else {}
    clicks = tuple((name, round(c.excess, 2)) for name, c in found.items() if c.count)
    at_rest = tuple(name for name, _ in clicks if _clicks_at_rest(plugin, name, found[name]))
    return PluginRow(plugin, problem, latency, told["load"], len(told["parameters"]), clicks, at_rest)


def _clicks_at_rest(plugin: str, moved: str, clicks: Clicks) -> bool:
    """Whether what was heard while a parameter *moved* is heard as loudly where it is left alone."""
    name = moved.removesuffix(_BY_A_LITTLE)
    for parameter in parameters_of(plugin):
        if parameter.name == name and parameter.kind == "float":
            way = ends(parameter) if name == moved else slide_of(parameter)
            return rest_jump([{"plugin": plugin}], 0, name, *way) >= clicks.largest_jump
    return False


def catalogue() -> tuple[list[str], list[PluginRow]]:
    """The LADSPA plugins of this machine that can be a stage; and a row for every one that cannot."""
    facts, refused = all_plugins()
    names, rows = [], [PluginRow(file_name(path), f"refused: {reason}") for path, reason in refused.items()]
    for one in facts:
        name = f"{file_name(one.path)}:{one.label}"
        reason = unsuited(one)
        if reason is not None:
            rows.append(PluginRow(name, f"no stage: {reason}"))
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
