"""Two servers take turns on one listening socket, and no connection is refused."""

from __future__ import annotations

import asyncio
import socket

import httpx
from starlette.responses import PlainTextResponse

from edgecli.server.listening import Server
from edgecli.server.standby import LINGER, Standby


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
        ending: list[tuple[Server, asyncio.Task[None]]] = []
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
            for each in other.servers:
                each.close()
            await until("standby")
            ending.append((other, serving))
        asking = False
        await clients
        for other, serving in ending:
            other.should_exit = True
            await serving
        await standby.close()
        assert listener.fileno() == -1

    asyncio.run(asyncio.wait_for(story(), 60))


def test_a_connection_whose_request_comes_late_is_answered() -> None:
    async def story() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        standby = Standby(listener, PlainTextResponse("standby"))
        standby.wanted(True)
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"GET / HTTP/1.1\r\n")
        await asyncio.sleep(0.2)
        standby.wanted(False)
        await asyncio.sleep(0.3)
        writer.write(b"host: localhost\r\nconnection: close\r\n\r\n")
        assert (await reader.read()).endswith(b"standby")
        writer.close()
        began = asyncio.get_running_loop().time()
        await standby.close()
        assert asyncio.get_running_loop().time() - began < LINGER, "the end waits for nobody"

    asyncio.run(asyncio.wait_for(story(), 60))
