"""One engine, one thread: loading once, calling, closing."""

from __future__ import annotations

import asyncio
import threading

import pytest

from edgecli.ai.hosting import EngineHost
from edgecli.errors import EngineError


class Counter:
    """An engine that knows its thread."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.closed = False

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


def test_closing_frees_the_engine() -> None:
    async def main() -> None:
        host = EngineHost(Counter, name="test")
        engine = await host.engine()
        await host.close()
        assert engine.closed
        assert host.loaded is None

    asyncio.run(main())


def test_an_error_in_the_thread_reaches_the_caller() -> None:
    def fail(engine: Counter) -> None:
        raise EngineError("broke")

    async def main() -> None:
        host = EngineHost(Counter, name="test")
        with pytest.raises(EngineError, match="broke"):
            await host.call(fail)
        await host.close()

    asyncio.run(main())
