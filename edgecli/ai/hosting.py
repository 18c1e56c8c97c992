"""Keep one engine: loaded once, at first use, and called from one thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


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

    async def close(self) -> None:
        """Free the engine, end the thread."""
        async with self._loading:
            engine, self._engine = self._engine, None
            if engine is not None:
                await self._in_thread(engine.close)
        await asyncio.to_thread(self._thread.shutdown)
