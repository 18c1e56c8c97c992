"""A Worker that stays: the process that is good, the next one beside it, and a new one when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, Literal

from starlette.types import Receive, Scope, Send

from edgecli.errors import EdgeError
from edgecli.workers.error_page import answer
from edgecli.workers.journal import Event, Journal
from edgecli.workers.overlay import Overlay
from edgecli.workers.process import GONE, WorkerError, WorkerProcess
from edgecli.workers.spec import WorkerSpec

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
"""Seconds before a process that died is started anew; they double each time."""
LIVED = 30.0
"""Seconds after which a process that dies is thought to have been well: the pauses begin again."""
PATIENCE = 5.0
"""Seconds that a request waits for a Worker that is being started."""
GRACE = 10.0
"""Seconds that requests of a process that was replaced have to end."""
CLOSING = 2.0
"""Seconds that they have when the server ends."""

State = Literal["starting", "running", "failed", "restarting", "stopped"]
Launch = Callable[[WorkerSpec], tuple[WorkerProcess, Callable[[], None]]]
"""Makes a process that has not been started, and what is to be called when it has ended."""

log = logging.getLogger("edgecli.workers")


class Worker:
    """A Worker of the server. To be used in its event loop."""

    def __init__(self, spec: WorkerSpec, launch: Launch, journal: Journal, *, traces: bool = False) -> None:
        """`traces` shows the developer's traces and source in answers: in `dev` only."""
        self.spec = spec
        self.error: WorkerError | None = None
        """Why the last start failed; the process before it may still answer."""
        self.traces = traces
        self.changed: Callable[[], None] = lambda: None
        """Is called when a process begins or ends to answer."""
        self._launch = launch
        self._journal = journal
        self._process: WorkerProcess | None = None
        self._overlay: Overlay | None = None
        self._starting: asyncio.Task[None] | None = None
        self._restarting: asyncio.Task[None] | None = None
        self._pause = FIRST_PAUSE / 2
        self._news = asyncio.Event()
        """Is set, and replaced, when a start has come to its end."""
        self._stopped = False
        self._replaced: set[WorkerProcess] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def state(self) -> State:
        """What it does now."""
        if self._stopped:
            return "stopped"
        if self._process is not None:
            return "running"
        if self._restarting is not None:
            return "restarting"
        return "starting" if self._starting is not None else "failed"

    def describe(self) -> dict[str, Any]:
        """Return what is known of it, as `/edge/workers` lists it."""
        requests, errors = self._journal.counted(self.spec.name)
        return {
            "name": self.spec.name,
            "main": str(self.spec.main),
            "language": self.spec.language,
            "state": self.state,
            "pid": self._process.pid if self._process else None,
            "requests": requests,
            "errors": errors,
            "error": described(self.error) if self.error else None,
        }

    async def start(self) -> None:
        """Start it. Raises WorkerError, which is held as `error` too."""
        await self.reload(self.spec)

    async def reload(self, spec: WorkerSpec) -> bool:
        """Let a new process answer from now on; where it does not start, the one before it goes on.

        Tell whether it does: a reload that comes later ends one that is still under way. Raises WorkerError.
        """
        self._end_restarting()
        if self._starting is not None:
            self._starting.cancel()
        starting = self._starting = asyncio.create_task(self._replace(spec))
        try:
            await starting
        except WorkerError as error:
            self.error = error
            raise
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            return False
        finally:
            if self._starting is starting:
                self._starting = None
                self._tell()
        return True

    async def cover(self, overlay: Overlay | None) -> None:
        """Lay an overlay over the pages of the process that answers now, until another one does."""
        if self._process is not None:
            self._overlay = overlay
            await self._process.cover(overlay)

    async def _replace(self, spec: WorkerSpec) -> None:
        process = await self._start(spec)
        self.spec, self.error = spec, None
        self._take(process)  # here: who waits for this task may be cancelled, and the process would be nobody's

    async def _start(self, spec: WorkerSpec) -> WorkerProcess:
        if spec.main.is_dir():
            hint = 'Name the module that holds its handlers: main = "src/worker.py".'
            raise WorkerError(f"`main` is `{spec.main}`, which is a folder.", hint=hint, code="worker_start")
        process, ended = self._launch(spec)
        try:
            await process.start()
        except BaseException as error:
            with contextlib.suppress(Exception):
                await asyncio.shield(process.stop(grace=0))
            ended()
            if isinstance(error, WorkerError) or not isinstance(error, Exception):
                raise
            if isinstance(error, EdgeError):
                raise WorkerError(error.message, hint=error.hint, code=error.code) from error
            # A disk that is full, a value that has no form: nothing of it may end the server, or what starts it anew.
            log.debug("The Worker `%s` could not be started", spec.name, exc_info=error)
            message = f"The Worker could not be started: {type(error).__name__}: {error}"
            raise WorkerError(message, code="worker_start") from error
        self._spawn(self._watch(process, ended))
        return process

    def _take(self, process: WorkerProcess) -> None:
        before, self._process = self._process, process
        self._overlay = None
        self._tell()
        self.changed()
        if before is not None:
            self._replaced.add(before)
            self._spawn(before.stop(grace=GRACE))

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _watch(self, process: WorkerProcess, ended: Callable[[], None]) -> None:
        began = time.monotonic()
        try:
            why = await process.wait()
        finally:
            ended()
        self._replaced.discard(process)
        if self._process is not process:
            return
        self._process = None
        if not self._stopped:
            log.warning("The Worker `%s` is started anew: %s", self.spec.name, why or "its process ended.")
            self._restarting = asyncio.create_task(self._restart(time.monotonic() - began))
        self.changed()

    async def _restart(self, lived: float) -> None:
        self._pause = FIRST_PAUSE if lived > LIVED else min(self._pause * 2, LONGEST_PAUSE)
        while True:
            await asyncio.sleep(self._pause)
            try:
                process = await self._start(self.spec)
                break
            except WorkerError as error:
                if self.error is None or str(error) != str(self.error):
                    log.warning("The Worker `%s` does not start: %s", self.spec.name, error)
                self.error = error
                self._tell()
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
        self.error = self._restarting = None
        self._take(process)

    def _end_restarting(self) -> None:
        if self._restarting is not None:
            self._restarting.cancel()
            self._restarting = None

    async def stop(self) -> None:
        """End it, and wait until its processes have ended."""
        self._stopped = True
        if self._starting is not None:
            self._starting.cancel()
        under_way = [task for task in (self._starting, self._restarting) if task is not None]
        self._end_restarting()
        await asyncio.gather(*under_way, return_exceptions=True)
        processes = [*self._replaced, *([self._process] if self._process is not None else [])]
        self._process = None
        await asyncio.gather(*(each.stop(grace=CLOSING) for each in processes), return_exceptions=True)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def fetch(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request: an ASGI app. Without a process it waits a moment, then says what is wrong."""
        process = self._process
        if self._overlay is not None and scope["type"] == "http":
            scope, send = self._overlay.around(scope, send)
        try:
            process = process or await self._next()
            try:
                await process.fetch(scope, receive, send)
            except WorkerError as error:
                if error.code != GONE:
                    raise
                await process.wait()
                process = self._process or await self._next()
                await process.fetch(scope, receive, send)
        except WorkerError as error:
            if process is None:
                self._journal.add(refused(self.spec.name, scope, error))
            await answer(error, self.spec, scope, traces=self.traces)(scope, receive, send)

    async def _next(self) -> WorkerProcess:
        """Return the process that is being started. Raises WorkerError where there is none to wait for."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while self._process is None and (self._starting or (self._restarting and not self.error)):
                    await self._news.wait()
        if self._process is not None:
            return self._process
        if self.error is not None:
            raise self.error.with_traceback(None)  # raised for each request, and grows by none
        raise WorkerError(
            f"The Worker `{self.spec.name}` does not run; it is being started.",
            hint="Try again in some seconds.",
            code="worker_not_running",
            status=503,
        )

    async def scheduled(self, cron: str) -> None:
        """Run its `scheduled` handler. Raises WorkerError."""
        process = self._process
        try:
            process = process or await self._next()
            await process.scheduled(cron)
        except WorkerError as error:
            if process is None:
                event = Event(self.spec.name, event={"cron": cron, "scheduledTime": time.time_ns() // 1_000_000})
                event.failed(error.code, error.message)
                self._journal.add(event)
            raise


def refused(worker: str, scope: Scope, error: WorkerError) -> Event:
    """Return the event of a request that no process has seen."""
    query = f"?{scope['query_string'].decode('latin-1')}" if scope.get("query_string") else ""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    url = f"{scope.get('scheme', 'http')}://{headers.get('host', 'localhost')}{scope['path']}{query}"
    request = {"url": url, "method": scope.get("method", "GET"), "headers": headers}
    event = Event(worker, event={"request": request, "response": {"status": error.status}}, milliseconds=0.0)
    event.failed(error.code, error.message, error.message)
    return event


def described(error: WorkerError) -> dict[str, Any]:
    """Return an error of a Worker as data."""
    place = error.place
    return {
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "file": place.file if place else None,
        "line": place.line if place else None,
        "column": place.column if place else None,
    }
