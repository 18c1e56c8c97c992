"""The way to a workerd that is not there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from starlette.types import Message, Scope

from edgecli.workers.process import GONE, WorkerError
from edgecli.workers.workerd.proxy import Proxy


@pytest.mark.parametrize(("name", "code"), [("none.sock", GONE), ("x" * 200, "worker_unreachable")])
def test_who_asks_again_is_told_only_of_a_process_that_is_gone(tmp_path: Path, name: str, code: str) -> None:
    async def run() -> None:
        proxy = Proxy(tmp_path / name)

        async def receive() -> Message:
            raise AssertionError("nobody has read of the request")

        async def send(message: Message) -> None:
            raise AssertionError(message)

        scope: Scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        with pytest.raises(WorkerError) as caught:
            await proxy(scope, receive, send)
        assert (caught.value.code, caught.value.status) == (code, 502)
        await proxy.close()

    asyncio.run(run())
