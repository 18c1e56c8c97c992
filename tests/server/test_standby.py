"""Two servers take turns on one listening socket, and no connection is refused."""

from __future__ import annotations

import asyncio
import socket

import httpx
from starlette.responses import PlainTextResponse

from edgecli.server.listening import Server
from edgecli.server.standby import Standby


def test_nobody_is_refused_while_one_takes_over_from_the_other() -> None:
    async def story() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        standby = Standby(listener, PlainTextResponse("standby"))
        heard: list[str] = []
        asking = True

        async def ask() -> None:
            while asking:
                async with httpx.AsyncClient(timeout=10) as client:
                    heard.append((await client.get(address)).text)

        async def until(text: str) -> None:
            heard.clear()
            while heard[-5:] != [text] * 5:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)

        clients = asyncio.gather(*(ask() for _ in range(3)))
        standby.wanted(True)
        await until("standby")
        for _ in range(2):
            other = Server(PlainTextResponse("worker"), signals=False)
            serving = asyncio.create_task(other.serve(sockets=[listener.dup()]))
            while not other.started:  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.01)
            standby.wanted(False)
            await until("worker")
            standby.wanted(True)
            other.should_exit = True
            await serving
            await until("standby")
        asking = False
        await clients
        await standby.close()
        assert listener.fileno() == -1

    asyncio.run(asyncio.wait_for(story(), 60))
