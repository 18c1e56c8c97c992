"""A small channel of all bindings, in memory: what KV, R2, D1, AI and Vectorize answer on workerd's wire.

It stands where the real products' routes will stand; tests use it through the fixture `channel` only.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

MODEL = "@cf/meta/llama-3.2-1b-instruct"
USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


class ChannelApp:
    """Answers `/{type}/...` as `scope_for` calls it."""

    def __init__(self) -> None:
        self.keys: dict[str, tuple[bytes, Any, int | None]] = {}
        self.objects: dict[str, tuple[bytes, dict[str, Any]]] = {}
        self.vectors: dict[str, dict[str, Any]] = {}
        self.database = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self.seen: list[Request] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        self.seen.append(request)
        assert request.state.binding.name
        kind = scope["path"].split("/")[1]
        answer = await getattr(self, f"_{kind}")(request, scope["raw_path"].decode())
        await answer(scope, receive, send)

    async def _ai(self, request: Request, path: str) -> Response:
        if path == "/run" or path == "/ai-gateway/run":
            if request.headers.get("content-type") != "application/json":
                body = await request.body()
                return JSONResponse({"bytes": len(body), "inputs": json.loads(request.query_params["userInputs"])})
            body = await request.json()
            model = request.headers["cf-consn-model-id"]
            if model != MODEL:
                error = {
                    "internalCode": 5007,
                    "name": "InferenceUpstreamError",
                    "description": f"No such model {model}",
                }
                return JSONResponse(error, 400)
            if body["inputs"].get("stream"):
                return StreamingResponse(self._pieces(), media_type="text/event-stream")
            answer = {"response": f"你好 {body['inputs']['prompt']}", "usage": USAGE, "options": body["options"]}
            return JSONResponse(answer, headers={"cf-ai-req-id": "req-1", "cf-aig-log-id": "log-1"})
        if path == "/ai-api/models/search":
            return JSONResponse({"result": [{"name": MODEL, "asked": dict(request.query_params)}]})
        if path == "/to-everything/markdown/transformer":
            files = (await request.json())["files"]
            return JSONResponse({"result": [{"name": each["name"], "data": each["data"]} for each in files]})
        if path.startswith("/ai-gateway/gateways/g"):
            if path.endswith("/logs/none"):
                return JSONResponse({"errors": [{"code": 7002, "message": "no such log"}]}, 404)
            return JSONResponse({"result": {"url": path, "id": "log"}})
        if path.startswith("/autorag/rags/missing"):
            return JSONResponse({"errors": [{"code": 7002, "message": "not there"}]}, 404)
        return JSONResponse({"result": {"response": "rag", "path": path, "asked": await request.json()}})

    @staticmethod
    async def _pieces() -> Any:
        for word in ("你", "好"):
            yield f"data: {json.dumps({'response': word})}\n\n"
        yield f"data: {json.dumps({'response': '', 'usage': USAGE})}\n\ndata: [DONE]\n\n"

    async def _vectorize(self, request: Request, path: str) -> Response:
        if path == "/info":
            return JSONResponse({"dimensions": 2, "vectorCount": len(self.vectors)})
        if path in ("/insert", "/upsert"):
            assert request.headers["content-type"] == "application/x-ndjson"
            lines = (await request.body()).split(b"\n")
            assert request.headers["cf-vector-search-dim-height"] == str(len(lines))
            self.vectors.update({each["id"]: each for each in map(json.loads, lines)})
            return JSONResponse({"mutationId": "m"})
        body = await request.json()
        if path == "/query":
            if len(body.get("vector", [0, 0])) != 2:
                return JSONResponse({"code": 40006, "error": "wrong dimensions"}, 400)
            matches = [
                {"id": name, "score": 1.0, "metadata": each.get("metadata")} for name, each in self.vectors.items()
            ]
            return JSONResponse({"count": len(matches), "matches": matches, "asked": body})
        if path == "/getByIds":
            return JSONResponse([self.vectors[each] for each in body["ids"] if each in self.vectors])
        for each in body["ids"]:
            self.vectors.pop(each, None)
        return JSONResponse({"mutationId": "d"})

    async def _kv(self, request: Request, path: str) -> Response:
        key, query = unquote(path[1:]), request.query_params
        if path == "/bulk/get":
            wanted = (await request.json())["keys"]
            return JSONResponse({each: self.keys[each][0].decode() if each in self.keys else None for each in wanted})
        if request.method == "GET" and not key:
            names = sorted(each for each in self.keys if each.startswith(query.get("prefix", "")))
            start, limit = int(query.get("cursor") or 0), int(query.get("key_count_limit") or 1000)
            shown = [self._entry(each) for each in names[start : start + limit]]
            more = len(names) > start + limit
            body = {"keys": shown, "list_complete": not more} | ({"cursor": str(start + limit)} if more else {})
            return JSONResponse(body)
        assert query["urlencoded"] == "true"
        if request.method == "PUT":
            metadata = request.headers.get("cf-kv-metadata")
            ttl = query.get("expiration_ttl") or query.get("expiration")
            self.keys[key] = (await request.body(), metadata and json.loads(metadata), ttl and int(ttl))  # pyright: ignore
            return Response()
        if request.method == "DELETE":
            self.keys.pop(key, None)
            return Response()
        if key not in self.keys:
            return Response("Not Found", 404)
        value, metadata, _ = self.keys[key]
        return Response(value, headers={"cf-kv-metadata": json.dumps(metadata)} if metadata is not None else {})

    def _entry(self, key: str) -> dict[str, Any]:
        _, metadata, expiration = self.keys[key]
        return {"name": key} | ({"metadata": metadata} if metadata else {}) | (
            {"expiration": expiration} if expiration else {}
        )  # fmt: skip

    async def _r2(self, request: Request, path: str) -> Response:
        assert path == "/"
        if request.method == "PUT":
            body = await request.body()
            size = int(request.headers["cf-r2-metadata-size"])
            asked, data = json.loads(body[:size]), body[size:]
        else:
            asked, data = json.loads(request.headers["cf-r2-request"]), b""
        assert asked["version"] == 1
        key = asked.get("object")
        match asked["method"]:
            case "put":
                if asked.get("onlyIf", {}).get("etagDoesNotMatch") == [{"type": "wildcard"}] and key in self.objects:
                    return self._r2_error(412, 10031, "precondition failed")
                known = {
                    "name": key, "version": "v", "size": str(len(data)), "etag": hashlib.md5(data).hexdigest(),
                    "uploaded": "1700000000000", "httpFields": asked.get("httpFields", {}),
                    "customFields": asked.get("customFields", []),
                }  # fmt: skip
                self.objects[key] = (data, known)
                return JSONResponse(known)
            case "delete":
                for each in asked.get("objects", [key]):
                    self.objects.pop(each, None)
                return JSONResponse({})
            case "list":
                names = sorted(each for each in self.objects if each.startswith(asked.get("prefix", "")))
                shown = names[: asked.get("limit", 1000)]
                found = {"objects": [self.objects[each][1] for each in shown], "truncated": len(names) > len(shown)}
                return self._r2_answer(found | ({"cursor": "c"} if found["truncated"] else {}))
            case method:
                if key not in self.objects:
                    return self._r2_error(404, 10007, "The specified key does not exist.")
                data, known = self.objects[key]
                if "range" in asked:
                    offset = int(asked["range"].get("offset", 0))
                    data = data[offset : offset + int(asked["range"].get("length", len(data)))]
                return self._r2_answer(known, data if method == "get" else b"")

    @staticmethod
    def _r2_answer(known: dict[str, Any], data: bytes = b"") -> Response:
        first = json.dumps(known).encode()
        return Response(first + data, headers={"cf-r2-metadata-size": str(len(first))})

    @staticmethod
    def _r2_error(status: int, code: int, message: str) -> Response:
        error = json.dumps({"version": 0, "v4code": code, "message": message})
        return Response(status_code=status, headers={"cf-r2-error": error})

    async def _d1(self, request: Request, path: str) -> Response:
        body = await request.json()
        with_rows = request.query_params["resultsFormat"] == "ROWS_AND_COLUMNS"
        results = [self._run(each, with_rows) for each in (body if isinstance(body, list) else [body])]
        return JSONResponse(results if isinstance(body, list) else results[0])

    def _run(self, statement: dict[str, Any], with_rows: bool) -> dict[str, Any]:
        params = [bytes(each) if isinstance(each, list) else each for each in statement.get("params") or []]
        try:
            cursor = self.database.execute(statement["sql"], params)
        except sqlite3.Error as error:
            return {"success": False, "error": f"{error}: SQLITE_ERROR"}
        rows = [[list(each) if isinstance(each, bytes) else each for each in row] for row in cursor.fetchall()]
        meta = {"duration": 0.1, "changes": max(cursor.rowcount, 0), "last_row_id": cursor.lastrowid or 0}
        columns = [each[0] for each in cursor.description or ()]
        return {"success": True, "meta": meta} | ({"results": {"columns": columns, "rows": rows}} if with_rows else {})
