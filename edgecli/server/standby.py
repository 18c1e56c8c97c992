"""Accept on a socket that a Worker's process serves, as long as no such process does.

Both read the same queue of connections, so that none is refused when one takes over from the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Coroutine
from typing import Any

from starlette.types import ASGIApp

from edgecli.server.listening import Server

LINGER = 5.0
"""Seconds that connections live on when others are accepted elsewhere: a request may be on its way on each. It is as
long as uvicorn keeps an idle one."""


class Standby:
    """A second server on a listening socket, which comes and goes."""

    def __init__(self, listener: socket.socket, app: ASGIApp) -> None:
        self._listener = listener
        self._app = app
        self._server: Server | None = None
        self._closing = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def wanted(self, wanted: bool) -> None:
        """Accept connections from now on, or leave them to the other side; answers under way come to their end."""
        if wanted and self._server is None:
            self._server = Server(self._app, signals=False)
            self._spawn(self._server.serve(sockets=[self._listener.dup()]))
        elif not wanted and self._server is not None:
            self._spawn(self._retire(self._server))
            self._server = None

    async def _retire(self, server: Server) -> None:
        if server.started:
            for each in server.servers:
                each.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), LINGER)
        server.should_exit = True

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End it, and the socket."""
        self._closing.set()
        self.wanted(False)
        await asyncio.gather(*self._tasks)
        self._listener.close()
