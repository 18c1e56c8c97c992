"""An embedding model on a thread of this process: for a single command, which a second process would delay."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from edgecli.ai.engines.embedding_loading import EmbeddingOptions, facts_of, load_engine

if TYPE_CHECKING:
    from edgecli.ai.engines.embedding import EmbeddingEngine, Vectors


class EmbeddingThread:
    """Own an engine and the single thread that calls it."""

    alive = True  # it ends with this process

    def __init__(self, engine: EmbeddingEngine, thread: ThreadPoolExecutor) -> None:
        """Use `start`."""
        self._thread = thread
        self.tokens = engine
        self.facts = facts_of(engine)

    @classmethod
    async def start(cls, options: EmbeddingOptions) -> EmbeddingThread:
        """Load the model in a new thread. Raises EngineError if it cannot be loaded."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="edgecli-embedding")
        try:
            return cls(await asyncio.get_running_loop().run_in_executor(thread, load_engine, options), thread)
        except BaseException:
            thread.shutdown(wait=False)
            raise

    async def embed(self, texts: Sequence[str], pooling: str | None) -> Vectors:
        """Return one vector a text, `(n, d)` float32."""
        work = asyncio.get_running_loop().run_in_executor
        return await work(self._thread, lambda: self.tokens.embed(texts, pooling=pooling))

    async def close(self) -> None:
        """Free the engine, end the thread."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self.tokens.close)
        await asyncio.to_thread(self._thread.shutdown)
