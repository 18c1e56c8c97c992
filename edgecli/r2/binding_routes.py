"""What a Worker's R2 binding calls: `GET /` with a request in a header, `PUT /` with one before the bytes.

Source: workerd's `r2-rpc.c++`. A result begins with `cf-r2-metadata-size` bytes of JSON, and an object's bytes follow;
an error is a header.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from edgecli.envelope import in_form, to_json
from edgecli.errors import EdgeError
from edgecli.r2 import errors
from edgecli.r2.request import BindingRequest, read, to_wire
from edgecli.r2.schema import Range
from edgecli.r2.uploads import Part

if TYPE_CHECKING:
    from edgecli.r2.service import Body, Bucket

_REQUEST = b"cf-r2-request"
_SIZE = "cf-r2-metadata-size"
_ERROR = "cf-r2-error"
_MAX_REQUEST = 4 << 20
"""Bytes; a thousand keys to delete are a quarter of it."""
_HTTP, _CUSTOM = 0, 1
"""What `include` names."""


def routes() -> list[BaseRoute]:
    """Return the binding's routes."""
    return [
        Route("/r2/", in_form(_get, _failed), methods=["GET"]),
        Route("/r2/", in_form(_put, _failed), methods=["PUT"]),
    ]


def _failed(error: EdgeError) -> Response:
    said = {"version": 1, "v4code": error.cf_code, "message": error.advice}
    found = error.found if isinstance(error, errors.R2Error) else None
    response = _metadata(to_wire(found)) if found else Response()
    response.status_code = error.status
    response.headers[_ERROR] = json.dumps(said)
    return response


def _metadata(result: Any) -> Response:
    data = to_json(result)
    return Response(data, headers={_SIZE: str(len(data))}, media_type="application/json")


def _bucket(request: Request) -> Bucket:
    return request.app.state.runtime.r2.open_bucket(request.state.binding.resource)


async def _get(request: Request) -> Response:
    headers = [value for name, value in request.headers.raw if name == _REQUEST]
    if not headers:
        raise errors.invalid_argument("no `CF-R2-Request`")
    asked, bucket = read(headers[0]), _bucket(request)
    if asked.method == "head":
        found = await bucket.head(asked.object)
        return _metadata(to_wire(found, Range(0, found.size)))
    if asked.method == "get":
        return _ObjectResponse(await bucket.get(asked.object, asked=asked.asked_range, condition=asked.condition))
    if asked.method == "list":
        return await _list(bucket, asked)
    raise errors.invalid_argument(f"`{asked.method}` comes by PUT")


class _ObjectResponse(StreamingResponse):
    """An object and its bytes; its files are let go wherever the client left."""

    def __init__(self, body: Body) -> None:
        metadata = to_json(to_wire(body.found, body.range))
        size = {_SIZE: str(len(metadata)), "content-length": str(len(metadata) + body.range.length)}
        super().__init__(_after(metadata, body), headers=size, media_type="application/octet-stream")
        self._chunks = body.chunks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._chunks):
            await super().__call__(scope, receive, send)


async def _after(metadata: bytes, body: Body) -> AsyncGenerator[bytes]:
    yield metadata
    async for data in body.chunks:
        yield data


async def _list(bucket: Bucket, asked: BindingRequest) -> Response:
    # Runtimes that do not say so are old ones, which want all.
    http, custom = (kind in asked.include or not asked.new_runtime for kind in (_HTTP, _CUSTOM))
    listing = await bucket.list(
        prefix=asked.prefix,
        delimiter=asked.delimiter,
        cursor=asked.cursor,
        start_after=asked.start_after,
        limit=asked.most,
        metadata=http or custom,
    )
    result: dict[str, Any] = {
        "objects": [to_wire(found, http=http, custom=custom) for found in listing.objects],
        "truncated": listing.cursor is not None,
        "delimitedPrefixes": listing.prefixes,
    }
    if listing.cursor is not None:
        result["cursor"] = listing.cursor
    return _metadata(result)


async def _put(request: Request) -> Response:
    async with aclosing(request.stream()) as stream:
        asked, rest = await _read_prefix(request, stream)
        return await _write(_bucket(request), asked, rest)


async def _read_prefix(request: Request, stream: AsyncGenerator[bytes]) -> tuple[BindingRequest, AsyncIterator[bytes]]:
    """Return the request before the bytes, and the bytes."""
    given = request.headers.get(_SIZE, "")
    size = int(given) if given.isdecimal() else 0
    if not 0 < size <= _MAX_REQUEST:
        raise errors.invalid_argument(f"no `CF-R2-Metadata-Size` of 1 to {_MAX_REQUEST}")
    head = bytearray()
    while len(head) < size:
        data = await anext(stream, None)
        if data is None:
            raise errors.invalid_argument(f"{len(head)} of {size} bytes came")
        head += data

    async def rest() -> AsyncGenerator[bytes]:
        yield bytes(head[size:])
        async for data in stream:
            yield data

    return read(bytes(head[:size])), rest()


async def _write(bucket: Bucket, asked: BindingRequest, source: AsyncIterator[bytes]) -> Response:
    key, upload = asked.object, asked.upload_id
    match asked.method:
        case "put":
            stored = await bucket.put(
                key, source, attributes=asked.attributes, condition=asked.condition, checksums=asked.checksums
            )
            return _metadata(to_wire(stored))
        case "delete":
            await bucket.delete([key] if asked.objects is None else asked.objects)
            return Response()
        case "createMultipartUpload":
            return _metadata({"uploadId": await bucket.uploads.create(key, asked.attributes)})
        case "uploadPart":
            return _metadata({"etag": await bucket.uploads.put_part(key, upload, asked.part_number, source)})
        case "completeMultipartUpload":
            parts = [Part(each.part, each.etag) for each in asked.parts]
            return _metadata(to_wire(await bucket.uploads.complete(key, upload, parts)))
        case "abortMultipartUpload":
            await bucket.uploads.abort(key, upload)
            return Response()
        case _:
            raise errors.invalid_argument(f"`{asked.method}` comes by GET")
