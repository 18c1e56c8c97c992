"""Models over HTTP, below `/edge/models`: edgecli's own paths, as Cloudflare has none for files."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from edgecli.envelope import ndjson, ok, read_json
from edgecli.errors import UsageError

if TYPE_CHECKING:
    from edgecli.models.service import ModelsService


def routes() -> list[BaseRoute]:
    """Return the routes of this product."""
    return [
        Route("/edge/models", list_models),
        Route("/edge/models/search", search),
        Route("/edge/models/show", show),
        Route("/edge/models/path", path),
        Route("/edge/models/pull", pull, methods=["POST"]),
        Route("/edge/models/verify", verify, methods=["POST"]),
        Route("/edge/models/remove", remove, methods=["POST"]),
    ]


async def list_models(request: Request) -> Response:
    """`?task=` one task only; `?installed=true` only what is on this machine."""
    query = request.query_params
    installed = query.get("installed", "").lower() in {"1", "true", "yes"}
    models = await _service(request).list(query.get("task"), installed_only=installed)
    return ok([model.to_dict() for model in models])


async def search(request: Request) -> Response:
    """`?q=` words that the models hold."""
    return ok([model.to_dict() for model in await _service(request).search(_asked(request, "q"))])


async def show(request: Request) -> Response:
    """`?model=` an id."""
    return ok((await _service(request).show(_asked(request, "model"))).to_dict())


async def path(request: Request) -> Response:
    """`?model=` an id."""
    model = _asked(request, "model")
    return ok({"id": model, "path": str(await _service(request).path(model))})


async def pull(request: Request) -> Response:
    """`{"models": [...] | null, "offline": bool}`; null is what the project needs. Answers with NDJSON."""
    body = await _object(request)
    models = _ids(body)
    service = _service(request)
    if models is None:
        models = [spec.requested_id or spec.id for spec in service.required(request.app.state.runtime.project)]
    steps = service.pull(models, offline=body.get("offline") is True)

    async def events() -> AsyncGenerator[dict[str, Any]]:
        async with aclosing(steps):
            async for step in steps:
                yield step.to_dict()

    return await ndjson(events())


async def verify(request: Request) -> Response:
    """`{"models": [...] | null}`; null is all that is installed."""
    outcomes = await _service(request).verify(_ids(await _object(request)))
    return ok([outcome.to_dict() for outcome in outcomes])


async def remove(request: Request) -> Response:
    """`{"model": id}`."""
    model = (await _object(request)).get("model")
    if not isinstance(model, str) or not model:
        raise UsageError(f"`model` is {model!r}; a model id was expected.", hint='Send `{"model": "@cf/baai/bge-m3"}`.')
    return ok((await _service(request).remove(model)).to_dict())


def _service(request: Request) -> ModelsService:
    return request.app.state.runtime.models


def _asked(request: Request, name: str) -> str:
    value = request.query_params.get(name, "").strip()
    if not value:
        raise UsageError(
            f"`{request.url.path}` needs the query parameter `{name}`.", hint=f"Add `?{name}=…` to the path."
        )
    return value


async def _object(request: Request) -> dict[str, Any]:
    body = await read_json(request, limit=1 << 20)
    if not isinstance(body, dict):
        raise UsageError(
            f"The request body is a JSON {type(body).__name__}; an object was expected.", hint="Send `{…}`."
        )
    return cast("dict[str, Any]", body)


def _ids(body: dict[str, Any]) -> list[str] | None:
    models = body.get("models")
    if models is None:
        return None
    if not isinstance(models, list) or not all(isinstance(each, str) for each in cast("list[Any]", models)):
        raise UsageError(
            f"`models` is {models!r}; a list of model ids was expected.",
            hint='Send `{"models": ["@cf/baai/bge-m3"]}`, or null for those that the project needs.',
        )
    return cast("list[str]", models)
