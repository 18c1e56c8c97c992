"""A Worker's process that does what a test tells it, in place of Python's and workerd's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from edgecli.workers.overlay import Overlay
from edgecli.workers.process import WorkerError, WorkerProcess
from edgecli.workers.spec import WorkerSpec


class Process:
    """One process; its number says in which order it was made."""

    def __init__(self, pid: int, spec: WorkerSpec) -> None:
        self.pid = pid
        self.spec = spec
        self.problem: Exception | None = None
        """Raised at its start."""
        self.slow = asyncio.Event()
        """The start waits for it."""
        self.slow.set()
        self.held = asyncio.Event()
        """Requests wait for it."""
        self.held.set()
        self.failure: WorkerError | None = None
        """Raised by requests."""
        self.graces: list[float] = []
        self.crons: list[str] = []
        self.overlay: Overlay | None = None
        self._running = 0
        self._ended: asyncio.Future[WorkerError | None] = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        await self.slow.wait()
        if self.problem is not None:
            raise self.problem

    async def fetch(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._running += 1
        try:
            await self.held.wait()
            if self.failure is not None:
                raise self.failure
            await PlainTextResponse(f"{self.pid}")(scope, receive, send)
        finally:
            self._running -= 1

    async def scheduled(self, cron: str) -> None:
        self.crons.append(cron)

    async def cover(self, overlay: Overlay | None) -> None:
        self.overlay = overlay

    async def stop(self, *, grace: float) -> None:
        self.graces.append(grace)
        if self._running and grace:
            await self.held.wait()
        self.die(None)

    def die(self, why: WorkerError | None) -> None:
        if not self._ended.done():
            self._ended.set_result(why)

    async def wait(self) -> WorkerError | None:
        return await asyncio.shield(self._ended)


class Machine:
    """Makes processes, and remembers them."""

    def __init__(self) -> None:
        self.made: list[Process] = []
        self.given_back = 0
        self.prepare: Callable[[Process], None] = lambda process: None

    def launch(self, spec: WorkerSpec) -> tuple[WorkerProcess, Callable[[], None]]:
        process = Process(len(self.made) + 1, spec)
        self.prepare(process)
        self.made.append(process)
        return process, self._ended

    def _ended(self) -> None:
        self.given_back += 1
