"""D1's REST API, as Cloudflare's SDKs and wrangler's `d1` call it.

A database is there at its first query, whatever its id. Listed are those that were created, that have a file, or that
the project's configuration names. SQL may do what it may over a binding.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from typing import TYPE_CHECKING, Any, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from edgecli.d1 import statements
from edgecli.d1.binding_routes import described, read_queries
from edgecli.d1.database import D1Error, Query, Result
from edgecli.d1.service import DatabaseInfo
from edgecli.envelope import ok, read_body, read_json
from edgecli.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from edgecli.d1.service import D1Service

MAX_NAME = 64
MAX_IMPORT = 100 << 20
"""Bytes of a file that is imported."""
UPLOADS = 4
"""Files that wait to be imported, at most; the oldest makes room."""
_DATABASES = "/client/v4/accounts/{account_id}/d1/database"
_DATABASE = _DATABASES + "/{database}"


def routes() -> list[BaseRoute]:
    """Return the routes."""
    imports = _Imports()
    return [
        Route(_DATABASES, _list, methods=["GET"]),
        Route(_DATABASES, _create, methods=["POST"]),
        Route(_DATABASE, _show, methods=["GET"]),
        Route(_DATABASE, _delete, methods=["DELETE"]),
        Route(_DATABASE + "/query", _query, methods=["POST"]),
        Route(_DATABASE + "/raw", _raw, methods=["POST"]),
        Route(_DATABASE + "/import", imports.act, methods=["POST"]),
        Route(_DATABASE + "/import/{file}", imports.upload, methods=["PUT"]),
    ]


def _service(request: Request) -> D1Service:
    return request.app.state.runtime.d1


def _known(request: Request) -> dict[str, DatabaseInfo]:
    named = request.app.state.runtime.project.d1_databases
    configured = {each.resource: DatabaseInfo(each.resource, each.database_name or each.binding) for each in named}
    found = _service(request).list()
    # A name that was made up from the file is worth less than the configuration's.
    return found | configured | {key: info for key, info in found.items() if info.created_at}


def _find(request: Request) -> DatabaseInfo | None:
    """Return the database of the path, which names it by its id or its name."""
    wanted, known = request.path_params["database"], _known(request)
    return known.get(wanted) or next((each for each in known.values() if each.name == wanted), None)


def _get(request: Request) -> DatabaseInfo:
    found = _find(request)
    if found is None:
        name = request.path_params["database"]
        raise NotFoundError(f"There is no D1 database `{name}`.", code="no_such_database", cf_code=7404)
    return found


def _id(request: Request) -> str:
    found = _find(request)
    return found.id if found else request.path_params["database"]


def _shown(request: Request, info: DatabaseInfo) -> dict[str, Any]:
    path = _service(request).path(info.id)
    return {
        "uuid": info.id,
        "name": info.name,
        "version": "production",
        "created_at": info.created_at,
        "file_size": path.stat().st_size if path.exists() else 0,
    }


async def _list(request: Request) -> Response:
    query = request.query_params
    found = sorted(_known(request).values(), key=lambda info: info.name)
    found = [info for info in found if query.get("name", "") in info.name]
    page, size = (_count(query.get(name), default) for name, default in (("page", 1), ("per_page", 1000)))
    shown = [_shown(request, info) for info in found[(page - 1) * size : page * size]]
    return ok(shown, info={"page": page, "per_page": size, "count": len(shown), "total_count": len(found)})


def _count(given: str | None, default: int) -> int:
    if given is None:
        return default
    if not given.isdecimal() or not 1 <= int(given) <= 10_000:
        raise UsageError(f"`{given}` is no number from 1 to 10000.", code="bad_page", cf_code=7400)
    return int(given)


async def _create(request: Request) -> Response:
    name = (await _object(request)).get("name")
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise UsageError(
            f"A database needs a `name` of up to {MAX_NAME} characters.", code="bad_database_name", cf_code=7400
        )
    return ok(_shown(request, _service(request).create(name)))


async def _show(request: Request) -> Response:
    return ok(_shown(request, _get(request)))


async def _delete(request: Request) -> Response:
    await _service(request).delete(_get(request).id)
    return ok(None)


async def _query(request: Request) -> Response:
    return await _run(request, "ARRAY_OF_OBJECTS")


async def _raw(request: Request) -> Response:
    return await _run(request, "ROWS_AND_COLUMNS")


async def _run(request: Request, form: str) -> Response:
    """Run the statements in one transaction, and answer with a result for each."""
    body = await read_json(request, required=True)
    batch = cast("dict[str, Any]", body).get("batch") if isinstance(body, dict) else None
    asked, _ = read_queries(body if batch is None else batch)
    queries = [each for query in asked for each in _each(query)]
    results = await _service(request).database(_id(request)).run(queries)
    return await asyncio.to_thread(lambda: ok([described(result, form) for result in results]))


def _each(query: Query) -> list[Query]:
    """Return a query for each statement; the last takes the parameters."""
    *others, last = statements.split(query.sql) or [query.sql]
    return [*(Query(statement) for statement in others), Query(last, query.params)]


async def _object(request: Request) -> dict[str, Any]:
    body = await read_json(request)
    if not isinstance(body, dict):
        raise UsageError("The body is no JSON object.", code="invalid_json", cf_code=7400)
    return cast("dict[str, Any]", body)


class _Imports:
    """`wrangler d1 execute --file`: it asks where the file goes, uploads it there, and has it run."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    async def act(self, request: Request) -> Response:
        body = await _object(request)
        match body.get("action"):
            case "init":
                return self._begin(request)
            case "ingest":
                return await self._ingest(request, str(body.get("filename")), str(body.get("etag")))
            case "poll":
                raise UsageError("No import is under way: `ingest` waits for its end.", code="no_import", cf_code=7400)
            case other:
                raise UsageError(f"`{other}` is no action of an import.", code="bad_import", cf_code=7400)

    def _begin(self, request: Request) -> Response:
        name = f"{secrets.token_urlsafe(24)}.sql"
        while len(self._files) >= UPLOADS:
            del self._files[next(iter(self._files))]
        self._files[name] = b""
        url = f"{str(request.base_url).rstrip('/')}{request.url.path}/{name}"
        return ok(_progress(filename=name, upload_url=url))

    async def upload(self, request: Request) -> Response:
        name = request.path_params["file"]
        if name not in self._files:
            raise NotFoundError("Nobody waits for this file.", code="no_import", cf_code=7404)
        self._files[name] = sql = bytes(await read_body(request, MAX_IMPORT))
        return Response(headers={"etag": f'"{hashlib.md5(sql, usedforsecurity=False).hexdigest()}"'})

    async def _ingest(self, request: Request, name: str, etag: str) -> Response:
        sql = self._files.pop(name, b"")
        if hashlib.md5(sql, usedforsecurity=False).hexdigest() != etag.strip('"'):
            raise UsageError("The file that came is another one.", hint="Try again.", code="bad_import", cf_code=7400)
        try:
            queries = await asyncio.to_thread(lambda: [Query(each) for each in statements.split(sql.decode())])
        except UnicodeDecodeError as error:
            raise D1Error(f"The file is no SQL in UTF-8: {error}.") from error
        if not queries:
            raise D1Error("No SQL statements detected.")
        results = await _service(request).database(_id(request)).run(queries)
        result = {"num_queries": len(results), "final_bookmark": f"{len(results):020d}", "meta": _sum(results)}
        return ok(_progress(status="complete", result=result))


def _progress(**facts: Any) -> dict[str, Any]:
    return {"success": True, "type": "import", "messages": [], "errors": [], "at_bookmark": "0", **facts}


def _sum(results: list[Result]) -> dict[str, Any]:
    changes = sum(result.changes for result in results)
    return {
        "served_by": "edgecli",
        "duration": sum(result.seconds for result in results) * 1000,
        "changes": changes,
        "changed_db": any(result.changed for result in results),
        "last_row_id": results[-1].last_row_id,
        "size_after": results[-1].size_after,
        "rows_read": sum(len(result.rows) for result in results),
        "rows_written": changes,
    }
