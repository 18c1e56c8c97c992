"""Texts of many callers in common turns: everyone gets its own vectors, and nobody waits for a bulk job."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from edgecli.ai.embedding_queue import BULK_SLICE, TURN, EmbeddingQueue
from edgecli.errors import EngineError


class Lengths:
    """A model whose vectors say how long a text is, and how it was pooled."""

    def __init__(self) -> None:
        self.turns: list[list[str]] = []

    async def embed(self, texts: Sequence[str], pooling: str | None) -> Any:
        if "bad" in texts:
            raise EngineError("broke")
        self.turns.append(list(texts))
        await asyncio.sleep(0.001)
        rows = [[len(text), 1.0 if pooling == "cls" else 0.0] for text in texts]
        return np.array(rows, dtype=np.float32).reshape(len(texts), 2)


def life(work: Any) -> None:
    async def main() -> None:
        engine = Lengths()
        await work(EmbeddingQueue(engine.embed, "mean"), engine)

    asyncio.run(main())


def test_callers_at_the_same_moment_share_a_turn() -> None:
    async def work(queue: EmbeddingQueue, engine: Lengths) -> None:
        await queue.embed(["the engine is loaded"], None)
        texts = ["x" * number for number in range(1, 41)]
        vectors = await asyncio.gather(*(queue.embed([text], None) for text in texts))
        assert [vector[0, 0] for vector in vectors] == list(range(1, 41))
        assert len(engine.turns) == 2
        assert (queue.turns, queue.embedded) == (2, 41)

    life(work)


def test_vectors_come_in_the_order_of_the_texts() -> None:
    async def work(queue: EmbeddingQueue, engine: Lengths) -> None:
        lengths = [(number * 37) % 101 for number in range(TURN * 3 + 5)]
        vectors = await queue.embed(["x" * length for length in lengths], None)
        assert vectors[:, 0].tolist() == lengths
        assert len(engine.turns) == 4

    life(work)


def test_a_question_does_not_wait_for_a_bulk_job() -> None:
    async def work(queue: EmbeddingQueue, engine: Lengths) -> None:
        bulk = asyncio.create_task(queue.embed(["document"] * 500, None))
        await asyncio.sleep(0)
        question = await queue.embed(["why?"], None)
        assert question[0, 0] == 4
        assert not bulk.done()
        before = sum(len(turn) for turn in engine.turns)
        assert before <= TURN + BULK_SLICE + 1
        assert (await bulk).shape == (500, 2)

    life(work)


def test_each_turn_has_one_pooling() -> None:
    async def work(queue: EmbeddingQueue, engine: Lengths) -> None:
        one, other = await asyncio.gather(queue.embed(["a"], "cls"), queue.embed(["bb"], None))
        assert one.tolist() == [[1.0, 1.0]]
        assert other.tolist() == [[2.0, 0.0]]
        assert len(engine.turns) == 2

    life(work)


def test_an_error_reaches_those_of_its_turn_and_no_others() -> None:
    async def work(queue: EmbeddingQueue, engine: Lengths) -> None:
        with pytest.raises(EngineError, match="broke"):
            await queue.embed(["bad"], None)
        assert (await queue.embed(["good"], None)).shape == (1, 2)
        assert (await queue.embed([], None)).shape == (0, 2)

    life(work)


def test_who_goes_away_takes_its_texts_back() -> None:
    async def work(queue: EmbeddingQueue, engine: Lengths) -> None:
        bulk = asyncio.create_task(queue.embed(["x"] * 1000, None))
        await queue.embed(["y"], None)
        bulk.cancel()
        await asyncio.gather(bulk, return_exceptions=True)
        await queue.embed(["z"], None)
        done = sum(len(turn) for turn in engine.turns)
        await asyncio.sleep(0.05)
        assert done == sum(len(turn) for turn in engine.turns) < 1000

    life(work)
