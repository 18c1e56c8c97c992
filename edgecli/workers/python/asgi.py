"""ASGI apps in a Worker: `asgi.fetch(app, request, env)`."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import AsyncIterator
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

from edgecli.workers.python.context import RUNNING
from edgecli.workers.python.web.body import ReadableStream
from edgecli.workers.python.web.headers import Headers
from edgecli.workers.python.web.messages import Request, Response

_VERSION = {"version": "3.0", "spec_version": "2.3"}
_STARTED: weakref.WeakKeyDictionary[Any, asyncio.Future[dict[str, Any]]] = weakref.WeakKeyDictionary()
"""The state of each app's lifespan, which begins with its first request and lasts as long as the process."""


async def fetch(app: Any, req: Request, env: Any, ctx: Any = None) -> Response:
    """Answer a request by an app, whose `scope["env"]` is `env`. Raises what the app raises before it answers."""
    if (req.headers.get("upgrade") or "").lower() == "websocket":
        await websocket(app, req)
    state = await _start(app)
    return await _Call(app, _scope(req, env, state), req).answer()


async def websocket(app: Any, req: Any) -> NoReturn:
    """Raise: WebSockets are not there."""
    raise NotImplementedError("WebSockets are not there in edgecli's Python Workers; stream events over HTTP instead.")


def _scope(request: Request, env: Any, state: dict[str, Any]) -> dict[str, Any]:
    url = urlsplit(request.url)
    return {
        "type": "http",
        "asgi": _VERSION,
        "http_version": "1.1",
        "method": str(getattr(request.method, "value", request.method)),
        "scheme": url.scheme,
        "path": unquote(url.path) or "/",
        "raw_path": url.path.encode("latin-1", "replace"),
        "query_string": url.query.encode("latin-1", "replace"),
        "root_path": "",
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers.pairs()],
        "client": ("127.0.0.1", 0),
        "server": (url.hostname or "localhost", url.port or (443 if url.scheme == "https" else 80)),
        "state": dict(state),
        "env": env,
    }


class _Call:
    """One request through an app, which runs on while its answer is read."""

    def __init__(self, app: Any, scope: dict[str, Any], request: Request) -> None:
        body = request.body if request.content is not None else None
        self._body: AsyncIterator[bytes] = _nothing() if body is None else body.__aiter__()
        self._read = self._started = False
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue(16)
        self._left = asyncio.Event()
        self._task = asyncio.create_task(self._run(app, scope))

    async def _run(self, app: Any, scope: dict[str, Any]) -> None:
        try:
            await app(scope, self._receive, self._send)
        except Exception:
            if not self._started:
                raise
            logging.getLogger("asgi").exception("The application failed after its answer had begun")

    async def _receive(self) -> dict[str, Any]:
        if self._read:
            await self._left.wait()
            return {"type": "http.disconnect"}
        data = await anext(self._body, b"")
        self._read = not data
        return {"type": "http.request", "body": data, "more_body": bool(data)}

    async def _send(self, message: dict[str, Any]) -> None:
        self._started = True
        await self._messages.put(message)

    async def _next(self) -> dict[str, Any] | None:
        """Return the app's next message; None where it ended without one. Raises what it raised."""
        if self._messages.empty() and not self._task.done():
            getting = asyncio.ensure_future(self._messages.get())
            await asyncio.wait([getting, self._task], return_when=asyncio.FIRST_COMPLETED)
            if getting.done():
                return getting.result()
            getting.cancel()
        if not self._messages.empty():
            return self._messages.get_nowait()
        self._task.result()
        return None

    async def answer(self) -> Response:
        try:
            start = await self._next()
            first = await self._next() if start else None
        except asyncio.CancelledError:
            self._task.cancel()
            raise
        if start is None or first is None:
            raise RuntimeError("The application did not generate a response")
        pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in start.get("headers", [])]
        content: Any = first.get("body", b"")
        if first.get("more_body"):
            content = ReadableStream(self._stream(content))
        else:
            self._ended()
        return Response.received(start["status"], Headers.received(pairs), content)

    async def _stream(self, first: bytes) -> AsyncIterator[bytes]:
        try:
            yield first
            more = True
            while more:
                message = await self._next()
                if message is None:
                    raise RuntimeError("The application ended before its answer did")
                yield message.get("body", b"")
                more = message.get("more_body", False)
        except BaseException:
            self._task.cancel()
            raise
        self._ended()

    def _ended(self) -> None:
        """Let what the app does after its answer go on."""
        self._left.set()
        if not self._task.done() and (running := RUNNING.get()) is not None:
            running.waitUntil(self._task)


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


async def _start(app: Any) -> dict[str, Any]:
    try:
        known = _STARTED.get(app)
    except TypeError:  # an app that cannot be remembered has no lifespan
        return {}
    if known is None:
        known = _STARTED[app] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(_lifespan(app, known))
        _LIFESPANS.add(task)
        task.add_done_callback(_LIFESPANS.discard)
    return await asyncio.shield(known)


_LIFESPANS: set[asyncio.Task[None]] = set()


async def _lifespan(app: Any, started: asyncio.Future[dict[str, Any]]) -> None:
    state: dict[str, Any] = {}
    messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    messages.put_nowait({"type": "lifespan.startup"})

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "lifespan.startup.complete" and not started.done():
            started.set_result(state)
        elif message["type"] == "lifespan.startup.failed" and not started.done():
            started.set_exception(RuntimeError(f"The application did not start: {message.get('message', '')}"))

    try:
        await app({"type": "lifespan", "asgi": _VERSION, "state": state}, messages.get, send)
    except Exception as error:
        # An app that knows no lifespan raises at once; what a startup raises is told by startup.failed too.
        if not started.done() and not isinstance(error, (AssertionError, KeyError, NotImplementedError)):
            started.set_exception(error)
    finally:
        if not started.done():
            started.set_result(state)


def attribute(name: str) -> Any:
    """Return `env`, FastAPI's dependency for the Worker's env."""
    if name == "env":
        import fastapi  # pyright: ignore[reportMissingImports]

        async def env(request: Any) -> Any:
            return request.scope["env"]

        env.__annotations__ = {"request": fastapi.Request}
        return fastapi.Depends(env)
    raise AttributeError(f"module 'asgi' has no attribute {name!r}")
