"""How a binding calls: one HTTP request through the server's channel."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any, cast

import orjson

from edgecli.workers.python.context import ask
from edgecli.workers.python.link import SLICE, Exchange, LinkClosedError, RemoteError
from edgecli.workers.python.web.body import Content, ReadableStream
from edgecli.workers.python.web.headers import Headers
from edgecli.workers.python.web.messages import Response
from edgecli.workers.python.web.values import JsException

Pairs = Iterable[tuple[str, str]]


class Fetcher:
    """The server's channel of one binding."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def __call__(self, method: str, path: str, headers: Pairs = (), body: Content = b"") -> Response:
        """Return the channel's answer, of whatever status. Raises JsException if there is none."""
        head = {"do": "call", "binding": self.name, "method": method, "path": path, "headers": list(headers)}
        return await exchange(head, body)


async def exchange(head: dict[str, Any], body: Content) -> Response:
    """Ask the server and return its answer, whose body still comes. Raises JsException if there is none."""
    try:
        if isinstance(body, bytes) and len(body) <= SLICE:
            call, pump = ask(head, body), None
        elif body is None:
            call, pump = ask(head), None
        else:
            call = ask(head, last=False)
            pump = asyncio.create_task(_pump(call, body))
        assert call.answer is not None
        try:
            answer = await call.answer
        except BaseException:
            call.cancel()
            if pump is not None:
                pump.cancel()
            raise
    except RemoteError as error:
        raise JsException(error.info.get("message", ""), error.info.get("name", "Error")) from None
    except LinkClosedError:
        raise JsException("Network connection lost.") from None
    headers = Headers.received([(name, value) for name, value in answer["headers"]])
    content = await call.body.read_all() if call.body.complete else ReadableStream(_Coming(call))
    return Response.received(answer["status"], headers, content, answer.get("url", ""))


async def _pump(call: Exchange, body: bytes | ReadableStream) -> None:
    with contextlib.suppress(LinkClosedError):
        if isinstance(body, ReadableStream):
            async for piece in body:
                await call.out.write(piece)
            await call.out.write(b"", last=True)
        else:
            await call.out.write(body, last=True)


class _Coming:
    """The body of an answer; who stops to read it ends the call."""

    def __init__(self, call: Exchange) -> None:
        self._call = call

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._call.body:
                yield piece
        except RemoteError as error:
            raise JsException(error.info.get("message", ""), error.info.get("name", "Error")) from None
        except LinkClosedError:
            raise JsException("Network connection lost.") from None
        finally:
            self._call.cancel()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self._call.cancel()


def options_of(options: Any, named: dict[str, Any]) -> dict[str, Any]:
    """Fold keyword arguments into the trailing options, as Cloudflare's SDK does; None counts as not given."""
    return {**(options or {}), **named}


def to_json(value: Any) -> bytes:
    """Return JSON. Raises TypeError for what a binding does not take."""
    return orjson.dumps(value, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)


def _plain(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return list(bytes(cast("bytes", value)))
    if isinstance(value, AsyncIterable):
        raise TypeError("a stream can only be an input of its own")
    if hasattr(value, "tolist"):  # arrays
        return value.tolist()
    if hasattr(value, "keys"):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be sent to a binding")
