"""A loaded embedding model: what runs it, and the queue before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgecli.ai.embedding_queue import EmbeddingQueue

if TYPE_CHECKING:
    from edgecli.ai.engines.embedding import EmbeddingFacts, EmbeddingRunner, Vectors
    from edgecli.ai.engines.free_memory import Memory


class EmbeddingHost:
    """One embedding model for many callers."""

    def __init__(self, runner: EmbeddingRunner) -> None:
        self._runner = runner
        self._queue = EmbeddingQueue(runner.embed, runner.facts.pooling)

    @property
    def facts(self) -> EmbeddingFacts:
        """What it is, and where it runs."""
        return self._runner.facts

    @property
    def dimensions(self) -> int:
        """The width of its vectors."""
        return self.facts.dimensions

    @property
    def alive(self) -> bool:
        """Whether it can still be used."""
        return self._runner.alive

    @property
    def holds(self) -> frozenset[Memory]:
        """Where it takes memory. Apple's GPUs share the machine's."""
        return frozenset[Memory]({"gpu"} if self.facts.device.startswith("cuda") else {"machine"})

    async def embed(self, texts: Sequence[str], pooling: str | None) -> Vectors:
        """Return one vector a text, `(n, d)` float32."""
        return await self._queue.embed(texts, pooling)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the real length of each text in tokens, without special tokens and uncut. From any thread."""
        return self._runner.tokens.count_tokens(texts)

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Return the span in characters of each token, without special tokens and uncut. From any thread."""
        return self._runner.tokens.offsets(text)

    async def close(self) -> None:
        """Free the model."""
        await self._runner.close()
