"""KV's REST API, as Cloudflare's SDKs and wrangler's `kv` call it.

A namespace is there at its first use, whatever its id. Listed are those that were created, that hold a key, or that the
project's configuration names.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote_to_bytes

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from edgecli.envelope import ok, read_form, read_json
from edgecli.errors import NotFoundError, UsageError
from edgecli.kv import limits
from edgecli.kv.binding_routes import get_bulk, read_value  # it brings the path's convertor `kvkey`, too
from edgecli.kv.service import Put

if TYPE_CHECKING:
    from edgecli.kv.service import Entry, KvService

MAX_PAIRS = 10_000
"""Of one bulk write or delete."""
_FORM_ROOM = 64 * 1024
"""Bytes of a form beside its value."""
_NAMESPACES = "/client/v4/accounts/{account_id}/storage/kv/namespaces"
_NAMESPACE = _NAMESPACES + "/{namespace}"
_VALUE = _NAMESPACE + "/values/{key:kvkey}"


def routes() -> list[BaseRoute]:
    """Return the routes."""
    return [
        Route(_NAMESPACES, _list, methods=["GET"]),
        Route(_NAMESPACES, _create, methods=["POST"]),
        Route(_NAMESPACE, _show, methods=["GET"]),
        Route(_NAMESPACE, _rename, methods=["PUT"]),
        Route(_NAMESPACE, _drop, methods=["DELETE"]),
        Route(_NAMESPACE + "/keys", _keys, methods=["GET"]),
        Route(_NAMESPACE + "/bulk", _put_bulk, methods=["PUT"]),
        Route(_NAMESPACE + "/bulk", _delete_bulk, methods=["DELETE"]),
        Route(_NAMESPACE + "/bulk/delete", _delete_bulk, methods=["POST"]),
        Route(_NAMESPACE + "/bulk/get", _get_bulk, methods=["POST"]),
        Route(_NAMESPACE + "/metadata/{key:kvkey}", _metadata, methods=["GET"]),
        Route(_VALUE, _get, methods=["GET"]),
        Route(_VALUE, _put, methods=["PUT"]),
        Route(_VALUE, _delete, methods=["DELETE"]),
    ]


def _service(request: Request) -> KvService:
    return request.app.state.runtime.kv


def _namespace(request: Request) -> str:
    return request.path_params["namespace"]


def _key(request: Request) -> str:
    """Return the key, of whose path `%2F` is a part, as is a `/`."""
    raw: bytes = request.scope["raw_path"]
    for part in (b"/values/", b"/metadata/"):
        before, found, key = raw.partition(part)
        if found and before.count(b"/") == _NAMESPACE.count("/"):
            try:
                return unquote_to_bytes(key).decode()
            except UnicodeDecodeError as error:
                raise limits.refused("Could not URL-decode key name") from error
    raise AssertionError(raw)


async def _known(request: Request) -> dict[str, str]:
    """Return the titles of the namespaces by their ids."""
    named = request.app.state.runtime.project.kv_namespaces
    return {each.resource: each.binding for each in named} | await _service(request).namespaces()


async def _list(request: Request) -> Response:
    query = request.query_params
    by_id, backwards = query.get("order") == "id", query.get("direction") == "desc"
    found = sorted((await _known(request)).items(), key=lambda item: item[0 if by_id else 1], reverse=backwards)
    page, size = (_count(query.get(name), default) for name, default in (("page", 1), ("per_page", 20)))
    shown = [_described(*item) for item in found[(page - 1) * size : page * size]]
    info = {"page": page, "per_page": size, "count": len(shown), "total_count": len(found)}
    return ok(shown, info=info)


def _count(given: str | None, default: int) -> int:
    if given is None:
        return default
    if not given.isdecimal() or not 1 <= int(given) <= 1000:
        raise limits.refused(f"`{given}` is no number from 1 to 1000.")
    return int(given)


def _described(namespace: str, title: str) -> dict[str, Any]:
    return {"id": namespace, "title": title, "supports_url_encoding": True}


async def _title(request: Request) -> str:
    body = await read_json(request)
    title = cast("dict[str, Any]", body).get("title") if isinstance(body, dict) else None
    if not isinstance(title, str) or not 0 < len(title.encode()) <= limits.MAX_KEY:
        raise UsageError("A namespace needs a `title` of up to 512 bytes.", code="bad_title", cf_code=10019)
    return title


async def _create(request: Request) -> Response:
    title = await _title(request)
    return ok(_described(await _service(request).create(title), title))


async def _found(request: Request) -> str:
    """Return the title of the namespace. Raises NotFoundError."""
    title = (await _known(request)).get(_namespace(request))
    if title is None:
        raise NotFoundError(f"There is no namespace `{_namespace(request)}`.", code="no_such_namespace", cf_code=10013)
    return title


async def _show(request: Request) -> Response:
    return ok(_described(_namespace(request), await _found(request)))


async def _rename(request: Request) -> Response:
    await _found(request)
    title = await _title(request)
    await _service(request).rename(_namespace(request), title)
    return ok(_described(_namespace(request), title))


async def _drop(request: Request) -> Response:
    await _found(request)
    await _service(request).drop(_namespace(request))
    return ok(None)


async def _keys(request: Request) -> Response:
    query = request.query_params
    limit = limits.check_limit(query.get("limit", str(limits.MAX_LIST)))
    page = await _service(request).list(
        _namespace(request), prefix=query.get("prefix", ""), limit=limit, cursor=query.get("cursor") or None
    )
    keys = [each | {"metadata": json.loads(each["metadata"])} if "metadata" in each else each for each in page.keys]
    return ok(keys, info={"count": len(keys), "cursor": page.cursor or ""})


async def _entry(request: Request) -> Entry:
    entry = await _service(request).get(_namespace(request), _key(request))
    if entry is None:
        raise NotFoundError("get: 'key not found'", code="no_such_key", cf_code=10009)
    return entry


async def _get(request: Request) -> Response:
    entry = await _entry(request)
    headers = {"expiration": str(entry.expiration)} if entry.expiration is not None else {}
    return Response(entry.value, headers=headers, media_type="application/octet-stream")


async def _metadata(request: Request) -> Response:
    metadata = (await _entry(request)).metadata
    return ok(json.loads(metadata) if metadata else None)


async def _put(request: Request) -> Response:
    query, metadata = request.query_params, None
    expiration = limits.check_expiration(query.get("expiration"), query.get("expiration_ttl"))
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        value, metadata = await _of_form(request)
    else:
        value = await read_value(request)
    await _service(request).put(_namespace(request), _key(request), value, metadata=metadata, expiration=expiration)
    return ok(None)


async def _of_form(request: Request) -> tuple[bytes, str | None]:
    parts = await read_form(request, limit=limits.MAX_VALUE + _FORM_ROOM)
    if "value" not in parts:
        raise limits.refused("The form has no part `value`.")
    metadata = parts.get("metadata")
    try:
        return parts["value"], metadata.decode() if metadata is not None else None
    except UnicodeDecodeError as error:
        raise limits.refused("Metadata must be valid JSON.") from error


async def _delete(request: Request) -> Response:
    await _service(request).delete(_namespace(request), _key(request))
    return ok(None)


async def _put_bulk(request: Request) -> Response:
    puts = [_pair(number, each) for number, each in enumerate(_items(await read_json(request)))]
    await _service(request).put_all(_namespace(request), puts)
    return ok({"successful_key_count": len(puts), "unsuccessful_keys": []})


def _items(body: Any) -> list[Any]:
    items = cast("list[Any]", body)
    if not isinstance(body, list) or len(items) > MAX_PAIRS:
        raise limits.refused(f"The body is no list of up to {MAX_PAIRS} items.")
    return items


def _pair(number: int, given: Any) -> Put:
    item = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
    key, text = item.get("key"), item.get("value")
    if not isinstance(key, str) or not isinstance(text, str):
        raise limits.refused(f"Item {number} has no `key` and `value` that are strings.")
    try:
        value = base64.b64decode(text, validate=True) if item.get("base64") is True else text.encode()
    except (binascii.Error, UnicodeEncodeError) as error:
        raise limits.refused(f"Item {number}, `{key}`: its value is no base64.") from error
    expiration, ttl = (
        None if item.get(name) is None else f"{item[name]:.0f}" if isinstance(item[name], float) else str(item[name])
        for name in ("expiration", "expiration_ttl")
    )
    metadata = item.get("metadata")
    return Put(
        key,
        value,
        None if metadata is None else json.dumps(metadata, ensure_ascii=False),
        limits.check_expiration(expiration, ttl),
    )


async def _delete_bulk(request: Request) -> Response:
    keys = _items(await read_json(request))
    if not all(isinstance(key, str) for key in keys):
        raise limits.refused("The keys to delete are strings.")
    await _service(request).delete_all(_namespace(request), keys)
    return ok({"successful_key_count": len(keys), "unsuccessful_keys": []})


async def _get_bulk(request: Request) -> Response:
    return ok({"values": await get_bulk(_service(request), _namespace(request), await read_json(request))})
