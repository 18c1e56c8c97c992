"""`env.DB`: SQL, as `cloudflare-internal:d1-api` calls it."""

from __future__ import annotations

from typing import Any

import orjson

from edgecli.workers.python.bindings.calling import Fetcher, options_of, to_json
from edgecli.workers.python.web.values import JsDict, JsException, from_js


class D1Database:
    """A database."""

    def __init__(self, call: Fetcher) -> None:
        self._call = call
        self._bookmark: str | None = None

    def prepare(self, query: str) -> D1PreparedStatement:
        """Return a statement; `?`, `?1` stand for what `bind` gives."""
        return D1PreparedStatement(self, query, [])

    async def batch(self, statements: list[D1PreparedStatement]) -> Any:
        """Run statements in one transaction."""
        results = await self.send("/query", [each.sent() for each in statements], "ROWS_AND_COLUMNS")
        for result in results:
            _check(result)
        return [_as_objects(each) for each in results]

    async def exec(self, query: str) -> JsDict:
        """Run statements, one a line, without parameters; returns `{count, duration}`."""
        lines = query.strip().split("\n")
        results = await self.send("/execute", [{"sql": line} for line in lines], "NONE")
        for number, (line, result) in enumerate(zip(lines, results, strict=False), 1):
            if result.get("error"):
                raise JsException(f"D1_EXEC_ERROR: Error in line {number}: {line}: {result['error']}")
        return JsDict(count=len(results), duration=sum(each.get("meta", {}).get("duration", 0) for each in results))

    async def dump(self) -> memoryview:
        """Return the database as a file of SQLite."""
        response = await self._call("POST", "/dump", [("content-type", "application/json")])
        if response.status != 200:
            raise JsException(f"D1_DUMP_ERROR: Status + {response.status}")
        return memoryview(await response.bytes())

    def withSession(self, _constraint: str | None = None) -> D1Database:  # noqa: N802
        """Return a session: the database itself, as there is one copy of it."""
        return D1Database(self._call)

    def getBookmark(self) -> str | None:  # noqa: N802
        """Return a mark of what this session has seen; None before its first query."""
        return self._bookmark

    async def send(self, path: str, query: Any, results_format: str) -> list[dict[str, Any]]:
        """Return the results of one statement or several, failed ones too. Raises JsException where there are none."""
        response = await self._call(
            "POST", f"{path}?resultsFormat={results_format}", [("content-type", "application/json")], to_json(query)
        )
        text = await response.text()
        try:
            answer = orjson.loads(text)
        except ValueError:
            raise JsException(f"D1_ERROR: Failed to parse body as JSON, got: {text}") from None
        self._bookmark = response.headers.get("x-cf-d1-session-commit-token") or "00000000-00000000-00000000-edgecli"
        return answer if isinstance(answer, list) else [answer]


class D1PreparedStatement:
    """A statement and its parameters."""

    def __init__(self, database: D1Database, statement: str, params: list[Any]) -> None:
        self._database = database
        self.statement = statement
        self.params = params

    def bind(self, *values: Any) -> D1PreparedStatement:
        """Return the statement with parameters. Raises JsException for a type that SQL does not hold."""
        return D1PreparedStatement(self._database, self.statement, [_parameter(each) for each in values])

    def sent(self) -> dict[str, Any]:
        """Return the statement as it goes over the wire."""
        return {"sql": self.statement, "params": self.params}

    async def _query(self) -> dict[str, Any]:
        results = await self._database.send("/query", self.sent(), "ROWS_AND_COLUMNS")
        return _check(results[0])

    async def all(self) -> Any:
        """Return `{success, results, meta}`, rows as dictionaries."""
        return _as_objects(await self._query())

    run = all

    async def first(self, column: str | None = None) -> Any:
        """Return the first row, or its `column`; None where there is none."""
        rows = (await self.all())["results"]
        if not rows:
            return None
        if column is None:
            return rows[0]
        if column not in rows[0]:
            raise JsException(f"D1_COLUMN_NOTFOUND: Column not found ({column})")
        return rows[0][column]

    async def raw(self, options: Any = None, **named: Any) -> list[Any]:
        """Return the rows as lists; with `columnNames` the names come first."""
        found = (await self._query()).get("results") or {"columns": [], "rows": []}
        if isinstance(found, list):
            found = {"columns": list(found[0]), "rows": [list(each.values()) for each in found]}
        names = [found["columns"]] if options_of(options, named).get("columnNames") else []
        return [*names, *found["rows"]]


def _parameter(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if value is None or isinstance(value, (int, float, str)):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return list(bytes(value))
    if isinstance(value, list) and all(isinstance(each, int) and 0 <= each < 256 for each in value):
        return value
    raise JsException(f"D1_TYPE_ERROR: Type '{type(value).__name__}' not supported for value '{value}'")


def _check(result: dict[str, Any]) -> dict[str, Any]:
    if result.get("error"):
        raise JsException(f"D1_ERROR: {result['error']}")
    return result


def _as_objects(result: dict[str, Any]) -> Any:
    found: Any = result.get("results") or []
    if isinstance(found, dict):
        found = [dict(zip(found["columns"], row, strict=False)) for row in found["rows"]]
    return from_js({"success": True, "meta": result.get("meta") or {}, "results": found})
