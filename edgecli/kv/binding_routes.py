"""What a Worker's KV binding calls: `GET | PUT | DELETE /KEY`, `GET /` to list, `POST /bulk/get`.

Source: workerd's `kv.c++`. It shows a Worker the status and the reason phrase of an error, and not the body; ASGI has
no reason phrases, so the text is in the body and whoever stands between may put it there.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote_to_bytes

from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from edgecli.envelope import in_form, read_json, to_json
from edgecli.errors import EdgeError
from edgecli.kv import limits

if TYPE_CHECKING:
    from edgecli.kv.service import Entry, KvService

METADATA = b"cf-kv-metadata"


class _AnyKey(Convertor[str]):
    """A path with any characters; Starlette's own ends at a line break."""

    regex = r"[\s\S]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("kvkey", _AnyKey())


def routes() -> list[BaseRoute]:
    """Return the binding's routes."""
    return [
        Route("/kv/", in_form(_list, _failed), methods=["GET"]),
        Route("/kv/bulk/get", in_form(_get_bulk, _failed), methods=["POST"]),
        Route("/kv/{key:kvkey}", in_form(_get, _failed), methods=["GET"]),
        Route("/kv/{key:kvkey}", in_form(_put, _failed), methods=["PUT"]),
        Route("/kv/{key:kvkey}", in_form(_delete, _failed), methods=["DELETE"]),
    ]


def _failed(error: EdgeError) -> Response:
    return PlainTextResponse(error.advice, status_code=error.status)


def _service(request: Request) -> KvService:
    return request.app.state.runtime.kv


def _namespace(request: Request) -> str:
    return request.state.binding.resource


def _key(request: Request) -> str:
    """Return the key of the path as it was sent: `%2F` is a part of it, as is a `/`."""
    raw: bytes = request.scope["raw_path"].removeprefix(b"/")
    if request.query_params.get("urlencoded", "").lower() == "true":
        raw = unquote_to_bytes(raw)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise limits.refused("Could not URL-decode key name") from error


def _metadata(request: Request) -> str | None:
    found = [value for name, value in request.headers.raw if name == METADATA]
    try:
        return found[0].decode() if found else None
    except UnicodeDecodeError as error:
        raise limits.refused("Metadata must be valid JSON.") from error


async def _get(request: Request) -> Response:
    if (ttl := request.query_params.get("cache_ttl")) is not None:
        limits.check_cache_ttl(ttl)
    entry = await _service(request).get(_namespace(request), _key(request))
    if entry is None:
        return PlainTextResponse("Not Found", status_code=404)
    headers: dict[str, str] = {}
    if entry.expiration is not None:
        headers["cf-expiration"] = str(entry.expiration)
    if entry.metadata is not None:
        headers[METADATA.decode()] = json.dumps(json.loads(entry.metadata))  # in ASCII, which every client reads
    return Response(entry.value, headers=headers, media_type="application/octet-stream")


async def _put(request: Request) -> Response:
    query = request.query_params
    expiration = limits.check_expiration(query.get("expiration"), query.get("expiration_ttl"))
    metadata = _metadata(request)
    key = _key(request)
    limits.check_key(key)
    value = await read_value(request)
    await _service(request).put(_namespace(request), key, value, metadata=metadata, expiration=expiration)
    return Response()


async def read_value(request: Request) -> bytes:
    """Read the body; of one that is too long only its length, which the error names."""
    value, size = bytearray(), 0
    async for piece in request.stream():
        size += len(piece)
        if size <= limits.MAX_VALUE:
            value += piece
        else:
            value.clear()
    limits.check_value(size)
    return bytes(value)


async def _delete(request: Request) -> Response:
    await _service(request).delete(_namespace(request), _key(request))
    return Response()


async def _list(request: Request) -> Response:
    query = request.query_params
    limit = limits.check_limit(query.get("key_count_limit", str(limits.MAX_LIST)))
    page = await _service(request).list(
        _namespace(request), prefix=query.get("prefix", ""), limit=limit, cursor=query.get("cursor")
    )
    body: dict[str, Any] = {"keys": page.keys, "list_complete": page.cursor is None}
    if page.cursor is not None:
        body["cursor"] = page.cursor
    return Response(to_json(body), media_type="application/json")


async def _get_bulk(request: Request) -> Response:
    found = await get_bulk(_service(request), _namespace(request), await read_json(request))
    return Response(to_json(found), media_type="application/json")


async def get_bulk(service: KvService, namespace: str, asked: Any) -> dict[str, Any]:
    """Return `{key: value}`, or `{key: {"value", "metadata"}}`; None for a key that is not there. Raises UsageError."""
    keys, kind, with_metadata = _read_bulk(asked)
    found: dict[str, Any] = {}
    size = 0
    for key in keys:
        entry = await service.get(namespace, key)
        size += len(entry.value) if entry else 0
        if size > limits.MAX_VALUE:
            raise limits.refused("Total size of request exceeds the limit of 25MB", 413)
        found[key] = _bulk_value(entry, kind, with_metadata=with_metadata)
    return found


def _read_bulk(asked: Any) -> tuple[list[str], str, bool]:
    fields = cast("dict[str, Any]", asked) if isinstance(asked, dict) else {}
    keys = fields.get("keys")
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in cast("list[Any]", keys)):
        raise limits.refused("`keys` must be an array of strings")
    names = cast("list[str]", keys)
    if len(names) > limits.MAX_BULK:
        raise limits.refused(f"You can request a maximum of {limits.MAX_BULK} keys")
    if not names:
        raise limits.refused("You must request a minimum of 1 key")
    kind = fields.get("type") or "text"
    if kind not in {"text", "json"}:
        raise limits.refused(f'"{kind}" is not a valid type. Use "json" or "text"')
    if (ttl := fields.get("cacheTtl")) is not None:
        limits.check_cache_ttl(str(ttl))
    return names, kind, fields.get("withMetadata") is True


def _bulk_value(entry: Entry | None, kind: str, *, with_metadata: bool) -> Any:
    if entry is None:
        return None
    text = entry.value.decode("utf-8", "replace")
    try:
        value = json.loads(text) if kind == "json" else text
    except ValueError as error:
        raise limits.refused(f"At least one of the requested keys corresponds to a non-{kind} value") from error
    if not with_metadata:
        return value
    return {"value": value, "metadata": json.loads(entry.metadata) if entry.metadata else None}
