"""Cloudflare's v4 envelope, event streams, and errors on the wire."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from edgecli.errors import EdgeError

log = logging.getLogger("edgecli.server")


def to_json(value: Any) -> bytes:
    """Return compact JSON; NumPy arrays are written as lists."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def ok(result: Any, *, status: int = 200, info: Mapping[str, Any] | None = None) -> Response:
    """Wrap a result in the envelope of success."""
    body: dict[str, Any] = {"result": result, "success": True, "errors": [], "messages": []}
    if info is not None:
        body["result_info"] = dict(info)
    return Response(to_json(body), status_code=status, media_type="application/json")


def failure(error: EdgeError, *, path: str = "") -> Response:
    """Wrap an error in the envelope of failure; Workers AI's failing `result` is `{}`, the others' is null."""
    body = {
        "result": {} if "/ai/" in path else None,
        "success": False,
        "errors": [error.to_dict()],
        "messages": [],
    }
    headers = {"retry-after": "1"} if error.status == 429 else None
    return Response(to_json(body), status_code=error.status, media_type="application/json", headers=headers)


async def _guarded(events: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Pass events on; an error in the middle becomes a last event `{"error": …}`, as the status has been sent."""
    try:
        async for event in events:
            yield event
    except EdgeError as error:
        yield {"error": error.to_dict()}
    except Exception as error:
        log.exception("a stream failed")
        yield {"error": unexpected(error).to_dict()}


async def _after_first(events: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Wait for the first event, so that an error before it is an ordinary error response."""
    iterator = aiter(events)
    try:
        first = await anext(iterator)
    except StopAsyncIteration:
        return _guarded(_chain([], iterator))
    return _guarded(_chain([first], iterator))


async def _chain(first: list[Any], rest: AsyncIterator[Any]) -> AsyncIterator[Any]:
    try:
        for event in first:
            yield event
        async for event in rest:
            yield event
    finally:
        close = getattr(rest, "aclose", None)
        if close is not None:
            await close()


async def sse(events: AsyncIterator[Any]) -> Response:
    """Stream events as Workers AI does: `data: {…}` lines, then `data: [DONE]`."""
    source = await _after_first(events)

    async def lines() -> AsyncIterator[bytes]:
        try:
            async for event in source:
                yield b"data: " + to_json(event) + b"\n\n"
            yield b"data: [DONE]\n\n"
        finally:
            await _close(source)

    return StreamingResponse(lines(), media_type="text/event-stream", headers={"cache-control": "no-cache"})


async def ndjson(events: AsyncIterator[Any]) -> Response:
    """Stream events as lines of JSON."""
    source = await _after_first(events)

    async def lines() -> AsyncIterator[bytes]:
        try:
            async for event in source:
                yield to_json(event) + b"\n"
        finally:
            await _close(source)

    return StreamingResponse(lines(), media_type="application/x-ndjson", headers={"cache-control": "no-cache"})


async def _close(source: AsyncIterator[Any]) -> None:
    close = getattr(source, "aclose", None)
    if close is not None:
        await close()


def unexpected(error: Exception) -> EdgeError:
    """Turn a fault of our own into an error that can be reported."""
    return EdgeError(
        f"Unexpected {type(error).__name__}: {error}",
        hint="This is a fault of edgecli. Report it with its trace: `edgecli serve` prints that, and so does --debug.",
        code="internal",
    )


async def read_json(request: Request, *, limit: int = 100 * 1024 * 1024) -> Any:
    """Read a JSON body whatever its declared type, as clients of Workers AI send it; empty means `{}`.

    Raises UsageError if the body is no JSON or larger than `limit` bytes.
    """
    from edgecli.errors import UsageError

    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit:
            raise UsageError(
                f"The request body is larger than {limit} bytes.", code="too_large", cf_code=3006, status=413
            )
    if not body.strip():
        return {}
    try:
        return orjson.loads(bytes(body))
    except orjson.JSONDecodeError as error:
        raise UsageError(
            f"The request body is not valid JSON: {error}.", code="invalid_json", cf_code=5006, status=400
        ) from error
