"""A WebSocket of the server's, passed on to workerd over its own socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from pathlib import Path

from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol

from edgecli.workers.workerd.headers import passed

LONGEST_MESSAGE = 32 << 20
"""Bytes, as in the cloud."""
_OWN = (b"sec-websocket-", b"host", b"content-length")
"""How headers begin that belong to one connection: each of the two has its own."""


class _Once(connect):
    """A handshake whose answer is the client's, whatever it is."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


async def relay(path: Path, target: bytes, scope: Scope, receive: Receive, send: Send) -> None:
    """Connect the client with the Worker behind the Unix socket `path`, until one of them closes."""
    await receive()
    host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "worker")
    try:
        worker = await _Once(
            f"ws://{host}{target.decode('latin-1')}",
            additional_headers=[(n.decode("latin-1"), v.decode("latin-1")) for n, v in _of_both(scope["headers"])],
            subprotocols=[Subprotocol(each) for each in scope.get("subprotocols", [])] or None,
            user_agent_header=None,
            compression=None,
            open_timeout=None,
            ping_interval=None,
            max_size=LONGEST_MESSAGE,
            unix=True,
            path=str(path),
        )
    except InvalidStatus as refused:
        answer = refused.response
        await _refuse(scope, send, answer.status_code, _encoded(answer.headers), bytes(answer.body))
        return
    except (OSError, EOFError, InvalidHandshake, InvalidURI):
        await _refuse(scope, send, 502, [], b"The Worker's process did not take the WebSocket.\n")
        return
    async with worker:
        said = _encoded(worker.response.headers) if worker.response else []
        await send({"type": "websocket.accept", "subprotocol": worker.subprotocol, "headers": said})
        ways = (asyncio.create_task(_down(worker, send)), asyncio.create_task(_up(worker, receive)))
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in ways:
                task.cancel()
            await asyncio.gather(*ways, return_exceptions=True)  # a client that has left is no error


def _of_both(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers that go from one connection to the other."""
    return [pair for pair in passed(headers) if not pair[0].startswith(_OWN)]


def _encoded(headers: Headers) -> list[tuple[bytes, bytes]]:
    return _of_both((name.lower().encode(), value.encode("latin-1", "replace")) for name, value in headers.raw_items())


async def _down(worker: ClientConnection, send: Send) -> None:
    try:
        while True:
            said = await worker.recv()
            await send({"type": "websocket.send", "text" if isinstance(said, str) else "bytes": said})
    except ConnectionClosed:
        await send({"type": "websocket.close", "code": _code(worker.close_code), "reason": worker.close_reason or ""})


async def _up(worker: ClientConnection, receive: Receive) -> None:
    with contextlib.suppress(ConnectionClosed):
        while (message := await receive())["type"] == "websocket.receive":
            text = message.get("text")
            await worker.send(message["bytes"] if text is None else text)
        await worker.close(_code(message.get("code")), message.get("reason") or "")


def _code(code: int | None) -> int:
    """Return a code that may be sent: what says that there was none, or no close at all, may not."""
    return {None: 1011, 1005: 1000, 1006: 1011, 1015: 1011}.get(code, code or 1011)


async def _refuse(scope: Scope, send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1011})
        return
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
