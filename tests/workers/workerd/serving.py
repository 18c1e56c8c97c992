"""A Worker on a real workerd beside a real edge server on loopback, whose channels are a small app."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from edgecli.config.settings import WorkersSettings
from edgecli.workers.channel import GATEWAY_HEADER, TOKEN_HEADER, Channel
from edgecli.workers.journal import Journal
from edgecli.workers.spec import Binding, WorkerSpec
from edgecli.workers.workerd.host import WorkerdProcess


def small_channels(calls: list[dict[str, Any]]) -> ASGIApp:
    """Return channels that answer what they were asked, in the wire forms of the products; `calls` notes all."""
    stored: dict[str, tuple[bytes, str | None]] = {}

    async def note(request: Request) -> bytes:
        body = await request.body()
        binding = request.state.binding
        calls.append(
            {
                "binding": binding.name,
                "resource": binding.resource,
                "method": request.method,
                "path": request.scope["path"],
                "query": dict(request.query_params),
                "headers": dict(request.headers),
                "body": body.decode("utf-8", "replace"),
            }
        )
        return body

    async def run(request: Request) -> Response:
        asked = json.loads(await note(request))
        if request.headers["cf-consn-model-id"] == "@cf/none":
            body = {"internalCode": 5007, "name": "InferenceUpstreamError", "description": "No such model 没有"}
            return JSONResponse(body, 400)
        if asked["inputs"].get("stream"):

            async def pieces() -> AsyncIterator[bytes]:
                for word in ("你", "好", "！"):
                    yield b"data: " + json.dumps({"response": word}).encode() + b"\n\n"
                    await asyncio.sleep(0.15)
                yield b"data: [DONE]\n\n"

            return StreamingResponse(pieces(), media_type="text/event-stream")
        if "text" in asked["inputs"]:
            texts = asked["inputs"]["text"]
            return JSONResponse({"shape": [len(texts), 2], "data": [[0.5, 0.25] for _ in texts]})
        return JSONResponse({"response": f"{asked['inputs']['messages'][-1]['content']}!"})

    async def upsert(request: Request) -> Response:
        await note(request)
        return JSONResponse({"mutationId": "m1"})

    async def query(request: Request) -> Response:
        await note(request)
        metadata = {"text": "退款三十天", "lang": "zh"}
        return JSONResponse({"count": 1, "matches": [{"id": "a", "score": 0.75, "metadata": metadata}]})

    async def kv(request: Request) -> Response:
        body = await note(request)
        key = request.path_params["key"]
        if key == "refused":
            return PlainTextResponse("Invalid expiration_ttl of 5.\n退", status_code=400)
        if request.method == "PUT":
            stored[key] = (body, request.headers.get("cf-kv-metadata"))
            return Response(status_code=200)
        return Response(stored[key][0]) if key in stored else Response(status_code=404)

    async def d1(request: Request) -> Response:
        body = await note(request)
        statement = json.loads(body)
        statement = statement[0] if isinstance(statement, list) else statement
        results = {"columns": ["name"], "rows": [[statement["params"][0]]]}
        return JSONResponse([{"success": True, "results": results, "meta": {"duration": 0.1}}])

    async def search(request: Request) -> Response:
        asked = json.loads(await note(request))
        return JSONResponse({"success": True, "result": {"search_query": asked["query"], "chunks": []}})

    async def gateway_log(request: Request) -> Response:
        await note(request)
        return JSONResponse({"success": True, "result": {"id": request.path_params["log"], "created_at": "2026-01-02"}})

    async def browser(request: Request) -> Response:
        await note(request)
        return JSONResponse({"sessionId": "s1"})

    return Starlette(
        routes=[
            Route("/ai/run", run, methods=["POST"]),
            Route("/ai/ai-search/namespaces/default/instances/{name}/search", search, methods=["POST"]),
            Route("/ai/ai-gateway/gateways/{id}/logs/{log}", gateway_log),
            Route("/vectorize/upsert", upsert, methods=["POST"]),
            Route("/vectorize/query", query, methods=["POST"]),
            Route("/kv/{key:path}", kv, methods=["GET", "PUT"]),
            Route("/d1/query", d1, methods=["POST"]),
            Route("/browser/v1/devtools/browser", browser, methods=["POST"]),
        ]
    )


class EdgeServer:
    """The edge server as a Worker meets it: the channels, the gateway, and the platform's own paths."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.gateway_calls: list[tuple[str, str]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if TOKEN_HEADER in headers:
            await self.channel(scope, receive, send)
        elif GATEWAY_HEADER in headers:
            self.gateway_calls.append((headers["host"], scope["path"]))
            await JSONResponse({"choices": []})(scope, receive, send)
        else:
            await JSONResponse({"platform": scope["path"], "host": headers["host"]})(scope, receive, send)


BINDINGS = (
    Binding("AI", "ai"),
    Binding("VECTORS", "vectorize", "docs"),
    Binding("KV", "kv", "notes"),
    Binding("DB", "d1", "app"),
    Binding("BROWSER", "browser"),
)


@dataclass
class Place:
    """Where Workers run in a test."""

    edge: EdgeServer
    address: str
    listener: socket.socket
    http: httpx2.AsyncClient
    calls: list[dict[str, Any]]
    journal: Journal = field(default_factory=Journal)
    processes: list[WorkerdProcess] = field(default_factory=list[WorkerdProcess])

    @property
    def port(self) -> int:
        return self.listener.getsockname()[1]

    def make(
        self,
        spec: WorkerSpec,
        *,
        settings: WorkersSettings | None = None,
        traces: bool = True,
        offline: bool = False,
        public: bool = True,
    ) -> WorkerdProcess:
        process = WorkerdProcess(
            spec,
            edge_address=self.address,
            token=self.edge.channel.grant(spec),
            journal=self.journal,
            settings=settings or WorkersSettings(),
            listener=self.listener if public else None,
            offline=offline,
            traces=traces,
        )
        self.processes.append(process)
        return process

    async def start(self, spec: WorkerSpec, **options: Any) -> WorkerdProcess:
        process = self.make(spec, **options)
        await process.start()
        return process

    async def events(self, count: int = 1, **wanted: Any) -> list[dict[str, Any]]:
        """Wait until the journal has `count` events with these values, at the top of their JSON."""
        found: list[dict[str, Any]] = []

        def come() -> bool:
            events = [each.to_dict() for each in self.journal.last]
            found[:] = [each for each in events if all(each[key] == value for key, value in wanted.items())]
            return len(found) >= count

        await until(come)
        return found


async def until(true: Callable[[], bool]) -> None:
    """Wait until something has become true."""
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def place() -> AsyncIterator[Place]:
    """Serve an edge server, hold a public socket, and end what was started."""
    calls: list[dict[str, Any]] = []
    edge = EdgeServer(Channel(small_channels(calls)))
    inner = socket.create_server(("127.0.0.1", 0))
    inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server = uvicorn.Server(uvicorn.Config(edge, log_level="warning", lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[inner]))
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with httpx2.AsyncClient(base_url=base, timeout=30, trust_env=False) as http:
        made = Place(edge, f"127.0.0.1:{inner.getsockname()[1]}", listener, http, calls)
        try:
            yield made
        finally:
            for process in made.processes:
                await process.stop(grace=1)
            listener.close()
            server.should_exit = True
            await serving


def write(root: Path, files: dict[str, str | bytes]) -> Path:
    """Write files below a folder."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def spec_of(root: Path, main: str = "src/index.ts", **more: Any) -> WorkerSpec:
    """Return a Worker with all bindings."""
    given: dict[str, Any] = {"bindings": BINDINGS, "compatibility_date": "2026-03-01"} | more
    return WorkerSpec("test", root, root / main, **given)
