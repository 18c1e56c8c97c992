"""Embed for many callers at once: what waits together is computed together, and nobody waits for a bulk job."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgecli.ai.engines.embedding import Vectors

    Embed = Callable[[Sequence[str], str | None], Awaitable[Vectors]]

TURN = 64
"""Texts of one turn in the engine."""
BULK_SLICE = 16
"""Texts that one caller has computed in a turn where others wait: a question beside an ingest waits for one such."""


@dataclass(slots=True, eq=False)
class _Call:
    """One caller's texts, the shortest first, and how many of them are done."""

    texts: Sequence[str]
    order: list[int]
    pooling: str | None
    done: asyncio.Future[Vectors]
    vectors: Vectors | None = None
    taken: int = 0

    @property
    def left(self) -> int:
        return len(self.order) - self.taken


class EmbeddingQueue:
    """Callers of one engine. Its methods belong to one event loop."""

    def __init__(self, embed: Embed, pooling: str) -> None:
        """`embed` takes a turn's texts and their pooling; `pooling` is that of calls that name none."""
        self._embed = embed
        self._pooling = pooling
        self._calls: deque[_Call] = deque()
        self._working: asyncio.Task[None] | None = None
        self.turns = 0
        self.embedded = 0
        """Turns in the engine, and texts embedded in them: their ratio is the batching."""

    async def embed(self, texts: Sequence[str], pooling: str | None) -> Vectors:
        """Return one vector a text, `(n, d)` float32. Cancelling it takes back what has not been computed."""
        if not texts:
            return await self._embed([], pooling)
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        call = _Call(texts, order, pooling or self._pooling, asyncio.get_running_loop().create_future())
        self._calls.append(call)
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        try:
            return await call.done
        finally:
            await self._take_back(call)

    async def _take_back(self, call: _Call) -> None:
        """Forget a call whose caller has gone; if it was the last, nothing more is computed."""
        if call in self._calls:
            self._calls.remove(call)
            if not self._calls and self._working is not None:
                self._working.cancel()
                await asyncio.gather(self._working, return_exceptions=True)

    async def _work(self) -> None:
        # A loop turn first: calls that come at the same moment are seen together.
        await asyncio.sleep(0)
        while self._calls:
            turn = list(self._next_turn())
            texts = [call.texts[index] for call, indices in turn for index in indices]
            pooling = turn[0][0].pooling
            try:
                vectors = await self._embed(texts, pooling)
            except Exception as error:
                for call, _ in turn:
                    self._end(call, error)
                continue
            self.turns += 1
            self.embedded += len(texts)
            self._hand_out(turn, vectors)

    def _next_turn(self) -> Iterator[tuple[_Call, list[int]]]:
        """Yield what to compute next: callers in order, each a slice, those with the first one's pooling."""
        room, pooling = TURN, self._calls[0].pooling
        alike = [call for call in self._calls if call.pooling == pooling]
        most = TURN if len(alike) == 1 else BULK_SLICE
        for call in alike:
            count = min(call.left, most, room)
            if count < 1:
                return
            yield call, call.order[call.taken : call.taken + count]
            call.taken += count
            room -= count

    def _hand_out(self, turn: list[tuple[_Call, list[int]]], vectors: Vectors) -> None:
        import numpy as np

        start = 0
        for call, indices in turn:
            if call.vectors is None:
                call.vectors = np.empty((len(call.texts), vectors.shape[1]), dtype=np.float32)
            call.vectors[indices] = vectors[start : start + len(indices)]
            start += len(indices)
            if not call.left:
                self._end(call, call.vectors)
            elif call in self._calls and len(self._calls) > 1:  # the others come first next time
                self._calls.remove(call)
                self._calls.append(call)

    def _end(self, call: _Call, outcome: Vectors | Exception) -> None:
        if call in self._calls:
            self._calls.remove(call)
        if call.done.done():
            return
        if isinstance(outcome, Exception):
            call.done.set_exception(outcome)
        else:
            call.done.set_result(outcome)
