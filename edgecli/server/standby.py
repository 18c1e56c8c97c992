"""Accept on a socket that a Worker's process serves, as long as no such process does.

Both read the same queue of connections, so that none is refused when one takes over from the other.
"""

from __future__ import annotations

import asyncio
import socket

from starlette.types import ASGIApp

from edgecli.server.listening import Server


class Standby:
    """A second server on a listening socket, which comes and goes."""

    def __init__(self, listener: socket.socket, app: ASGIApp) -> None:
        self._listener = listener
        self._app = app
        self._server: Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def wanted(self, wanted: bool) -> None:
        """Accept connections from now on, or leave them to the other side; answers under way come to their end."""
        if wanted and self._server is None:
            self._server = Server(self._app, signals=False)
            task = asyncio.create_task(self._server.serve(sockets=[self._listener.dup()]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif not wanted and self._server is not None:
            self._server.should_exit = True
            self._server = None

    async def close(self) -> None:
        """End it, and the socket."""
        self.wanted(False)
        await asyncio.gather(*self._tasks)
        self._listener.close()
