"""An embedding model: its engine, the thread that calls it, and the queue before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from edgecli.ai.embedding_queue import EmbeddingQueue
from edgecli.ai.hosting import EngineHost

if TYPE_CHECKING:
    from edgecli.ai.engines.embedding import EmbeddingEngine, Vectors


class EmbeddingHost:
    """One embedding model for many callers."""

    alive = True  # it shares the server's process

    def __init__(self, load: Callable[[], EmbeddingEngine], *, name: str) -> None:
        self._host: EngineHost[EmbeddingEngine] = EngineHost(load, name=name)
        self.queue = EmbeddingQueue(self._host)

    @property
    def loaded(self) -> EmbeddingEngine | None:
        """The engine, if it has been loaded."""
        return self._host.loaded

    async def engine(self) -> EmbeddingEngine:
        """Return the engine, loaded. Raises what loading raises."""
        return await self._host.engine()

    async def embed(self, texts: Sequence[str], pooling: str | None) -> Vectors:
        """Return one vector a text, `(n, d)` float32."""
        return await self.queue.embed(texts, pooling)

    async def close(self) -> None:
        """Free the engine and end its thread."""
        await self._host.close()
