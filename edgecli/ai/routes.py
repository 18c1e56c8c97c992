"""Workers AI over HTTP: `ai/run` as Cloudflare has it, and what edgecli adds below `/edge/ai`."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from edgecli.envelope import ok, read_json, sse, while_connected
from edgecli.errors import UsageError
from edgecli.models.schema import Task

if TYPE_CHECKING:
    from edgecli.ai.service import AiService


def routes() -> list[BaseRoute]:
    """Return the routes of this product.

    Official clients send the id with `%2F` for its slashes, others as it is. The path arrives decoded: one
    pattern takes both.
    """
    return [
        Route("/client/v4/accounts/{account}/ai/run/{model:path}", run, methods=["POST"]),
        Route("/edge/ai/describe", describe),
    ]


async def run(request: Request) -> Response:
    """Run the model of the path on the body; `"stream": true` answers with Server-Sent Events."""
    inputs = await read_json(request)
    if not isinstance(inputs, dict):
        raise UsageError(
            f"AiError: Bad input: Error: Type mismatch of '/', '{type(inputs).__name__}' not in 'object'",
            code="bad_input",
        )
    service = _service(request)
    model: str = request.path_params["model"]
    response = await while_connected(request, _answer(service, model, inputs))
    response.headers["cf-ai-req-id"] = str(uuid.uuid4())
    return response


async def _answer(service: AiService, model: str, inputs: dict[str, Any]) -> Response:
    # A model that cannot stream answers as JSON, as Cloudflare's do; clients know both.
    if inputs.get("stream") is True and service.spec(model).task is Task.TEXT_GENERATION:
        return await sse(service.stream(model, inputs))
    return ok(await service.run(model, inputs))


async def describe(request: Request) -> Response:
    """`?model=` an id: its task and engine, and where it runs if it is loaded."""
    model = request.query_params.get("model")
    if not model:
        raise UsageError("The query parameter `model` is missing.", hint="Add `?model=<id>`.")
    return ok(_service(request).describe(model))


def _service(request: Request) -> AiService:
    return request.app.state.runtime.ai
