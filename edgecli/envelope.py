"""Cloudflare's v4 envelope, event streams, and errors on the wire."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from edgecli.errors import EdgeError

log = logging.getLogger("edgecli.server")

CLIENT_GONE = 499
"""Status of an answer that nobody waits for any more; never seen by a client."""


def to_json(value: Any) -> bytes:
    """Return compact JSON; NumPy arrays are written as lists."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def ok(
    result: Any,
    *,
    status: int = 200,
    info: Mapping[str, Any] | None = None,
    messages: Sequence[Mapping[str, Any]] = (),
) -> Response:
    """Wrap a result in the envelope of success; `messages` say what else the caller should know."""
    body: dict[str, Any] = {"result": result, "success": True, "errors": [], "messages": messages}
    if info is not None:
        body["result_info"] = dict(info)
    return Response(to_json(body), status_code=status, media_type="application/json")


def failure(error: EdgeError, *, path: str = "") -> Response:
    """Wrap an error in the envelope of failure; Workers AI's failing `result` is `{}`, the others' is null."""
    body: dict[str, Any] = {
        "result": {} if "/ai/" in path else None,
        "success": False,
        "errors": [error.to_dict()],
        "messages": [],
    }
    if "/v1/" in path:  # OpenAI's client shows no more of an error than this
        body["message"] = error.message + (f"\nhint: {error.hint}" if error.hint else "")
    return refusal(error, body)


def refusal(error: EdgeError, body: Any) -> Response:
    """Answer with an error in the form of another API than Cloudflare's own; clients that may try again learn when."""
    headers = {"retry-after": "1"} if error.status == 429 else None
    return Response(to_json(body), status_code=error.status, media_type="application/json", headers=headers)


async def while_connected(request: Request, work: Coroutine[Any, Any, Response]) -> Response:
    """Return the response that `work` makes; end the work if the client goes away before.

    To be called once the body has been read.
    """
    answer, left = asyncio.create_task(work), asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({answer, left}, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        return Response(status_code=CLIENT_GONE)
    finally:
        answer.cancel()
        left.cancel()
        await asyncio.gather(answer, left, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class _Stream(StreamingResponse):
    """A stream whose source is closed with it, wherever the client left."""

    def __init__(self, pieces: AsyncGenerator[bytes], media_type: str) -> None:
        super().__init__(pieces, media_type=media_type, headers={"cache-control": "no-cache"})
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._pieces):
            await super().__call__(scope, receive, send)


Failed = Callable[[EdgeError], Iterable[Any]]
"""Makes the events that end a stream in which an error came up."""


def _failed(error: EdgeError) -> Iterable[Any]:
    return [{"error": error.to_dict()}]


async def _guarded(first: list[Any], rest: AsyncGenerator[Any], failed: Failed) -> AsyncGenerator[Any]:
    """Pass events on; an error in the middle becomes the last event, as the status has been sent."""
    try:
        async with aclosing(rest):
            for event in first:
                yield event
            async for event in rest:
                yield event
    except EdgeError as error:
        for event in failed(error):
            yield event
    except Exception as error:
        log.exception("a stream failed")
        for event in failed(unexpected(error)):
            yield event


async def _after_first(events: AsyncGenerator[Any], failed: Failed = _failed) -> AsyncGenerator[Any]:
    """Wait for the first event, so that an error before it is an ordinary error response."""
    try:
        return _guarded([await anext(events)], events, failed)
    except StopAsyncIteration:
        return _guarded([], events, failed)


async def sse(events: AsyncGenerator[Any], *, named: bool = False, failed: Failed = _failed) -> Response:
    """Stream events as Workers AI does: `data: {…}` lines, then `data: [DONE]`.

    `named` events have a line `event:` with their `type` before, and the last of them says that it is the last.
    An error after the first event becomes what `failed` makes of it; before, it is raised.
    """
    source = await _after_first(events, failed)

    async def lines() -> AsyncGenerator[bytes]:
        async with aclosing(source):
            async for event in source:
                name = b"event: " + event["type"].encode() + b"\n" if named else b""
                yield name + b"data: " + to_json(event) + b"\n\n"
            if not named:
                yield b"data: [DONE]\n\n"

    return _Stream(lines(), "text/event-stream")


async def ndjson(events: AsyncGenerator[Any]) -> Response:
    """Stream events as lines of JSON."""
    source = await _after_first(events)

    async def lines() -> AsyncGenerator[bytes]:
        async with aclosing(source):
            async for event in source:
                yield to_json(event) + b"\n"

    return _Stream(lines(), "application/x-ndjson")


def unexpected(error: Exception) -> EdgeError:
    """Turn a fault of our own into an error that can be reported."""
    return EdgeError(
        f"Unexpected {type(error).__name__}: {error}",
        hint="This is a fault of edgecli. Report it with its trace: `edgecli serve` prints that, and so does --debug.",
        code="internal",
    )


async def read_json(request: Request, *, limit: int = 100 * 1024 * 1024, required: bool = False) -> Any:
    """Read a JSON body whatever its declared type, as clients of Workers AI send it; empty means `{}`.

    Raises UsageError if the body is no JSON or larger than `limit` bytes; if it is `required` and empty, with
    cf_code 3003.
    """
    from edgecli.errors import UsageError

    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit:
            raise UsageError(
                f"The request body is larger than {limit} bytes.",
                hint="Send it in several smaller requests.",
                code="too_large",
                cf_code=3006,
                status=413,
            )
    if not body.strip():
        if required:
            raise UsageError(
                "AiError: Missing headers or body",
                hint="Send the inputs as one JSON object.",
                code="missing_body",
                cf_code=3003,
            )
        return {}
    try:
        return orjson.loads(bytes(body))
    except orjson.JSONDecodeError as error:
        raise UsageError(
            f"The request body is not valid JSON: {error}.",
            hint="Send one JSON object in UTF-8; most libraries do so with a `json=` option.",
            code="invalid_json",
            cf_code=5006,
            status=400,
        ) from error
