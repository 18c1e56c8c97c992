"""edgecli's own paths for documents: ingest, query, ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from edgecli.envelope import ndjson, ok, read_json, sse, while_connected
from edgecli.rag.schema import AskRequest, IngestRequest, QueryRequest, parse

if TYPE_CHECKING:
    from edgecli.runtime import Runtime


def routes() -> list[BaseRoute]:
    """Return this product's routes."""
    return [
        Route("/edge/ingest", ingest, methods=["POST"]),
        Route("/edge/query", query, methods=["POST"]),
        Route("/edge/ask", ask, methods=["POST"]),
    ]


async def ingest(request: Request) -> Response:
    runtime: Runtime = request.app.state.runtime
    return await ndjson(runtime.ingest.run(parse(IngestRequest, await read_json(request))))


async def query(request: Request) -> Response:
    runtime: Runtime = request.app.state.runtime
    result = await runtime.retrieval.query(parse(QueryRequest, await read_json(request)))
    return ok(result.model_dump())


async def ask(request: Request) -> Response:
    runtime: Runtime = request.app.state.runtime
    body: AskRequest = parse(AskRequest, await read_json(request))
    return await while_connected(request, _answer(runtime, body))


async def _answer(runtime: Runtime, body: AskRequest) -> Response:
    if body.stream:
        return await sse(runtime.answers.stream(body))
    return ok((await runtime.answers.ask(body)).model_dump())
