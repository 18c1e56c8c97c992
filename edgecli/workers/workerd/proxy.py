"""A request of the server's, asked of workerd over its own socket: an ASGI app that streams both ways."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote, unquote

import httpx2
from starlette.types import Receive, Scope, Send

from edgecli.workers.process import WorkerError

DO_HEADER = "x-edgecli-do"
CRON_HEADER = "x-edgecli-cron"
_HOP_BY_HOP = {b"connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"te", b"trailer", b"proxy-connection"}
_OURS = {DO_HEADER.encode(), CRON_HEADER.encode()}


class Proxy:
    """The way to one workerd."""

    def __init__(self, path: Path) -> None:
        """`path` is the Unix socket it listens on."""
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=64)
        # No certificates are read for a Unix socket: at each reload it took 20 ms and half a MiB.
        transport = httpx2.AsyncHTTPTransport(verify=False, uds=str(path), limits=limits)
        self._client = httpx2.AsyncClient(transport=transport, timeout=None, trust_env=False)

    async def close(self) -> None:
        """Close the connections."""
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
        """Answer an HTTP request. Raises WorkerError, code `worker_unreachable`, as long as nothing was sent."""
        if scope["type"] != "http":
            # The Worker's own port takes WebSockets; here they would need a second protocol in between.
            await send({"type": "websocket.close", "code": 1011, "reason": "Use the Worker's own port for WebSockets."})
            return
        upload = _Upload(receive)
        headers = [(name, value) for name, value in scope["headers"] if name not in _HOP_BY_HOP | _OURS]
        query = b"?" + scope["query_string"] if scope.get("query_string") else b""
        has_body = any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])
        request = httpx2.Request(
            scope["method"],
            httpx2.URL(
                "http://worker", raw_path=_raw_path(scope) + query
            ),  # the Worker reads `Host`, whatever is in it
            headers=headers,
            content=upload.chunks() if has_body else None,
        )
        if not has_body:
            upload.done.set()
        answer = asyncio.create_task(self._answer(request, send))
        gone = asyncio.create_task(upload.client_gone())
        try:
            await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                answer.result()
        except _LeftError:
            pass
        finally:
            for task in (answer, gone):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task

    async def _answer(self, request: httpx2.Request, send: Send) -> None:
        try:
            response = await self._client.send(request, stream=True)
        except httpx2.TransportError as error:
            raise WorkerError(
                f"The Worker's process did not answer: {error or type(error).__name__}.",
                hint="It may have just ended; edgecli starts it again. Its log says why.",
                code="worker_unreachable",
                status=502,
            ) from error
        try:
            headers = [(name.lower(), value) for name, value in response.headers.raw if name.lower() not in _HOP_BY_HOP]
            await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
            async for chunk in response.aiter_raw():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except httpx2.TransportError:
            pass  # the answer is cut; the journal has why the process ended
        finally:
            await response.aclose()


def _raw_path(scope: Scope) -> bytes:
    """Return the path as it was sent, unless whoever mounted the Worker has changed it."""
    raw: bytes = scope.get("raw_path") or b""
    return raw if unquote(raw.decode("latin-1")) == scope["path"] else quote(scope["path"]).encode()


class _LeftError(Exception):
    """The client has gone."""


class _Upload:
    """A request's body; after it the client can only leave."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.done = asyncio.Event()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes. Raises _LeftError if the client leaves before its end."""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise _LeftError
            if message.get("body"):
                yield message["body"]
            if not message.get("more_body"):
                self.done.set()
                return

    async def client_gone(self) -> None:
        """Return when the client has left."""
        await self.done.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
