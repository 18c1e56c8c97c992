"""The loaded models: loaded at first use, kept for a while after their last, given up when memory is needed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from edgecli.ai.engines.free_memory import Memory
from edgecli.errors import EdgeError
from edgecli.models.schema import ModelSpec

log = logging.getLogger("edgecli.ai")

FOREVER = -1.0
"""As `keep_alive`: until the server ends."""


class Loaded(Protocol):
    """What the pool needs of a loaded model."""

    @property
    def alive(self) -> bool:
        """Whether it can still be used; a process may have ended."""
        ...

    @property
    def holds(self) -> frozenset[Memory]:
        """Where it takes memory."""
        ...

    async def close(self) -> None: ...


LoadedT = TypeVar("LoadedT", bound=Loaded)
Load = Callable[[bool], Awaitable[LoadedT]]
"""Loads a model. With True it raises EdgeError, code `out_of_memory`, where by forecast the model does not fit into the
memory that is free, or not all of it on the GPU; `details["lacks"]` says where memory is short."""


@dataclass(slots=True, eq=False)
class Entry(Generic[LoadedT]):
    """One model, loaded or not."""

    spec: ModelSpec
    load: Load[LoadedT]
    keep_alive: float
    """Seconds to keep it after its last use."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    model: LoadedT | None = None
    users: int = 0
    used: float = 0.0
    """When its last user left, on the monotonic clock."""
    leaving: asyncio.TimerHandle | None = None

    @property
    def loaded(self) -> LoadedT | None:
        """The model, if it is loaded and lives."""
        return self.model if self.model is not None and self.model.alive else None

    @property
    def seconds_left(self) -> float | None:
        """Seconds that it stays if nobody uses it; None is for ever."""
        if self.keep_alive == FOREVER:
            return None
        left = self.keep_alive - (0 if self.users else time.monotonic() - self.used)
        return max(0.0, left)


class Pool:
    """The models of all kinds: they share one memory. Its methods belong to one event loop."""

    def __init__(self, keep_alive: float) -> None:
        """`keep_alive` is what a model has that does not say otherwise, in seconds; `FOREVER` never unloads."""
        self._keep_alive = keep_alive
        self._entries: dict[str, Entry[Any]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def entry(self, spec: ModelSpec, load: Load[LoadedT]) -> Entry[LoadedT]:
        """Return the entry of a model, made if it is new; `load` loads it."""
        known = self._entries.get(spec.id)
        if known is None:
            known = self._entries[spec.id] = Entry(spec, load, self._keep_alive)
        return known

    def loaded(self) -> list[Entry[Any]]:
        """Return the models that are loaded."""
        return [entry for entry in self._entries.values() if entry.loaded is not None]

    @asynccontextmanager
    async def use(self, entry: Entry[LoadedT], keep_alive: float | None = None) -> AsyncGenerator[LoadedT]:
        """Have a model loaded for as long as the context lasts. Raises what loading raises.

        `keep_alive` holds for the model from now on until it leaves; then the setting holds again.
        """
        entry.users += 1
        if entry.leaving is not None:
            entry.leaving.cancel()
            entry.leaving = None
        try:
            model = await self._ready(entry)
            if keep_alive is not None:
                entry.keep_alive = keep_alive
            yield model
        finally:
            entry.users -= 1
            entry.used = time.monotonic()
            self._plan_leaving(entry)

    async def _ready(self, entry: Entry[LoadedT]) -> LoadedT:
        async with entry.lock:
            if entry.model is not None and not entry.model.alive:
                log.warning("`%s` is started again.", entry.spec.id)
                await self._close(entry)
            if entry.model is None:
                entry.model = await self._load(entry)
            return entry.model

    async def _load(self, entry: Entry[LoadedT]) -> LoadedT:
        """Load it; where memory is short, unload the model that was not used for longest and try again."""
        whole = bool(self._idle())
        while True:
            try:
                return await entry.load(whole)
            except EdgeError as error:
                if error.code != "out_of_memory":
                    raise
                made = await self._make_room(error.details.get("lacks"))
                if not made and not whole:
                    raise
                whole = made and bool(self._idle())

    def _idle(self, lacks: Iterable[Memory] | None = None) -> list[Entry[Any]]:
        """Return the loaded models that nobody uses; those with memory where it is short, if that is known."""
        return [
            entry
            for entry in self._entries.values()
            if (model := entry.loaded) is not None
            and not (entry.users or entry.lock.locked())
            and (lacks is None or not model.holds.isdisjoint(lacks))
        ]

    async def _make_room(self, lacks: Iterable[Memory] | None) -> bool:
        """Unload the idle model that was not used for longest; tell whether there was one."""
        idle = self._idle(lacks)
        if not idle:
            return False
        oldest = min(idle, key=lambda entry: entry.used)
        log.info("`%s` is unloaded: memory is needed.", oldest.spec.id)
        await self._unload(oldest)
        return True

    def _plan_leaving(self, entry: Entry[Any]) -> None:
        if entry.users or entry.model is None or entry.keep_alive == FOREVER:
            return
        loop = asyncio.get_running_loop()
        entry.leaving = loop.call_later(entry.keep_alive, self._leave, entry)

    def _leave(self, entry: Entry[Any]) -> None:
        entry.leaving = None
        if not entry.users:
            task = asyncio.create_task(self._unload(entry))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def unload(self, model_id: str) -> bool:
        """Unload a model now, whoever uses it; tell whether it was loaded."""
        entry = self._entries.get(model_id)
        if entry is None or entry.model is None:
            return False
        await self._unload(entry, forced=True)
        return True

    async def _unload(self, entry: Entry[Any], *, forced: bool = False) -> None:
        async with entry.lock:
            if entry.users and not forced:  # somebody came while we waited
                return
            entry.keep_alive = self._keep_alive
            await self._close(entry)

    async def _close(self, entry: Entry[Any]) -> None:
        model, entry.model = entry.model, None
        if model is not None:
            await model.close()

    async def close(self) -> None:
        """Unload all."""
        entries = list(self._entries.values())
        self._entries.clear()
        for entry in entries:
            if entry.leaving is not None:
                entry.leaving.cancel()
        for entry in entries:
            async with entry.lock:
                await self._close(entry)
        await asyncio.gather(*self._closing, return_exceptions=True)
