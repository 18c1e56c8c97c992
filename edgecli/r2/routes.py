"""R2's REST API, as Cloudflare's SDKs and wrangler's `r2` and `deploy` call it: buckets, and objects with their bytes.

A bucket is there at its first use. Listed are those that were created, that hold an object, or that the project's
configuration names.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from edgecli.envelope import ok, read_json
from edgecli.r2 import errors
from edgecli.r2.schema import MAX_LIST, Attributes, StoredObject

if TYPE_CHECKING:
    from edgecli.r2.service import Bucket, R2Service

_BUCKETS = "/client/v4/accounts/{account_id}/r2/buckets"
_BUCKET = _BUCKETS + "/{bucket}"
_OBJECT = _BUCKET + "/objects/{key:path}"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_HEADERS = {
    "content-type": "contentType",
    "content-language": "contentLanguage",
    "content-disposition": "contentDisposition",
    "content-encoding": "contentEncoding",
    "cache-control": "cacheControl",
}
"""A header -> what a Worker sees it as."""


def routes() -> list[BaseRoute]:
    """Return the routes."""
    return [
        Route(_BUCKETS, _list, methods=["GET"]),
        Route(_BUCKETS, _create, methods=["POST"]),
        Route(_BUCKET, _show, methods=["GET"]),
        Route(_BUCKET, _delete_bucket, methods=["DELETE"]),
        Route(_BUCKET + "/objects", _objects, methods=["GET"]),
        Route(_OBJECT, _put, methods=["PUT"]),
        Route(_OBJECT, _get, methods=["GET"]),
        Route(_OBJECT, _delete, methods=["DELETE"]),
    ]


def _service(request: Request) -> R2Service:
    return request.app.state.runtime.r2


def _bucket(request: Request) -> Bucket:
    return _service(request).open_bucket(request.path_params["bucket"])


async def _known(request: Request) -> dict[str, str | None]:
    named = request.app.state.runtime.project.r2_buckets
    return dict.fromkeys(each.resource for each in named) | await _service(request).buckets()


async def _list(request: Request) -> Response:
    wanted = request.query_params.get("name_contains", "")
    found = sorted((await _known(request)).items(), reverse=request.query_params.get("direction") == "desc")
    return ok({"buckets": [_described(name, created) for name, created in found if wanted in name]})


async def _create(request: Request) -> Response:
    body = await read_json(request)
    name = cast("dict[str, Any]", body).get("name") if isinstance(body, dict) else None
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise errors.bad_bucket_name()
    return ok(_described(name, await _service(request).create(name)))


async def _show(request: Request) -> Response:
    name = request.path_params["bucket"]
    return ok(_described(name, (await _known(request)).get(name)))


async def _delete_bucket(request: Request) -> Response:
    name = request.path_params["bucket"]
    if name not in await _known(request):
        raise errors.no_such_bucket()
    await _service(request).delete(name)
    return ok({})


def _described(name: str, created: str | None) -> dict[str, str | None]:
    return {
        "name": name,
        "creation_date": created,
        "location": "local",
        "storage_class": "Standard",
        "jurisdiction": "default",
    }


async def _objects(request: Request) -> Response:
    query = request.query_params
    limit = query.get("per_page", str(MAX_LIST))
    if not limit.isdecimal():
        raise errors.invalid_max_keys()
    listing = await _bucket(request).list(
        prefix=query.get("prefix", ""),
        delimiter=query.get("delimiter", ""),
        cursor=query.get("cursor") or None,
        start_after=query.get("start_after"),
        limit=int(limit),
    )
    info: dict[str, Any] = {"per_page": int(limit), "is_truncated": listing.cursor is not None}
    info |= {"cursor": listing.cursor} if listing.cursor else {}
    info |= {"delimited": listing.prefixes} if listing.prefixes else {}
    return ok([_listed(found) for found in listing.objects], info=info)


def _listed(found: StoredObject) -> dict[str, Any]:
    http = dict(found.attributes.http)
    if "cacheExpiry" in http:
        http["cacheExpiry"] = _time(http["cacheExpiry"])
    return {
        "key": found.key,
        "size": found.size,
        "etag": found.etag,
        "last_modified": _time(found.uploaded),
        "http_metadata": http,
        "custom_metadata": found.attributes.custom,
        "storage_class": found.attributes.storage_class,
        "ssec": False,
    }


def _time(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def _put(request: Request) -> Response:
    given = {ours: request.headers[header] for header, ours in _HEADERS.items() if header in request.headers}
    attributes = Attributes(http=given, storage_class=request.headers.get("cf-r2-storage-class", "Standard"))
    stored = await _bucket(request).put(request.path_params["key"], request.stream(), attributes=attributes)
    return ok({"key": stored.key, "etag": stored.etag, "size": str(stored.size), "version": stored.version})


async def _get(request: Request) -> Response:
    body = await _bucket(request).get(request.path_params["key"])
    found = body.found
    http = {"contentType": "application/octet-stream"} | found.attributes.http
    headers = {header: str(http[ours]) for header, ours in _HEADERS.items() if ours in http}
    headers |= {"etag": f'"{found.etag}"', "content-length": str(found.size)}
    return _Object(body.chunks, headers=headers)


class _Object(StreamingResponse):
    """An object's bytes; its files are let go wherever the client left."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(cast("AsyncGenerator[bytes]", self.body_iterator)):
            await super().__call__(scope, receive, send)


async def _delete(request: Request) -> Response:
    await _bucket(request).delete([request.path_params["key"]])
    return ok({"key": request.path_params["key"]})
