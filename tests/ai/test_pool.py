"""Loaded models: loaded once, kept for a while, given up for others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edgecli.ai.engines.free_memory import Memory, does_not_fit
from edgecli.ai.keep_alive import read_keep_alive
from edgecli.ai.pool import FOREVER, Entry, Pool
from edgecli.errors import EngineError, UsageError
from edgecli.models.schema import ModelSpec, Task


class Model:
    """A model that only lives and dies."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.holds: frozenset[Memory] = frozenset({"gpu" if name.startswith("gpu") else "machine"})

    async def close(self) -> None:
        self.alive = False


class House:
    """A pool and what it loaded; `room` models fit into memory, and `gpu_room` of them onto the GPU."""

    def __init__(self, keep_alive: float = FOREVER, room: int = 100, gpu_room: int = 100) -> None:
        self.pool = Pool(keep_alive)
        self.room = room
        self.gpu_room = gpu_room
        self.made: list[Model] = []
        self.asked: list[tuple[str, bool]] = []

    def entry(self, name: str) -> Entry[Model]:
        async def load(whole: bool) -> Model:
            await asyncio.sleep(0)
            self.asked.append((name, whole))
            on_gpu = [model for model in self.made if model.alive and "gpu" in model.holds]
            if whole and name.startswith("gpu") and len(on_gpu) >= self.gpu_room:
                raise does_not_fit(name, {"gpu"})
            if sum(model.alive for model in self.made) >= self.room:
                raise EngineError("no memory", code="out_of_memory")
            self.made.append(Model(name))
            return self.made[-1]

        return self.pool.entry(ModelSpec(name, Task.TEXT_GENERATION, "llama_cpp", ()), load)

    async def use(self, name: str, **options: Any) -> Model:
        async with self.pool.use(self.entry(name), **options) as model:
            return model


def test_many_users_load_it_once() -> None:
    async def main() -> None:
        house = House()
        models = await asyncio.gather(*(house.use("a") for _ in range(10)))
        assert len({id(model) for model in models}) == len(house.made) == 1
        await house.pool.close()
        assert not house.made[0].alive

    asyncio.run(main())


def test_it_leaves_after_its_time_and_not_while_it_is_used() -> None:
    async def main() -> None:
        house = House(keep_alive=0.05)
        async with house.pool.use(house.entry("a")) as model:
            await asyncio.sleep(0.15)
            assert model.alive
        while model.alive:  # noqa: ASYNC110 - the pool tells nobody
            await asyncio.sleep(0.01)
        assert house.pool.loaded() == []
        again = await house.use("a", keep_alive=FOREVER)
        await asyncio.sleep(0.15)
        assert again.alive
        assert house.pool.loaded()[0].seconds_left is None
        await house.use("a", keep_alive=0)
        await asyncio.sleep(0.05)
        assert not again.alive
        await house.pool.close()

    asyncio.run(main())


def test_a_time_to_stay_holds_until_the_model_leaves() -> None:
    async def main() -> None:
        house = House(keep_alive=60)
        first = await house.use("a", keep_alive=0)
        while first.alive:  # noqa: ASYNC110 - the pool tells nobody
            await asyncio.sleep(0.01)
        assert (await house.use("a")).alive
        assert house.pool.loaded()[0].keep_alive == 60
        second = await house.use("a", keep_alive=FOREVER)
        assert await house.use("a") is second
        second.alive = False
        await house.use("a")
        assert house.pool.loaded()[0].keep_alive == FOREVER
        await house.pool.unload("a")
        await house.use("a")
        assert house.pool.loaded()[0].keep_alive == 60
        await house.pool.close()

    asyncio.run(main())


def test_the_one_that_was_not_used_for_longest_makes_room() -> None:
    async def main() -> None:
        house = House(room=2)
        first, second = await house.use("a"), await house.use("b")
        await house.use("a")
        third = await house.use("c")
        assert (first.alive, second.alive, third.alive) == (True, False, True)
        async with house.pool.use(house.entry("a")), house.pool.use(house.entry("c")):
            with pytest.raises(EngineError, match="no memory"):
                await house.use("b")
        await house.pool.close()

    asyncio.run(main())


def test_only_what_holds_the_memory_that_is_short_leaves() -> None:
    async def main() -> None:
        house = House(gpu_room=2)
        for name in ("cpu", "gpu 1", "gpu 2"):
            await house.use(name)
        await house.use("gpu 1")
        await house.use("gpu 3")
        assert [model.name for model in house.made if model.alive] == ["cpu", "gpu 1", "gpu 3"]
        await house.pool.close()

    asyncio.run(main())


def test_a_model_is_loaded_smaller_only_when_nothing_can_leave() -> None:
    async def main() -> None:
        house = House(gpu_room=1)
        await house.use("cpu")
        async with house.pool.use(house.entry("gpu 1")):
            await house.use("gpu 2")
        assert [name for name, whole in house.asked if not whole] == ["cpu", "gpu 2"]
        assert all(model.alive for model in house.made)
        assert len(house.made) == 3
        await house.pool.close()

    asyncio.run(main())


def test_a_dead_one_is_loaded_anew() -> None:
    async def main() -> None:
        house = House()
        first = await house.use("a")
        first.alive = False
        assert house.pool.loaded() == []
        second = await house.use("a")
        assert second is not first
        assert second.alive
        assert await house.pool.unload("a")
        assert not await house.pool.unload("a")
        await house.pool.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("given", "seconds"), [(None, None), (30, 30.0), ("5m", 300.0), ("1h", 3600.0), ("90s", 90.0), (0, 0.0), (-1, -1.0)]
)
def test_keep_alive_is_read(given: Any, seconds: float | None) -> None:
    assert read_keep_alive(given) == seconds


@pytest.mark.parametrize("given", ["soon", "5 days", True, [], float("nan"), "1e9"])
def test_other_durations_are_refused(given: Any) -> None:
    with pytest.raises(UsageError, match="no duration") as caught:
        read_keep_alive(given)
    assert caught.value.cf_code == 5006


def test_a_time_of_many_years_is_called_too_long() -> None:
    with pytest.raises(UsageError, match="'300000h', which is more than 1000000000 seconds"):
        read_keep_alive("300000h")
