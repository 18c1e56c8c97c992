"""How many requests may wait, and for how long one may run."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Generator
from contextlib import contextmanager
from typing import TypeVar

from edgecli.errors import LimitError

T = TypeVar("T")


class Deadline:
    """When a request has to be done."""

    def __init__(self, seconds: float) -> None:
        """0 seconds is no limit."""
        self._seconds = seconds
        self._when = asyncio.get_running_loop().time() + seconds if seconds else None

    async def wait_for(self, work: Awaitable[T]) -> T:
        """Return what the work returns. Raises LimitError, cf_code 3007, once the time is over."""
        try:
            async with asyncio.timeout_at(self._when):
                return await work
        except TimeoutError as error:
            raise LimitError(
                f"AiError: Timeout: the request took longer than {self._seconds:g} s.",
                hint="Ask for fewer tokens, or raise `[edgecli.generation] timeout`.",
                code="timeout",
                cf_code=3007,
                status=408,
            ) from error


class Limits:
    """The requests of each model that run or wait."""

    def __init__(self, *, slots: int, queue: int, seconds: float) -> None:
        """Of each model `slots` requests run and `queue` more may wait; one takes at most `seconds`, 0 is any."""
        self._slots = slots
        self._queue = queue
        self._seconds = seconds
        self._inside: Counter[str] = Counter()
        self.refused = 0
        """Requests that found no place."""

    @contextmanager
    def place(self, model: str, *, waiting: bool = True) -> Generator[Deadline]:
        """Have a place among a model's requests; without `waiting` only one that runs at once.

        Raises LimitError, cf_code 3040, if there is none.
        """
        room = self._slots + (self._queue if waiting else 0)
        if self._inside[model] >= room:
            self.refused += 1
            raise LimitError(
                f"AiError: Capacity temporarily exceeded, please try again: {self._inside[model]} requests of "
                f"`{model}` run or wait already.",
                hint="Try again in a moment, send fewer at once, or raise `[edgecli.generation] queue`.",
                code="out_of_capacity",
                cf_code=3040,
            )
        self._inside[model] += 1
        try:
            yield Deadline(self._seconds)
        finally:
            self._inside[model] -= 1
