"""What Workers' bindings call, as one app: `/{type}` before each path, `request.state.binding` says which resource.

There are no access rules here: `edgecli.workers.channel.Channel` is the only door.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from edgecli.ai.binding_routes import routes as ai_routes
from edgecli.d1.binding_routes import routes as d1_routes
from edgecli.documents.binding_routes import routes as documents_routes
from edgecli.envelope import to_json
from edgecli.kv.binding_routes import routes as kv_routes
from edgecli.r2.binding_routes import routes as r2_routes
from edgecli.vectorize.binding_routes import routes as vectorize_routes

if TYPE_CHECKING:
    from edgecli.runtime import Runtime


def create_channels(runtime: Runtime) -> Starlette:
    """Return the app that answers the bindings of one project's Workers."""
    routes: list[BaseRoute] = [
        *documents_routes(),
        *ai_routes(),
        *vectorize_routes(),
        *kv_routes(),
        *r2_routes(),
        *d1_routes(),
        Route("/browser/{path:path}", _no_browser, methods=["GET", "POST", "PUT", "DELETE"]),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _no_route})
    app.router.redirect_slashes = False
    app.state.runtime = runtime
    return app


async def _no_browser(request: Request) -> Response:
    """Answer as the binding's clients show it: they take the text of any status but 200."""
    name = request.state.binding.name
    return PlainTextResponse(
        f"edgecli has no browser for `env.{name}` yet. Leave it out, or deploy the Worker to Cloudflare to use it.",
        status_code=501,
    )


async def _no_route(request: Request, error: Exception) -> Response:
    """Answer in a form in which each binding finds its own fields."""
    assert isinstance(error, HTTPException)
    _, kind, *rest = request.url.path.split("/", 2)
    message = f"The `{kind}` binding has no {request.method} /{'/'.join(rest)} here."
    body = {
        "code": 7000,
        "error": message,
        "internalCode": 7000,
        "name": "InferenceUpstreamError",
        "description": message,
        "errors": [{"code": 7000, "message": message}],
    }
    return Response(to_json(body), status_code=error.status_code, media_type="application/json")
