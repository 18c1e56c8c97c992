"""A small channel in memory: what AI and Vectorize answer on workerd's wire, without models and indexes."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

MODEL = "@cf/meta/llama-3.2-1b-instruct"
USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


class ChannelApp:
    """Answers `/{type}/...` as `scope_for` calls it."""

    def __init__(self) -> None:
        self.vectors: dict[str, dict[str, Any]] = {}
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
