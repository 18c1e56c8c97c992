"""One engine, one thread: loading once, streaming, stopping."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import aclosing

import pytest

from edgecli.ai.hosting import EngineHost
from edgecli.errors import EngineError


class Counter:
    """An engine that counts upwards until it is told to stop."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.threads: set[int] = set()
        self.stopped_at: int | None = None
        self.closed = False

    def count(self, cancelled: threading.Event) -> Iterator[int]:
        number = 0
        while not cancelled.wait(0.001):
            self.threads.add(threading.get_ident())
            yield number
            number += 1
        self.stopped_at = number

    def close(self) -> None:
        self.closed = True


def test_many_callers_load_it_once_in_its_own_thread() -> None:
    made: list[Counter] = []

    def load() -> Counter:
        made.append(Counter())
        return made[-1]

    async def main() -> None:
        host = EngineHost(load, name="test")
        assert host.loaded is None
        engines = await asyncio.gather(*(host.engine() for _ in range(8)))
        assert {id(engine) for engine in engines} == {id(made[0])}
        assert await host.call(lambda engine: threading.get_ident() == engine.thread)
        assert made[0].thread != threading.get_ident()
        await host.close()
        assert made[0].closed

    asyncio.run(main())
    assert len(made) == 1


def test_a_failed_load_is_tried_again() -> None:
    failures = iter([EngineError("not yet")])

    def load() -> Counter:
        if (failure := next(failures, None)) is not None:
            raise failure
        return Counter()

    async def main() -> None:
        host = EngineHost(load, name="test")
        with pytest.raises(EngineError, match="not yet"):
            await host.engine()
        assert (await host.engine()).closed is False
        await host.close()

    asyncio.run(main())


def test_who_stops_listening_stops_the_work() -> None:
    async def main() -> None:
        host = EngineHost(Counter, name="test")
        seen: list[int] = []
        async with aclosing(host.iterate(lambda engine, cancelled: engine.count(cancelled))) as numbers:
            async for number in numbers:
                seen.append(number)
                if len(seen) == 5:
                    break
        # The thread is free again: this call comes after the counting has ended.
        stopped = await host.call(lambda engine: engine.stopped_at)
        assert seen == [0, 1, 2, 3, 4]
        assert stopped is not None
        await host.close()

    asyncio.run(main())


def test_an_error_in_the_thread_reaches_the_caller() -> None:
    def fail(engine: Counter, cancelled: threading.Event) -> Iterator[int]:
        yield 1
        raise EngineError("broke")

    async def main() -> None:
        host = EngineHost(Counter, name="test")
        numbers = host.iterate(fail)
        assert await anext(numbers) == 1
        with pytest.raises(EngineError, match="broke"):
            await anext(numbers)
        await host.close()

    asyncio.run(main())


def test_closing_ends_what_runs() -> None:
    async def main() -> None:
        host = EngineHost(Counter, name="test")
        numbers = host.iterate(lambda engine, cancelled: engine.count(cancelled))
        assert await anext(numbers) == 0
        engine = await host.engine()
        await host.close()
        assert engine.stopped_at is not None
        assert engine.closed
        await numbers.aclose()

    asyncio.run(main())
