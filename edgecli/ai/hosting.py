"""Keep one engine: loaded once, at first use, and called from one thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")
Item = TypeVar("Item")


class Closable(Protocol):
    """What a host needs of an engine."""

    def close(self) -> None: ...


EngineT = TypeVar("EngineT", bound=Closable)


class EngineHost(Generic[EngineT]):
    """Own an engine and the single thread that calls it."""

    def __init__(self, load: Callable[[], EngineT], *, name: str) -> None:
        self._load = load
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"edgecli-{name}")
        self._loading = asyncio.Lock()
        self._engine: EngineT | None = None
        self._running: set[threading.Event] = set()

    @property
    def loaded(self) -> EngineT | None:
        """The engine, if it has been loaded."""
        return self._engine

    async def engine(self) -> EngineT:
        """Return the engine, loaded; several callers at once load it once. Raises what loading raises."""
        if self._engine is None:
            async with self._loading:
                if self._engine is None:
                    self._engine = await self._in_thread(self._load)
        return self._engine

    async def call(self, work: Callable[[EngineT], T]) -> T:
        """Run `work` in the engine's thread."""
        engine = await self.engine()
        return await self._in_thread(lambda: work(engine))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def iterate(self, start: Callable[[EngineT, threading.Event], Iterator[Item]]) -> AsyncGenerator[Item]:
        """Run a blocking iterator in the engine's thread and yield its items as they come.

        `start` is given an event that is set when the caller stops early; the iterator then has to end soon.
        """
        engine = await self.engine()
        loop = asyncio.get_running_loop()
        items: asyncio.Queue[Item | BaseException | None] = asyncio.Queue()
        cancelled = threading.Event()

        def pump() -> None:
            ending: BaseException | None = None
            try:
                if not cancelled.is_set():
                    for item in start(engine, cancelled):
                        loop.call_soon_threadsafe(items.put_nowait, item)
            except BaseException as error:  # it is raised in the caller's task
                ending = error
            loop.call_soon_threadsafe(items.put_nowait, ending)

        self._running.add(cancelled)
        try:
            work = loop.run_in_executor(self._thread, pump)
            while (item := await items.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
            await work
        finally:
            cancelled.set()
            self._running.discard(cancelled)

    async def close(self) -> None:
        """Stop what runs, free the engine, end the thread."""
        for cancelled in self._running:
            cancelled.set()
        async with self._loading:
            engine, self._engine = self._engine, None
            if engine is not None:
                await self._in_thread(engine.close)
        await asyncio.to_thread(self._thread.shutdown)
