"""Workers AI over HTTP: `ai/run` and the catalog as Cloudflare has them, and what edgecli adds below `/edge/ai`.

What reads and writes an API is imported when that API is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from edgecli.ai.loaded_routes import routes as loaded_routes
from edgecli.ai.run_routes import run, run_named
from edgecli.envelope import ok
from edgecli.errors import UsageError

if TYPE_CHECKING:
    from edgecli.ai.service import AiService
    from edgecli.models.schema import ModelSpec

BASE = "/client/v4/accounts/{account}/ai"


def routes() -> list[BaseRoute]:
    """Return the routes of this product.

    Official clients send the id with `%2F` for its slashes, others as it is. The path arrives decoded, once: one
    pattern that takes slashes takes both.
    """
    return [
        Route(f"{BASE}/run", run_named, methods=["POST"]),
        Route(f"{BASE}/run/{{model:path}}", run, methods=["POST"]),
        Route(f"{BASE}/models/search", search_models),
        Route(f"{BASE}/models/schema", schema),
        Route(f"{BASE}/tasks/search", tasks),
        Route(f"{BASE}/authors/search", authors),
        Route("/edge/ai/describe", describe),
        *loaded_routes(),
    ]


async def search_models(request: Request) -> Response:
    """List models, a page at a time: see `ModelSearch` for the query."""
    from edgecli.ai.search import read_query, search

    found, info = search(_models(request), read_query(request.query_params))
    return ok(found, info=info)


async def schema(request: Request) -> Response:
    """`?model=` an id: the JSON Schemas of what it takes and gives."""
    from edgecli.ai.schemas import schema_of

    return ok(schema_of(_service(request), _asked(request)))


async def tasks(request: Request) -> Response:
    """List the tasks."""
    from edgecli.ai.catalog_items import TASKS, task_item

    del request
    return ok([task_item(task) for task in TASKS])


async def authors(request: Request) -> Response:
    """List who made the models."""
    from edgecli.ai.catalog_items import author_item, author_of

    return ok([author_item(name) for name in sorted({author_of(spec) for spec in _models(request)})])


async def describe(request: Request) -> Response:
    """`?model=` an id: its task and engine, and where it runs if it is loaded."""
    return ok(_service(request).describe(_asked(request)))


def _asked(request: Request) -> str:
    model = request.query_params.get("model")
    if not model:
        raise UsageError("The query parameter `model` is missing.", hint="Add `?model=<id>`.")
    return model


def _models(request: Request) -> list[ModelSpec]:
    return request.app.state.runtime.models.catalog.list()


def _service(request: Request) -> AiService:
    return request.app.state.runtime.ai
