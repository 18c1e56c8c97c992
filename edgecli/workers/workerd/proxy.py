"""A request of the server's, asked of workerd over its own socket: an ASGI app that streams both ways at once."""

from __future__ import annotations

import asyncio
import contextlib
import string
import time
from pathlib import Path
from urllib.parse import quote, unquote

import h11
import httpx2
from starlette.types import Receive, Scope, Send

from edgecli.workers.process import GONE, WorkerError
from edgecli.workers.workerd.headers import DO_HEADER, passed

IDLE_CONNECTIONS = 64
IDLE_SECONDS = 3.0
"""How long a connection without a request is kept; workerd closes it after 5 s."""
LONGEST_HEAD = 1 << 20


class Proxy:
    """The way to one workerd."""

    def __init__(self, path: Path) -> None:
        """`path` is the Unix socket it listens on."""
        self.path = path
        self._idle: list[_Connection] = []
        # No certificates are read for a Unix socket: at each reload it took 20 ms and half a MiB.
        transport = httpx2.AsyncHTTPTransport(verify=False, uds=str(path))
        self._client = httpx2.AsyncClient(transport=transport, timeout=None, trust_env=False)

    async def close(self) -> None:
        """Close the connections."""
        while self._idle:
            self._idle.pop().close()
        await self._client.aclose()

    async def do(
        self, what: str, *, timeout: float | None, headers: dict[str, str] | None = None, content: bytes = b""
    ) -> httpx2.Response:
        """Have edgecli's own module `ping`, `drain`, `cover` or run `scheduled`.

        Raises httpx2's errors; `timeout`: seconds.
        """
        headers = {DO_HEADER: what, **(headers or {})}
        return await self._client.post("http://worker/", headers=headers, content=content, timeout=timeout)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request. Raises WorkerError, `worker_gone` or `worker_unreachable`, as long as nothing was sent."""
        if scope["type"] == "websocket":
            from edgecli.workers.workerd.websocket import relay

            await relay(self.path, target(scope), scope, receive, send)
            return
        names = {name for name, _ in scope["headers"]}
        headers = passed(scope["headers"])
        if b"transfer-encoding" in names:
            headers = [(name, value) for name, value in headers if name != b"content-length"]
            headers.append((b"transfer-encoding", b"chunked"))
        has_body = bool({b"content-length", b"transfer-encoding"} & names)
        if b"host" not in names:
            headers.append((b"host", b"worker"))
        connection = await self._connect()
        try:
            await connection.send(h11.Request(method=scope["method"], target=target(scope), headers=headers))
            if not has_body:
                await connection.send(h11.EndOfMessage())
        except OSError as error:
            connection.close()
            raise _unreachable(error) from error
        except h11.LocalProtocolError as error:
            connection.close()
            message = f"The request cannot be passed on to the Worker: {error}."
            raise WorkerError(message, code="worker_bad_request", status=400) from error
        answer = asyncio.create_task(_answer(connection, send))
        gone = asyncio.create_task(_ask(connection, receive, uploading=has_body))
        try:
            await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
            if not gone.done():
                answer.result()
        finally:
            for task in (answer, gone):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task
            self._keep(connection)

    async def _connect(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.alive():
                return connection
            connection.close()
        try:
            return _Connection(*await asyncio.open_unix_connection(self.path))
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise WorkerError("The Worker's process has ended.", code=GONE, status=502) from error
        except OSError as error:  # too many open files: it runs, and waiting for its end would be waiting for ever
            message = f"The Worker's process cannot be reached: {error}."
            raise WorkerError(message, code="worker_unreachable", status=502) from error

    def _keep(self, connection: _Connection) -> None:
        if len(self._idle) < IDLE_CONNECTIONS and connection.next():
            self._idle.append(connection)
        else:
            connection.close()


class _Connection:
    """A connection to workerd: one request at a time, whose two directions do not wait for each other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=LONGEST_HEAD)
        self._since = 0.0

    async def send(self, event: h11.Event) -> None:
        """Send a part of the request. Raises OSError."""
        self._writer.write(self._http.send(event) or b"")
        await self._writer.drain()

    async def receive(self) -> h11.Event | type[h11.PAUSED]:
        """Return the next part of the answer. Raises OSError, h11.RemoteProtocolError."""
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(1 << 16))
        return event  # pyright: ignore[reportReturnType] - NEED_DATA is a class that is its own instance

    def next(self) -> bool:
        """Make it ready for another request, if the last one has come to its end."""
        if not self._http.our_state is self._http.their_state is h11.DONE:
            return False
        self._http.start_next_cycle()
        self._since = time.monotonic()
        return True

    def alive(self) -> bool:
        """Tell whether the other side can be thought to be there still."""
        return not self._reader.at_eof() and time.monotonic() - self._since < IDLE_SECONDS

    def close(self) -> None:
        """Close it at once."""
        self._writer.transport.abort()


async def _answer(connection: _Connection, send: Send) -> None:
    """Send the answer on. Raises WorkerError if the process ends before it begins; one that is cut just ends."""
    try:
        head = await connection.receive()
        while isinstance(head, h11.InformationalResponse):
            head = await connection.receive()
    except (OSError, h11.RemoteProtocolError) as error:
        raise _unreachable(error) from error
    assert isinstance(head, h11.Response)
    headers = passed(head.headers)
    await send({"type": "http.response.start", "status": head.status_code, "headers": headers})
    with contextlib.suppress(OSError, h11.RemoteProtocolError):  # the journal has why the process ended
        while isinstance(part := await connection.receive(), h11.Data):
            await send({"type": "http.response.body", "body": bytes(part.data), "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _ask(connection: _Connection, receive: Receive, *, uploading: bool) -> None:
    """Send the body on, as far as it is wanted; return when the client has left."""
    while (message := await receive())["type"] != "http.disconnect":
        if not uploading:
            continue
        try:
            if body := message.get("body"):
                await connection.send(h11.Data(data=body))
            if not message.get("more_body"):
                uploading = False
                await connection.send(h11.EndOfMessage())
        except (OSError, h11.LocalProtocolError):
            uploading = False  # answered without it


def _unreachable(error: Exception) -> WorkerError:
    message = f"The Worker's process ended before it answered ({error or type(error).__name__})."
    return WorkerError(message, hint="edgecli starts it again.", code="worker_unreachable", status=502)


def target(scope: Scope) -> bytes:
    """Return path and query as they were sent, unless whoever mounted the Worker has changed the path."""
    raw: bytes = scope.get("raw_path") or b""
    path = raw if unquote(raw.decode("latin-1")) == scope["path"] else quote(scope["path"]).encode()
    whole = path + (b"?" + scope["query_string"] if scope.get("query_string") else b"")
    return quote(whole, safe=string.punctuation).encode()  # what is not ASCII came unquoted, which many clients do
