"""Cloudflare's v4 envelope, event streams, and errors on the wire."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import orjson
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from edgecli.errors import EdgeError, UsageError

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
    """Answer with an error in the envelope of failure."""
    return refusal(error, envelope(error, path=path))


def envelope(error: EdgeError, *, path: str = "") -> dict[str, Any]:
    """Return the envelope of failure; Workers AI's failing `result` is `{}`, the others' is null."""
    return {
        "result": {} if "/ai/" in path else None,
        "success": False,
        "errors": [error.to_dict()],
        "messages": [],
    }


RETRIES = {429: {"retry-after": "1"}, 408: {"x-should-retry": "false"}}
"""What clients that try again by themselves are told: when, or that the same would take as long again."""


def refusal(error: EdgeError, body: Any) -> Response:
    """Answer with an error whose body has the form of any API."""
    headers = RETRIES.get(error.status)
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
        # As a header of its own: by `media_type` it would get a charset, which Workers AI's has not.
        super().__init__(pieces, headers={"content-type": media_type, "cache-control": "no-cache"})
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


Answer = Callable[[Request], Awaitable[Response]]


def in_form(answer: Answer, failed: Callable[[EdgeError], Response]) -> Answer:
    """Return an endpoint whose errors, faults of our own included, are answered by `failed`."""

    async def endpoint(request: Request) -> Response:
        try:
            return await answer(request)
        except EdgeError as error:
            return failed(error)
        except ClientDisconnect:
            return Response(status_code=CLIENT_GONE)
        except Exception as error:
            log.exception("%s %s failed", request.method, request.url.path)
            return failed(unexpected(error))

    return endpoint


async def read_body(request: Request, limit: int) -> bytearray:
    """Read a whole body of at most `limit` bytes. Raises UsageError as `read_json` does."""
    body = bytearray()
    try:
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
    except ClientDisconnect as error:
        said = "AiError: Aborted: the client went away before its request was whole."
        raise UsageError(said, code="client_gone", cf_code=3008, status=CLIENT_GONE) from error
    return body


async def read_form(request: Request, *, limit: int) -> dict[str, bytes]:
    """Read the parts of a form of at most `limit` bytes; the last counts where a name comes twice.

    Raises UsageError as `read_json` does, and HTTPException, status 400, for what is no form.
    """
    body = bytes(await read_body(request, limit))

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async with Request(request.scope, receive).form(max_part_size=limit) as form:
        return {
            name: await part.read() if isinstance(part, UploadFile) else part.encode()
            for name, part in form.multi_items()
        }


async def read_json(request: Request, *, limit: int = 100 * 1024 * 1024, required: bool = False) -> Any:
    """Read a JSON body whatever its declared type, as clients of Workers AI send it; empty means `{}`.

    Raises UsageError if the body is no JSON or larger than `limit` bytes; if it is `required` and empty, with
    cf_code 3003; if the client goes away before the body is whole, with cf_code 3008.
    """
    body = await read_body(request, limit)
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
