"""`env.KV`: keys and values, on the wire of workerd's `kv.c++`."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import orjson

from edgecli.workers.python.bindings.calling import Fetcher, options_of, to_json
from edgecli.workers.python.web.body import content_of
from edgecli.workers.python.web.messages import Response
from edgecli.workers.python.web.values import JsDict, JsException, from_js

_LONGEST_KEY = 512
_METADATA = "cf-kv-metadata"


class KvNamespace:
    """A namespace of keys."""

    def __init__(self, call: Fetcher) -> None:
        self._call = call

    async def get(self, key: Any, options: Any = None, **named: Any) -> Any:
        """Return a value as text, `json`, `arrayBuffer` or `stream`; None where there is none; a dict for a list."""
        if isinstance(key, (list, tuple)):
            return await self._get_many(list(key), _typed(options, named), with_metadata=False)
        return (await self.getWithMetadata(key, options, **named))["value"]

    async def getWithMetadata(self, key: Any, options: Any = None, **named: Any) -> Any:  # noqa: N802
        """Return `{value, metadata, cacheStatus}`."""
        given = _typed(options, named)
        if isinstance(key, (list, tuple)):
            return await self._get_many(list(key), given, with_metadata=True)
        query = {"cache_ttl": given["cacheTtl"]} if given.get("cacheTtl") else {}
        response = await self._call("GET", _path("GET", key, query))
        if response.status in (404, 410):
            return JsDict(value=None, metadata=None, cacheStatus=None)
        await _check("GET", response)
        metadata = response.headers.get(_METADATA)
        return JsDict(
            value=await _read(response, given.get("type") or "text"),
            metadata=from_js(orjson.loads(metadata)) if metadata else None,
            cacheStatus=None,
        )

    async def put(self, key: str, value: Any, options: Any = None, **named: Any) -> None:
        """Store a value; `expirationTtl` in seconds, `expiration` in seconds since 1970, `metadata` as JSON."""
        given = options_of(options, named)
        query = {
            name: int(given[option])
            for option, name in (("expiration", "expiration"), ("expirationTtl", "expiration_ttl"))
            if given.get(option) is not None
        }
        body, kind = content_of(
            value,
            lambda given: (
                "KV put() accepts only strings, ArrayBuffers, ArrayBufferViews, and ReadableStreams as values,"
                f" not {type(given).__name__}."
            ),
        )
        headers = [("content-type", "text/plain")] if kind else []
        if given.get("metadata") is not None:
            headers.append((_METADATA, _ascii(given["metadata"])))
        await _check("PUT", await self._call("PUT", _path("PUT", key, query), headers, body))

    async def delete(self, key: str) -> None:
        """Remove a key."""
        await _check("DELETE", await self._call("DELETE", _path("DELETE", key, {})))

    async def list(self, options: Any = None, **named: Any) -> Any:
        """Return `{keys, list_complete, cursor}`; options are `prefix`, `limit`, `cursor`."""
        given = options_of(options, named)
        query = {
            name: given[option]
            for option, name in (("limit", "key_count_limit"), ("prefix", "prefix"), ("cursor", "cursor"))
            if given.get(option) is not None
        }
        response = await self._call("GET", f"/?{urlencode(query)}")
        await _check("GET", response)
        found = from_js(orjson.loads(await response.bytes()))
        for key in found["keys"]:
            if isinstance(key.get("metadata"), str):
                key["metadata"] = from_js(orjson.loads(key["metadata"]))
        return JsDict({"cacheStatus": None, **found})

    async def _get_many(self, keys: list[str], options: dict[str, Any], *, with_metadata: bool) -> Any:
        sent: dict[str, Any] = {"keys": keys}
        if options.get("type"):
            sent["type"] = options["type"]
        if with_metadata:
            sent["withMetadata"] = True
        response = await self._call("POST", "/bulk/get", [("content-type", "application/json")], to_json(sent))
        await _check("GET_BULK", response)
        return from_js(orjson.loads(await response.bytes()))


def _typed(options: Any, named: dict[str, Any]) -> dict[str, Any]:
    return options_of({"type": options} if isinstance(options, str) else options, named)


def _path(method: str, key: str, query: dict[str, Any]) -> str:
    if key in ("", ".", ".."):
        said = "Key name cannot be empty." if not key else f'"{key}" is not allowed as a key name.'
        raise JsException(said, "TypeError")
    size = len(key.encode())
    if size > _LONGEST_KEY:
        raise JsException(
            f"KV {method} failed: 414 UTF-8 encoded length of {size} exceeds key length limit of {_LONGEST_KEY}."
        )
    return f"/{quote(key, safe='')}?{urlencode({'urlencoded': 'true', **query})}"


def _ascii(metadata: Any) -> str:
    """Return JSON that a header holds: letters beyond ASCII as escapes."""
    import json

    return json.dumps(orjson.loads(to_json(metadata)), separators=(",", ":"))


async def _check(method: str, response: Response) -> None:
    if not response.ok:
        raise JsException(f"KV {method} failed: {response.status} {(await response.text()).strip()}".rstrip())


async def _read(response: Response, kind: str) -> Any:
    match kind:
        case "text":
            return await response.text()
        case "json":
            return from_js(orjson.loads(await response.bytes()))
        case "arrayBuffer":
            return memoryview(await response.bytes())
        case "stream":
            return response.body
        case _:
            raise JsException(
                'Unknown response type. Possible types are "text", "arrayBuffer", "json", and "stream".', "TypeError"
            )
