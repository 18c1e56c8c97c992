"""The calls of a Python Worker's handlers: a request or a cron becomes an exchange, its answer goes back, and the
journal has how it went.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol
from urllib.parse import quote

from starlette.types import Message, Receive, Scope, Send

from edgecli.workers.journal import Event, Journal, Outcome
from edgecli.workers.process import Place, WorkerError
from edgecli.workers.python.link import SLICE, Exchange, LinkClosedError, RemoteError


class _LeftError(Exception):
    """The client has gone."""


class Open(Protocol):
    """Begins an exchange; raises LinkClosedError where the process has ended."""

    def __call__(self, head: dict[str, Any], body: bytes, /, *, last: bool) -> Exchange: ...


class Handlers:
    """The handlers of one process."""

    def __init__(
        self, worker: str, journal: Journal, limit: float, opening: Open, why: Callable[[], Awaitable[WorkerError]]
    ) -> None:
        """`limit` are the seconds until an answer begins; `why` says why the process ended, once it has."""
        self._worker = worker
        self._journal = journal
        self._limit = limit
        self._open = opening
        self._why = why
        self.events: dict[int, Event] = {}
        """Those of the calls under way, by the number of the exchange."""

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
        request = {"url": head["url"], "method": head["method"], "headers": dict(head["headers"])}
        event = Event(self._worker, event={"request": request})
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start" and event.event is not None:
                event.event["response"] = {"status": message["status"]}
            started = True
            await send(message)

        try:
            async with self._call(event, head, body[:SLICE], last=last and len(body) <= SLICE) as exchange:
                attending = asyncio.create_task(_attend(exchange, receive, body[SLICE:], last))
                try:
                    await self._relay(exchange, answer)
                finally:
                    attending.cancel()
        except WorkerError:
            if not started:
                raise
        except _LeftError:
            pass

    async def scheduled(self, cron: str) -> None:
        """Run the `scheduled` handler. Raises WorkerError."""
        facts = {"cron": cron, "scheduledTime": time.time_ns() // 1_000_000}
        async with self._call(
            Event(self._worker, event=facts), {"do": "scheduled", **facts}, b"", last=True
        ) as exchange:
            await self._begun(exchange, "end its `scheduled` handler")

    @asynccontextmanager
    async def _call(self, event: Event, head: dict[str, Any], body: bytes, *, last: bool) -> AsyncGenerator[Exchange]:
        """Open an exchange, and note in the journal how it went. Raises WorkerError for what goes wrong in it."""
        began = time.perf_counter()
        try:
            exchange = self._open(head, body, last=last)
            self.events[exchange.number] = event
            try:
                yield exchange
            finally:
                exchange.cancel()
                self.events.pop(exchange.number, None)
        except (_LeftError, asyncio.CancelledError):
            event.outcome = "canceled"
            raise
        except LinkClosedError:
            error = await self._why()
            event.failed(error.code, error.message, _told(error), outcome=_outcome(error))
            raise _noted(event, error) from None
        except RemoteError as remote:
            event.failed(remote.info["name"], remote.info["message"], remote.info["stack"])
            raise _noted(event, error_of(remote.info)) from None
        except WorkerError as error:
            event.failed(error.code, error.message, error.message)
            raise _noted(event, error) from None
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

    async def _begun(self, exchange: Exchange, what: str = "begin its answer") -> dict[str, Any]:
        assert exchange.answer is not None
        limit = self._limit
        try:
            async with asyncio.timeout(limit):
                return await exchange.answer
        except TimeoutError:
            raise WorkerError(
                f"The Worker did not {what} within {limit:g} s.",
                code="worker_timeout",
                hint="The setting `edgecli.workers.request_timeout` says how long it may take.",
                status=504,
            ) from None


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


def error_of(info: dict[str, Any]) -> WorkerError:
    """Return the error that a Worker's process told of."""
    place = Place(info["file"], info["line"], info.get("column")) if "file" in info else None
    code = info["code"]
    plain = code == "worker_bad_response" or info["name"] in ("NoHandlerError", "ModuleNotFoundError")
    message = info["message"] if plain else f"{info['name']}: {info['message']}"
    return WorkerError(message, code=code, hint=info.get("hint"), place=place, trace=info["stack"])


def _noted(event: Event, error: WorkerError) -> WorkerError:
    """Note with which status a request is answered for the Worker, if it did not answer; return the error."""
    if event.event is not None and "request" in event.event:
        event.event.setdefault("response", {"status": error.status})
    return error


def _told(error: WorkerError) -> str:
    """Return what an end of the process says in a log: what it wrote itself stands there already."""
    return error.message if error.place is None else f"{error.message}\n{error.trace}"


def _outcome(error: WorkerError) -> Outcome:
    outcomes: dict[str, Outcome] = {"worker_stalled": "exceededCpu", "worker_memory": "exceededMemory"}
    return outcomes.get(error.code, "exception")
