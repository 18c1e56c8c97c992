"""Small answers leave at once."""

from __future__ import annotations

import asyncio
import socket

from edgecli.server.process import _bind


def test_answers_do_not_wait_for_the_clients_acknowledgement() -> None:
    """With Nagle's algorithm a client that delays acknowledgements gets each small answer 40 ms late."""

    async def accepted_without_delay() -> int:
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            found.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        async with await asyncio.start_server(greet, sock=_bind("127.0.0.1", 0, exact=True)) as server:
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            without_delay = await found
            writer.close()
            return without_delay

    assert asyncio.run(accepted_without_delay())
