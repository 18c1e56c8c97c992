"""The loaded models over HTTP, below `/edge/ai`: what runs where, loading and unloading."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from edgecli.ai.keep_alive import read_keep_alive
from edgecli.envelope import ok, read_json
from edgecli.errors import UsageError

if TYPE_CHECKING:
    from edgecli.ai.service import AiService


def routes() -> list[BaseRoute]:
    """Return the routes."""
    return [
        Route("/edge/ai/loaded", loaded),
        Route("/edge/ai/load", load, methods=["POST"]),
        Route("/edge/ai/unload", unload, methods=["POST"]),
    ]


async def loaded(request: Request) -> Response:
    """List the loaded models: device, context, slots in use, and how long they stay."""
    return ok(await _service(request).loaded())


async def load(request: Request) -> Response:
    """`{"model": id, "keep_alive": seconds | "5m" | null}`: load a model now."""
    body = await _object(request)
    return ok(await _service(request).load(_model(body), keep_alive=read_keep_alive(body.get("keep_alive"))))


async def unload(request: Request) -> Response:
    """`{"model": id}`: unload it, whoever uses it."""
    model = _model(await _object(request))
    return ok({"id": model, "unloaded": await _service(request).unload(model)})


async def _object(request: Request) -> dict[str, Any]:
    body: Any = await read_json(request)
    if not isinstance(body, dict):
        raise UsageError("The body is no JSON object.", hint='Send `{"model": "<id>"}`.')
    return body


def _model(body: dict[str, Any]) -> str:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise UsageError("`model` is missing.", hint='Send `{"model": "<id>"}`.')
    return model


def _service(request: Request) -> AiService:
    return request.app.state.runtime.ai
