"""What Workers' bindings call, as one app: `/{type}` before each path, `request.state.binding` says which resource.

There are no access rules here: `edgecli.workers.channel.Channel` is the only door.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from edgecli.ai.binding_routes import routes as ai_routes
from edgecli.d1.binding_routes import routes as d1_routes
from edgecli.documents.binding_routes import routes as documents_routes
from edgecli.envelope import to_json
from edgecli.kv.binding_routes import routes as kv_routes
from edgecli.r2.binding_routes import routes as r2_routes
from edgecli.vectorize.binding_routes import routes as vectorize_routes
from edgecli.workers.spec import Binding

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
    return _app(runtime, routes)


def _app(runtime: Runtime, routes: list[BaseRoute]) -> Starlette:
    app = Starlette(routes=routes, exception_handlers={HTTPException: _no_route})
    app.router.redirect_slashes = False
    app.state.runtime = runtime
    return app


class ForwardedAi:
    """`/ai/run/proxy` of the public API: a call of the AI binding in which a header has the binding's own URL.

    `wrangler dev` of version 3 runs a Worker on its own workerd and sends the calls of `env.AI` here.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._app = _app(runtime, [*documents_routes(), *ai_routes()])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        url = urlsplit(Headers(scope=scope).get("x-forwarded", ""))
        forwarded = {
            **scope,
            "path": f"/ai{url.path}",
            "raw_path": url.path.encode(),
            "query_string": url.query.encode(),
            "root_path": "",
            "state": {"binding": Binding("AI", "ai")},
        }
        await self._app(forwarded, receive, send)


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
