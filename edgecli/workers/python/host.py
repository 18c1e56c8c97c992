"""A Python Worker, as the server runs it: requests go to its process, its calls and its words come back."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
import time
from typing import Any, ClassVar
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgecli.config.settings import WorkersSettings
from edgecli.workers.channel import scope_for
from edgecli.workers.journal import Event, Journal, Level, Outcome
from edgecli.workers.process import Place, WorkerError
from edgecli.workers.python.calls import Outbound, Usage, ask_app, scope_of
from edgecli.workers.python.link import SLICE, WHERE, Exchange, LinkClosedError, RemoteError
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
_REDACTED = ("auth", "cookie", "key", "secret", "token", "jwt")


class _LeftError(Exception):
    """The client has gone."""


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
        self._events: dict[int, Event] = {}
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
                    hint="Do less while the module is imported, or raise the setting `workers.stall_timeout`.",
                )
            answer = self._ready.result()
            if answer[0] == "broken":
                raise _error_of(answer[1])
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
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1011, "reason": "Python Workers have no WebSockets"})
            return
        head = _head(scope)
        body, last = b"", True
        if head["body"]:
            first = await receive()
            if first["type"] == "http.disconnect":
                return
            body, last = first.get("body", b""), not first.get("more_body", False)
        event = Event(self._spec.name, event={"request": _shown(head)})
        began = time.perf_counter()
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start" and event.event is not None:
                event.event["response"] = {"status": message["status"]}
            started = True
            await send(message)

        try:
            exchange = self._open(head, body[:SLICE], last=last and len(body) <= SLICE)
            self._events[exchange.number] = event
            attending = asyncio.create_task(_attend(exchange, receive, body[SLICE:], last))
            try:
                await self._relay(exchange, answer)
            finally:
                attending.cancel()
                exchange.cancel()
                self._events.pop(exchange.number, None)
        except _LeftError:
            event.outcome = "canceled"
        except LinkClosedError:
            error = await self._why_it_ended()
            event.failed(error.code, error.message, _told(error), outcome=_outcome(error))
            if not started:
                raise _noted(event, error) from None
        except RemoteError as remote:
            error = _error_of(remote.info)
            event.failed(remote.info["name"], remote.info["message"], remote.info["stack"])
            if not started:
                raise _noted(event, error) from None
        except WorkerError as error:
            event.failed(error.code, error.message, error.message)
            raise _noted(event, error) from None
        except asyncio.CancelledError:
            event.outcome = "canceled"
            raise
        finally:
            event.milliseconds = (time.perf_counter() - began) * 1000
            self._journal.add(event)

    async def _relay(self, exchange: Exchange, send: Send) -> None:
        head = await self._begun(exchange)
        headers = [(name.encode(), _encoded(value)) for name, value in head["headers"]]
        if "length" in head and head["status"] not in (101, 204, 304):
            headers = [pair for pair in headers if pair[0] != b"content-length"]
            headers.append((b"content-length", b"%d" % head["length"]))
        start: Message = {"type": "http.response.start", "status": head["status"], "headers": headers}
        if exchange.body.complete:
            await send(start)
            await send({"type": "http.response.body", "body": await exchange.body.read_all()})
            return
        await send(start)
        while data := await exchange.body.read():
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _begun(self, exchange: Exchange) -> dict[str, Any]:
        assert exchange.answer is not None
        limit = self._settings.request_timeout
        try:
            async with asyncio.timeout(limit):
                return await exchange.answer
        except TimeoutError:
            raise WorkerError(
                f"The Worker did not begin its answer within {limit:g} s.",
                code="worker_timeout",
                hint="The setting `workers.request_timeout` says how long it may take.",
                status=504,
            ) from None

    async def scheduled(self, cron: str) -> None:
        """Run its `scheduled` handler. Raises WorkerError."""
        when = time.time_ns() // 1_000_000
        event = Event(self._spec.name, event={"cron": cron, "scheduledTime": when})
        began = time.perf_counter()
        try:
            exchange = self._open({"do": "scheduled", "cron": cron, "scheduledTime": when}, b"", last=True)
            self._events[exchange.number] = event
            try:
                await self._begun(exchange)
            finally:
                exchange.cancel()
                self._events.pop(exchange.number, None)
        except LinkClosedError:
            error = await self._why_it_ended()
            event.failed(error.code, error.message, _told(error), outcome=_outcome(error))
            raise error from None
        except RemoteError as remote:
            event.failed(remote.info["name"], remote.info["message"], remote.info["stack"])
            raise _error_of(remote.info) from None
        except WorkerError as error:
            event.failed(error.code, error.message, error.message)
            raise
        finally:
            event.milliseconds = (time.perf_counter() - began) * 1000
            self._journal.add(event)

    def _open(self, head: dict[str, Any], body: bytes, *, last: bool) -> Exchange:
        if self._child is None:
            raise LinkClosedError
        return self._child.link.open(head, body, last=last)

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
                        hint="The setting `workers.memory` says how many MiB it may use.",
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
                        " the setting `workers.stall_timeout` says how long it may take.",
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
        event = self._events.get(head["for"])
        if usage is not None and event is not None and (tokens := usage.tokens()):
            before = event.tokens or (0, 0)
            event.tokens = (before[0] + tokens[0], before[1] + tokens[1])

    def hear(self, message: Frame, raw: bytes) -> None:
        """Take a message of the process."""
        match message:
            case ["pong"]:
                self._ping = None
            case ["log", number, level, text]:
                event = self._events.get(number)
                if event is None:
                    self.said(level, text)
                else:
                    event.log(level, text)
            case ["left", number, count]:
                if event := self._events.get(number):
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


async def _attend(exchange: Exchange, receive: Receive, rest: bytes, last: bool) -> None:
    """Send the rest of a request's body, and end the exchange when the client leaves."""
    try:
        if rest:
            await exchange.out.write(rest, last=last)
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                break
            if not last:
                last = not message.get("more_body", False)
                await exchange.out.write(message.get("body", b""), last=last)
    except LinkClosedError:
        while (await receive())["type"] != "http.disconnect":
            pass
    exchange.cancel()
    exchange.broken(_LeftError())


def _head(scope: Scope) -> dict[str, Any]:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    host = body = ""
    for name, value in headers:
        if name == "host":
            host = value
        elif name in ("content-length", "transfer-encoding"):
            body = value
    raw = scope.get("raw_path")
    path = _sent(raw) if raw else quote(scope["path"])
    query = f"?{_sent(scope['query_string'])}" if scope["query_string"] else ""
    url = f"{scope['scheme']}://{host or 'localhost'}{path}{query}"
    return {"do": "fetch", "method": scope["method"], "url": url, "headers": headers, "body": body not in ("", "0")}


def _sent(raw: bytes) -> str:
    """Return a part of a URL as it was sent; bytes that should have been escaped are."""
    return raw.decode() if raw.isascii() else quote(raw, safe="%/?:@!$&'()*+,;=-._~")


def _encoded(value: str) -> bytes:
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode()


def _shown(head: dict[str, Any]) -> dict[str, Any]:
    headers = {name: "REDACTED" if _secret(name) else value for name, value in head["headers"]}
    return {"url": head["url"], "method": head["method"], "headers": headers}


@functools.lru_cache(512)
def _secret(name: str) -> bool:
    return any(word in name for word in _REDACTED)


def _error_of(info: dict[str, Any]) -> WorkerError:
    place = Place(info["file"], info["line"], info.get("column")) if "file" in info else None
    code = info["code"]
    plain = code == "worker_bad_response" or info["name"] in ("NoHandlerError", "ModuleNotFoundError")
    message = info["message"] if plain else f"{info['name']}: {info['message']}"
    return WorkerError(message, code=code, hint=info.get("hint"), place=place, trace=info["stack"])


def _noted(event: Event, error: WorkerError) -> WorkerError:
    """Note with which status the request is answered for the Worker; return the error."""
    if event.event is not None:
        event.event["response"] = {"status": error.status}
    return error


def _told(error: WorkerError) -> str:
    """Return what an end of the process says in a log: what it wrote itself stands there already."""
    return error.message if error.place is None else f"{error.message}\n{error.trace}"


def _outcome(error: WorkerError) -> Outcome:
    outcomes: dict[str, Outcome] = {"worker_stalled": "exceededCpu", "worker_memory": "exceededMemory"}
    return outcomes.get(error.code, "exception")


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    with contextlib.suppress(ValueError):
        return f"signal {signal.Signals(-code).name}"
    return f"signal {-code}"
