"""The shape that all embedding engines share, and how texts become batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

SLAB = 1024
"""Texts that are tokenized and sorted together: memory stays flat however many texts come."""


@dataclass(frozen=True, slots=True)
class EmbeddingFacts:
    """What a loaded embedding model is, and where it runs."""

    engine: str
    """`onnx` or `sentence_transformers`."""
    device: str
    dimensions: int
    pooling: str
    """What is done where a call does not say."""
    max_tokens: int
    """Tokens of a text, special tokens not counted, that reach the model."""
    pid: int
    """The process that it runs in."""


class Tokens(Protocol):
    """A model's tokenizer. Safe to call from several threads."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the real length of each text in tokens, without special tokens and uncut."""
        ...

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Return the span in characters of each token of `text`, without special tokens and uncut."""
        ...


class EmbeddingRunner(Protocol):
    """A loaded embedding model, in a thread or in a process. Its methods belong to one event loop."""

    facts: EmbeddingFacts

    @property
    def alive(self) -> bool:
        """Whether it can still be used: the process that it runs in may have ended."""
        ...

    @property
    def tokens(self) -> Tokens:
        """The tokenizer, read when it is first needed."""
        ...

    async def embed(self, texts: Sequence[str], pooling: str | None) -> Vectors:
        """Return one vector a text, `(n, d)` float32. Raises UsageError for an unknown pooling, EngineError."""
        ...

    async def close(self) -> None:
        """Free the model; its memory is given back when this returns."""
        ...


class EmbeddingEngine(Tokens, Protocol):
    """A model that turns texts into vectors. Calls block; one thread at a time calls `embed`."""

    name: str
    """`onnx` or `sentence_transformers`."""
    device: str
    """`cpu`, `cuda:0 NVIDIA …`, `mps`."""
    dimensions: int
    pooling: str
    """What is done where a call does not say: `mean`, `cls`, `lasttoken` or `max`."""
    max_tokens: int
    """Tokens of a text, special tokens not counted, that reach the model; what is beyond is cut off."""

    def embed(self, texts: Sequence[str], *, pooling: str | None = None) -> Vectors:
        """Return one vector a text, `(n, dimensions)` float32, L2-normalised if the model's files say so."""
        ...

    def close(self) -> None:
        """Free the model."""
        ...


def plan_batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Yield batches of indices, of similar lengths, whose padded size stays within `budget` tokens.

    Padded size is the longest length in the batch times its texts. A text longer than the budget is a batch
    of its own. Every index comes exactly once; the longest come first: a lack of memory shows at once.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda item: -lengths[item]):
        if batch and lengths[batch[0]] * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def embed_in_batches(
    texts: Sequence[str],
    *,
    dimensions: int,
    budget: int,
    measure: Callable[[Sequence[str]], tuple[list[int], Callable[[list[int]], Vectors]]],
) -> Vectors:
    """Embed texts sorted by length under a token budget and return the vectors in the texts' own order.

    `measure` takes a slab of texts and returns their lengths in tokens and a function that embeds the texts
    at the given indices of that slab.
    """
    import numpy as np

    vectors = np.empty((len(texts), dimensions), dtype=np.float32)
    for start in range(0, len(texts), SLAB):
        lengths, run = measure(texts[start : start + SLAB])
        for batch in plan_batches(lengths, budget):
            vectors[[start + index for index in batch]] = run(batch)
    return vectors
