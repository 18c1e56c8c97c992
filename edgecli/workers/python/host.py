"""A Python Worker, as the server runs it: its process over its life, what it calls, and what it says."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import Any, ClassVar

from starlette.types import ASGIApp, Receive, Scope, Send

from edgecli.config.settings import WorkersSettings
from edgecli.workers.channel import scope_for
from edgecli.workers.journal import Event, Journal, Level
from edgecli.workers.overlay import Overlay
from edgecli.workers.process import Place, WorkerError
from edgecli.workers.python.calls import Outbound, Usage, ask_app, scope_of
from edgecli.workers.python.handlers import Handlers, error_of
from edgecli.workers.python.link import WHERE, Exchange, LinkClosedError
from edgecli.workers.python.link import Message as Frame
from edgecli.workers.python.spawn import Child
from edgecli.workers.spec import WorkerSpec

_MIB = 1024 * 1024
_START = 60.0
"""Seconds in which a process must be there, before it imports anything of the user's."""
_TICK = 0.1
"""Seconds between looks at a process's memory."""
_GATHERED = 0.05
"""Seconds in which lines outside of requests become one event."""
_TOLD = 0.3
"""Seconds in which a process that is blocked may say where."""


class PythonProcess:
    """One process of a Python Worker."""

    _spare: ClassVar[Child | None] = None

    def __init__(
        self,
        spec: WorkerSpec,
        channel: ASGIApp,
        journal: Journal,
        settings: WorkersSettings,
        *,
        offline: bool = False,
        gateway: ASGIApp | None = None,
    ) -> None:
        """`channel` is the app of the bindings' routes, called with `scope_for`; `gateway` is the AI Gateway's."""
        self._spec = spec
        self._channel = channel
        self._journal = journal
        self._settings = settings
        self._bindings = {binding.name: binding for binding in spec.bindings}
        self._outbound = Outbound(allowed=settings.outbound == "allow", offline=offline, gateway=gateway)
        self._child: Child | None = None
        self._handlers = Handlers(spec.name, journal, settings.request_timeout, self._open, self._why_it_ended)
        self._loose: Event | None = None
        self._verdict: WorkerError | None = None
        self._told: asyncio.Future[dict[str, Any]] | None = None
        self._stopping = False
        self._ping: float | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def pid(self) -> int | None:
        """The process's number, once it has one."""
        return self._child.pid if self._child else None

    @classmethod
    async def prepare(cls) -> None:
        """Start a process ahead, for the next `start`: Python and edgecli's modules are loaded when it is needed.

        One that waits already is kept.
        """
        if cls._is_ready(cls._spare):
            return
        child = await Child.spawn()
        unused, PythonProcess._spare = PythonProcess._spare, child  # another call may have been quicker
        if unused is not None and unused.loop is child.loop:
            await unused.end()

    @classmethod
    async def release(cls) -> None:
        """End the process that was started ahead."""
        spare, PythonProcess._spare = PythonProcess._spare, None
        if spare is not None and spare.loop is asyncio.get_running_loop():
            await spare.end()

    @classmethod
    async def _take(cls) -> Child:
        spare, PythonProcess._spare = PythonProcess._spare, None
        return spare if spare is not None and cls._is_ready(spare) else await Child.spawn()

    @staticmethod
    def _is_ready(spare: Child | None) -> bool:
        return spare is not None and spare.loop is asyncio.get_running_loop() and not spare.exit.done()

    async def start(self) -> None:
        """Start it and import the user's module. Raises WorkerError, code `worker_start`, with the place at fault."""
        if not self._spec.main.is_file():
            raise WorkerError(
                f"The Worker's main module {self._spec.main} does not exist.",
                code="worker_start",
                hint="Set `main` in wrangler.toml to the file that holds its handlers.",
            )
        self._child = child = await self._take()
        self._loading: asyncio.Future[None] = child.loop.create_future()
        self._ready: asyncio.Future[Frame] = child.loop.create_future()
        self._fate: asyncio.Future[WorkerError | None] = child.loop.create_future()
        child.owner = self
        child.link.send(["load", self._load()])
        self._tasks.append(asyncio.create_task(self._until_it_ends(child)))
        limit = self._settings.stall_timeout
        try:
            await _first(self._loading, self._fate, seconds=_START)
            await _first(self._ready, self._fate, seconds=limit)
            if self._fate.done():
                raise self._start_error(child)
            if not self._ready.done():
                place, trace = await self._where(child)
                raise WorkerError(
                    f"{self._spec.main} was not imported within {limit:g} s.",
                    code="worker_start",
                    place=place,
                    trace=trace,
                    hint="Do less while the module is imported, or raise the setting `edgecli.workers.stall_timeout`.",
                )
            answer = self._ready.result()
            if answer[0] == "broken":
                raise error_of(answer[1])
        except BaseException:
            self._stopping = True
            await child.end()
            raise
        self._tasks.append(asyncio.create_task(self._watch(child)))

    def _load(self) -> dict[str, Any]:
        spec = self._spec
        return {
            "main": str(spec.main),
            "root": str(spec.root),
            "bindings": [(binding.name, binding.type) for binding in spec.bindings],
            "values": {**spec.vars, **spec.secrets},
            "unanswered": spec.unanswered,
        }

    def _start_error(self, child: Child) -> WorkerError:
        died = self._fate.result()
        said = died.message if died else "its process ended"
        return WorkerError(
            f"{self._spec.main} was not imported: {said}", code="worker_start", trace="\n".join(child.last_words)
        )

    async def fetch(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request: an ASGI app. Raises WorkerError as long as nothing was sent; afterwards cuts the answer."""
        await self._handlers.fetch(scope, receive, send)

    async def scheduled(self, cron: str) -> None:
        """Run its `scheduled` handler. Raises WorkerError."""
        await self._handlers.scheduled(cron)

    def _open(self, head: dict[str, Any], body: bytes, *, last: bool) -> Exchange:
        if self._child is None:
            raise LinkClosedError
        return self._child.link.open(head, body, last=last)

    async def cover(self, overlay: Overlay | None) -> None:
        """Do nothing: every request comes by `fetch`."""

    async def stop(self, *, grace: float) -> None:
        """Let running requests and `waitUntil` end for `grace` seconds, then end the process, whatever it does."""
        child = self._child
        if child is None:
            return
        self._stopping = True
        if grace > 0 and not child.exit.done():
            child.link.send(["stop"])
            await asyncio.wait([child.exit], timeout=grace)
        await child.end()
        await asyncio.shield(self._fate)
        await self._outbound.close()

    async def wait(self) -> WorkerError | None:
        """Return when the process has ended: None if it was asked to, else why."""
        return await asyncio.shield(self._fate)

    async def _why_it_ended(self) -> WorkerError:
        error = await asyncio.shield(self._fate) if self._child else None
        if error is None:
            return WorkerError("The Worker was stopped.", code="worker_stopped", status=503)
        return error.with_traceback(None)  # raised for each request, and grows by none

    async def _until_it_ends(self, child: Child) -> None:
        code = await asyncio.shield(child.exit)
        error = self._verdict
        if error is None and not self._stopping:
            await asyncio.sleep(_GATHERED)  # its last words are on their way
            error = WorkerError(
                f"The Worker's process {child.pid} ended: {_ending(code)}.",
                code="worker_died",
                trace="\n".join(child.last_words),
            )
        self._fate.set_result(error)
        child.link.end(LinkClosedError("the Worker has ended"))
        child.link.close()
        for task in self._tasks[1:]:
            task.cancel()

    async def _watch(self, child: Child) -> None:
        """End the process where its loop is blocked for too long, or where it holds too much memory."""
        stall, tick = self._settings.stall_timeout, min(_TICK, self._settings.stall_timeout / 4)
        period, last = min(1.0, stall / 4), 0.0
        while True:
            before = child.loop.time()
            await asyncio.sleep(tick)
            now = child.loop.time()
            if self._ping is not None and now - before > tick + 1:
                self._ping = now  # this process was held up itself
            if child.resident() > self._settings.memory * _MIB:
                self._condemn(
                    child,
                    WorkerError(
                        f"The Worker used more than {self._settings.memory} MiB of memory; its process was ended.",
                        code="worker_memory",
                        hint="The setting `edgecli.workers.memory` says how many MiB it may use.",
                    ),
                )
                return
            if self._ping is None and now - last >= period:
                self._ping = last = now
                child.link.send(["ping"])
            elif self._ping is not None and now - self._ping > stall:
                place, trace = await self._where(child)
                self._condemn(
                    child,
                    WorkerError(
                        f"The Worker computed for {stall:g} s without a pause; its process was ended.",
                        code="worker_stalled",
                        place=place,
                        trace=trace,
                        hint="Await between steps, or move the work to a thread (asyncio.to_thread);"
                        " the setting `edgecli.workers.stall_timeout` says how long it may take.",
                    ),
                )
                return

    async def _where(self, child: Child) -> tuple[Place | None, str]:
        """Ask a process that is blocked for the line of the user's code, and for the calls that led there."""
        self._told = child.loop.create_future()
        child.send_signal(WHERE)
        await _first(self._told, seconds=_TOLD)
        told = self._told.result() if self._told.done() else {}
        return (Place(told["file"], told["line"]), told["stack"]) if told else (None, "")

    def _condemn(self, child: Child, verdict: WorkerError) -> None:
        self._verdict = verdict
        child.kill()

    async def serve(self, exchange: Exchange) -> None:
        """Answer a call of the Worker."""
        head = exchange.head
        if head["do"] == "fetch":
            await self._outbound.answer(exchange)
            return
        binding = self._bindings.get(head["binding"])
        if binding is None:
            exchange.fail({"name": "Error", "message": f"There is no binding {head['binding']!r}."})
            return
        scope = scope_for(scope_of(head["method"], head["path"], head["headers"]), binding)
        usage = Usage() if binding.type == "ai" else None
        await ask_app(self._channel, scope, exchange, usage)
        event = self._handlers.events.get(head["for"])
        if usage is not None and event is not None and (tokens := usage.tokens()):
            before = event.tokens or (0, 0)
            event.tokens = (before[0] + tokens[0], before[1] + tokens[1])

    def hear(self, message: Frame, raw: bytes) -> None:
        """Take a message of the process."""
        match message:
            case ["pong"]:
                self._ping = None
            case ["log", number, level, text]:
                event = self._handlers.events.get(number)
                if event is None:
                    self.said(level, text)
                else:
                    self._journal.log(event, level, text)
            case ["left", number, count]:
                if event := self._handlers.events.get(number):
                    event.left_out += count
            case ["where", told] if self._told is not None and not self._told.done():
                self._told.set_result(told)
            case ["loading"] if not self._loading.done():
                self._loading.set_result(None)
            case ["ready" | "broken", *_] if not self._ready.done():
                self._ready.set_result(message)
            case _:
                pass

    def said(self, level: Level, text: str) -> None:
        """Note a line outside of requests; what comes together is one event."""
        if self._loose is None:
            self._loose = Event(self._spec.name)
            asyncio.get_running_loop().call_later(_GATHERED, self._gathered)
        self._loose.log(level, text)

    def _gathered(self) -> None:
        event, self._loose = self._loose, None
        if event is not None:
            self._journal.add(event)


async def _first(*futures: asyncio.Future[Any], seconds: float) -> None:
    await asyncio.wait(futures, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    with contextlib.suppress(ValueError):
        return f"signal {signal.Signals(-code).name}"
    return f"signal {-code}"
