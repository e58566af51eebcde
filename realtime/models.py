"""The models of one engine: the one in use, the one kept ready for worse times, and how one follows another."""

from __future__ import annotations

import time
from collections.abc import Callable

from .native.worker import Worker
from .onnx.contract import Contract
from .runner import Program, Runner

#: A device that calls back takes a model over within a block; one that does not is not waited for.
_HANDOVER_SECONDS = 1.0

_POLL_SECONDS = 0.002


class Models:
    """Loads by *load* (a program -> what runs it), keeps *model* and *fallback* loaded, frees all others when it can.

    *in_playback* gives the addresses of the networks that playback knows, its next before its present one.
    """

    def __init__(
        self,
        load: Callable[[Program], Runner],
        worker: Worker,
        in_playback: Callable[[], tuple[int, int]],
        model: Program | None,
        fallback: Program | None,
    ) -> None:
        #: How a model is loaded; the bench puts its faults in here.
        self.load = load
        self._worker = worker.record
        self._in_playback = in_playback
        self._loaded: dict[Program, Runner] = {}
        self._retired: list[Runner] = []
        self.model = model
        self.fallback = fallback
        #: The model in use, None for the low band alone, and where it came from.
        self.active = self.get(model)
        self.path = model
        self.get(fallback)
        worker.record["wanted"] = worker.record["network"] = self.address

    @property
    def address(self) -> int:
        """Of the network in use; 0 without one."""
        return self.active.address if self.active else 0

    def set_fallback(self, program: Program | None) -> None:
        """Keep another one ready for worse times; the one before is freed at the next handover."""
        self.get(program)
        self.fallback = program

    @property
    def loaded(self) -> list[Runner]:
        """All that is kept loaded."""
        return list(self._loaded.values())

    @property
    def contracts(self) -> list[Contract]:
        """Of what is kept loaded: the delay is planned for the neediest."""
        return [self._loaded[path].contract for path in (self.model, self.fallback) if path in self._loaded]

    def get(self, path: Program | None) -> Runner | None:
        """What runs *path*, loaded if it is not, and free to be started.

        Raises :class:`FullbandError` for a file that breaks the contract.
        """
        if path is None:
            return None
        kept = self._loaded.get(path)
        if kept is not None and not self._in_use(kept):
            return kept
        if kept is not None:
            # It has been left a moment ago, and the device has not called back since.
            self._retired.append(kept)
        self._loaded[path] = self.load(path)
        return self._loaded[path]

    def choose(self, path: Program | None, incoming: Runner | None) -> None:
        """Have *incoming*, from :meth:`get`, in use; it takes the model's place unless it is the fallback or none."""
        self.active, self.path = incoming, path
        if path is not None and path != self.fallback:
            self.model = path

    def hand_over(self) -> None:
        """Let the engine thread and playback take the model in use over, and free what nobody touches any more.

        Returns when they have, or when no audio runs; then the old one is freed later.
        """
        self._worker["wanted"] = self.address
        for path in [path for path in self._loaded if path not in (self.model, self.fallback, self.path)]:
            self._retired.append(self._loaded.pop(path))

    def wait(self, wake: Callable[[], None]) -> None:
        """Until the handover is complete; *wake* wakes the engine thread."""
        deadline = time.monotonic() + _HANDOVER_SECONDS
        while not self._settled and time.monotonic() < deadline:
            wake()
            time.sleep(_POLL_SECONDS)
        self.free()

    @property
    def _settled(self) -> bool:
        return {int(self._worker["network"]), *self._in_playback()} == {self.address} and not int(
            self._worker["leaving"]
        )

    def _in_use(self, inference: Runner) -> bool:
        """Whether a thread may touch it: looked at in the order in which it passes through them."""
        address = inference.address
        return (
            address == int(self._worker["wanted"])
            or address == int(self._worker["network"])
            or address == int(self._worker["leaving"])
            or address in self._in_playback()
        )

    @property
    def unfreed(self) -> int:
        """Models that are no longer kept, and wait until nobody touches them any more."""
        return len(self._retired)

    def free(self) -> None:
        """Free the models that are no longer kept and that nobody touches."""
        for inference in [inference for inference in self._retired if not self._in_use(inference)]:
            self._retired.remove(inference)
            inference.close()

    def close(self) -> None:
        """Free all. No thread runs any more."""
        for inference in (*self._loaded.values(), *self._retired):
            inference.close()
        self._loaded.clear()
        self._retired.clear()
        self.active = None
