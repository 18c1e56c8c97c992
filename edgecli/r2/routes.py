"""R2's REST API as far as wrangler's `r2` and `deploy` call it: buckets, and objects with their bytes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from edgecli.envelope import ok, read_json
from edgecli.errors import UsageError
from edgecli.r2.schema import Attributes

if TYPE_CHECKING:
    from edgecli.r2.service import Bucket, R2Service

_BUCKETS = "/client/v4/accounts/{account_id}/r2/buckets"
_OBJECT = _BUCKETS + "/{bucket}/objects/{key:path}"


def routes() -> list[BaseRoute]:
    """Return the routes."""
    return [
        Route(_BUCKETS, _list, methods=["GET"]),
        Route(_BUCKETS, _create, methods=["POST"]),
        Route(_BUCKETS + "/{bucket}", _show, methods=["GET"]),
        Route(_OBJECT, _put, methods=["PUT"]),
        Route(_OBJECT, _get, methods=["GET"]),
        Route(_OBJECT, _delete, methods=["DELETE"]),
    ]


def _service(request: Request) -> R2Service:
    return request.app.state.runtime.r2


def _bucket(request: Request) -> Bucket:
    return _service(request).open_bucket(request.path_params["bucket"])


async def _list(request: Request) -> Response:
    """List the buckets that hold an object; an empty one is not known before its first."""
    names = await _service(request).names()
    return ok({"buckets": [_described(name) for name in names]})


async def _create(request: Request) -> Response:
    body = await read_json(request)
    name = body.get("name") if isinstance(body, dict) else None
    if not isinstance(name, str) or not name:
        raise UsageError("A bucket needs a `name`.", code="bad_bucket", cf_code=10005, status=400)
    return ok(_described(name))


async def _show(request: Request) -> Response:
    """Every bucket is there: it comes into being with its first object."""
    return ok(_described(request.path_params["bucket"]))


def _described(name: str) -> dict[str, str]:
    return {"name": name, "location": "local", "storage_class": "Standard", "jurisdiction": "default"}


async def _put(request: Request) -> Response:
    kind = request.headers.get("content-type")
    attributes = Attributes(http={"contentType": kind}) if kind else Attributes()
    stored = await _bucket(request).put(request.path_params["key"], request.stream(), attributes=attributes)
    return ok({"key": stored.key, "etag": stored.etag, "size": str(stored.size), "version": stored.version})


async def _get(request: Request) -> Response:
    found = await _bucket(request).get(request.path_params["key"])
    headers = {"etag": f'"{found.found.etag}"', "content-length": str(found.found.size)}
    kind = found.found.attributes.http.get("contentType", "application/octet-stream")
    return _Object(found.chunks, media_type=kind, headers=headers)


class _Object(StreamingResponse):
    """An object's bytes; its files are let go wherever the client left."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(cast("AsyncGenerator[bytes]", self.body_iterator)):
            await super().__call__(scope, receive, send)


async def _delete(request: Request) -> Response:
    await _bucket(request).delete([request.path_params["key"]])
    return ok({"key": request.path_params["key"]})
