"""Places and deadlines."""

from __future__ import annotations

import asyncio

import pytest

from edgecli.ai.limits import Limits
from edgecli.errors import LimitError


def test_what_finds_no_place_is_refused() -> None:
    async def main() -> None:
        limits = Limits(slots=1, queue=1, seconds=0)
        with limits.place("a"), limits.place("a"):
            with pytest.raises(LimitError) as caught, limits.place("a"):
                pass
            with limits.place("b"):
                pass
        assert (caught.value.cf_code, caught.value.status, limits.refused) == (3040, 429, 1)
        with limits.place("a"), pytest.raises(LimitError), limits.place("a", waiting=False):
            pass

    asyncio.run(main())


def test_what_takes_too_long_ends() -> None:
    async def main() -> None:
        with Limits(slots=1, queue=0, seconds=0.05).place("a") as deadline:
            assert await deadline.wait_for(asyncio.sleep(0, "in time")) == "in time"
            with pytest.raises(LimitError, match=r"longer than 0\.05 s") as caught:
                await deadline.wait_for(asyncio.sleep(10))
        assert (caught.value.cf_code, caught.value.status) == (3007, 408)

    asyncio.run(main())
