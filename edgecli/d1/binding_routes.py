"""What a Worker's D1 binding calls: `POST /query` and `POST /execute`.

Source: workerd's `d1-api.ts`. A call is one query or a batch, which is one transaction; an error is told by its field
`error`, whatever the status.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from edgecli.d1 import statements
from edgecli.d1.database import D1Error, Query, Result, Value
from edgecli.envelope import in_form, read_json, to_json
from edgecli.errors import EdgeError, NotFoundError

if TYPE_CHECKING:
    from edgecli.d1.service import D1Service

Format = Literal["ROWS_AND_COLUMNS", "ARRAY_OF_OBJECTS", "NONE"]
_BOOKMARK = "x-cf-d1-session-commit-token"
_LARGEST = 2**63


class _Query(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    sql: str
    params: list[bool | int | float | str | list[int] | None] | None = None


_BODY: TypeAdapter[_Query | list[_Query]] = TypeAdapter(_Query | list[_Query])


def routes() -> list[BaseRoute]:
    """Return the binding's routes."""
    return [
        Route("/d1/query", in_form(_run, _failed), methods=["POST"]),
        Route("/d1/execute", in_form(_execute, _failed), methods=["POST"]),
        Route("/d1/dump", in_form(_dump, _failed), methods=["POST"]),
    ]


def _failed(error: EdgeError) -> Response:
    return _json(_failure(error), status=error.status)


def _failure(error: EdgeError) -> dict[str, Any]:
    return {"success": False, "error": error.advice, "meta": {}}


def _json(body: Any, *, status: int = 200) -> Response:
    # Bookmarks are compared as texts; here every read sees every write that was answered.
    headers = {_BOOKMARK: f"{time.time_ns():020d}"}
    return Response(to_json(body), status_code=status, headers=headers, media_type="application/json")


async def _execute(request: Request) -> Response:
    """Run lines of SQL, or a statement; a line that fails is told by its place, and none has had an effect."""
    try:
        return await _run(request)
    except D1Error as error:
        if error.query == 0:
            raise
        before = [{"success": True, "meta": {"duration": 0}}] * error.query
        return _json([*before, _failure(error)], status=error.status)


async def _run(request: Request) -> Response:
    service: D1Service = request.app.state.runtime.d1
    queries, batch = read_queries(await read_json(request, required=True))
    results = await service.database(request.state.binding.resource).run(queries)
    form = request.query_params.get("resultsFormat", "ARRAY_OF_OBJECTS")

    def answer() -> Response:
        answers = [described(result, form) for result in results]
        return _json(answers if batch else answers[0])

    return await asyncio.to_thread(answer)  # of millions of bytes in blobs it takes a while


async def _dump(request: Request) -> Response:
    del request
    raise NotFoundError("`dump()` is of D1's alpha databases, which there are none of.", status=404)


def read_queries(body: Any) -> tuple[list[Query], bool]:
    """Return the queries, and whether they came as a batch. Raises D1Error."""
    try:
        read = _BODY.validate_python(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = "/".join(str(part) for part in first["loc"] if part not in {"_Query", "list[_Query]"})
        raise D1Error(f"The body is no query: `/{where}`: {first['msg']}.") from error
    batch = isinstance(read, list)
    queries = read if isinstance(read, list) else [read]
    if not any(statements.split(query.sql) for query in queries):
        raise D1Error("No SQL statements detected.")
    return [Query(query.sql, [_param(value) for value in query.params or ()]) for query in queries], batch


def _param(value: bool | int | float | str | list[int] | None) -> Value:
    if isinstance(value, list):
        try:
            return bytes(value)
        except ValueError as error:
            raise D1Error("A blob is an array of numbers from 0 to 255.") from error
    if isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        return float(value)
    return value


def described(result: Result, form: str) -> dict[str, Any]:
    """Return a result as clients take it; `form` is one of `Format`."""
    meta = {
        "served_by": "edgecli",
        "duration": result.seconds * 1000,
        "changes": result.changes,
        "last_row_id": result.last_row_id,
        "changed_db": result.changed,
        "size_after": result.size_after,
        "rows_read": len(result.rows),  # SQLite's Python module does not tell how many rows a query went over
        "rows_written": result.changes,
    }
    answer: dict[str, Any] = {"success": True, "meta": meta}
    rows = [[list(value) if isinstance(value, bytes) else value for value in row] for row in result.rows]
    if form == "ROWS_AND_COLUMNS":
        answer["results"] = {"columns": result.columns, "rows": rows}
    elif form != "NONE":
        answer["results"] = [dict(zip(result.columns, row, strict=True)) for row in rows]
    return answer
