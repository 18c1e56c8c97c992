"""`env.VECTORS`, as `cloudflare-internal:vectorize-api` calls it (contracts: vectorize.md 2)."""

from __future__ import annotations

from typing import Any

import orjson

from edgecli.workers.python.bindings.calling import Fetcher, options_of, to_json
from edgecli.workers.python.web.values import JsException, from_js


class Vectorize:
    """A vector index."""

    def __init__(self, call: Fetcher) -> None:
        self._call = call

    async def describe(self) -> Any:
        """Return what the index is and holds."""
        return await self._ask("INDEX_GET", "GET", "/info")

    async def query(self, vector: Any, options: Any = None, **named: Any) -> Any:
        """Return the nearest vectors."""
        return await self._query(options_of(options, named), "vector", _values(vector))

    async def queryById(self, vector_id: str, options: Any = None, **named: Any) -> Any:  # noqa: N802
        """Return the vectors nearest to one that is there."""
        return await self._query(options_of(options, named), "vectorId", vector_id)

    async def insert(self, vectors: list[Any]) -> Any:
        """Add vectors whose ids are new."""
        return await self._write("VECTOR_INSERT", "/insert", vectors)

    async def upsert(self, vectors: list[Any]) -> Any:
        """Add vectors, in place of those of the same id."""
        return await self._write("VECTOR_UPSERT", "/upsert", vectors)

    async def getByIds(self, ids: list[str]) -> Any:  # noqa: N802
        """Return vectors by their ids."""
        return await self._ask("VECTOR_GET", "POST", "/getByIds", to_json({"ids": list(ids)}))

    async def deleteByIds(self, ids: list[str]) -> Any:  # noqa: N802
        """Delete vectors by their ids."""
        return await self._ask("VECTOR_DELETE", "POST", "/deleteByIds", to_json({"ids": list(ids)}))

    async def _query(self, options: dict[str, Any], name: str, value: Any) -> Any:
        if isinstance(options.get("returnMetadata"), bool):
            options["returnMetadata"] = "all" if options["returnMetadata"] else "none"
        sent = {key: each for key, each in options.items() if each is not None}
        return await self._ask("VECTOR_QUERY", "POST", "/query", to_json({**sent, name: value}))

    async def _write(self, operation: str, path: str, vectors: list[Any]) -> Any:
        lines = [to_json({**each, "values": _values(each["values"])}) for each in vectors]
        width = len(vectors[0]["values"]) if vectors else 0
        headers = [
            ("content-type", "application/x-ndjson"),
            ("cf-vector-search-dim-width", str(width)),
            ("cf-vector-search-dim-height", str(len(lines))),
        ]
        return await self._ask(operation, "POST", path, b"\n".join(lines), headers)

    async def _ask(
        self, operation: str, method: str, path: str, body: bytes = b"", headers: list[tuple[str, str]] | None = None
    ) -> Any:
        response = await self._call(method, path, headers or [("content-type", "application/json")], body)
        data = await response.bytes()
        if response.status == 200:
            return from_js(orjson.loads(data))
        try:
            error = orjson.loads(data)
            said = f"{operation}_ERROR (code = {error['code']}): {error['error']}"
        except (ValueError, KeyError, TypeError):
            said = f"{operation}_ERROR: Status + {response.status}"
        raise JsException(said)


def _values(vector: Any) -> Any:
    return vector if isinstance(vector, list) or hasattr(vector, "tolist") else list(vector)
