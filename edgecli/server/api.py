"""Assemble the ASGI app from the products' routes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from edgecli import __version__
from edgecli.ai.routes import routes as ai_routes
from edgecli.ai.v1.failures import refused
from edgecli.ai.v1.routes import routes as ai_v1_routes
from edgecli.d1.routes import routes as d1_routes
from edgecli.envelope import ok, unexpected
from edgecli.errors import EdgeError, NotFoundError, UsageError
from edgecli.kv.routes import routes as kv_routes
from edgecli.models.routes import routes as models_routes
from edgecli.r2.routes import routes as r2_routes
from edgecli.rag.routes import routes as rag_routes
from edgecli.server.access import AccessRules
from edgecli.server.account_routes import routes as account_routes
from edgecli.server.metrics import metrics
from edgecli.vectorize.care_routes import routes as vectorize_care_routes
from edgecli.vectorize.routes import routes as vectorize_routes
from edgecli.workers.deployed.wrangler_routes import routes as wrangler_routes
from edgecli.workers.routes import routes as workers_routes

if TYPE_CHECKING:
    from edgecli.runtime import Runtime

log = logging.getLogger("edgecli.server")


async def health(request: Request) -> Response:
    del request
    return PlainTextResponse("ok\n")


async def status(request: Request) -> Response:
    runtime: Runtime = request.app.state.runtime
    project = runtime.project
    return ok(
        {
            "version": __version__,
            "project": str(project.root),
            "env": project.env,
            "models": await runtime.ai.loaded(),
        }
    )


async def forwarded_ai(request: Request) -> ASGIApp:
    """Answer what `wrangler dev` of version 3 forwards for the AI binding."""
    from edgecli.server.channels import ForwardedAi  # late: no command needs the channels

    return ForwardedAi(request.app.state.runtime)


def create_app(runtime: Runtime, *, public_token: str | None = None, loopback: bool = True) -> AccessRules:
    """Return the app that answers for one project."""
    routes: list[BaseRoute] = [
        # A Worker has the two short paths for itself.
        Route("/healthz", health),
        Route("/metrics", metrics),
        Route("/edge/healthz", health),
        Route("/edge/metrics", metrics),
        Route("/edge/status", status),
        *account_routes(),
        *workers_routes(),
        *wrangler_routes(),
        *kv_routes(),
        *r2_routes(),
        *d1_routes(),
        Route("/client/v4/accounts/{account}/ai/run/proxy", forwarded_ai, methods=["GET", "POST", "PATCH"]),
        *ai_routes(),
        *ai_v1_routes(),
        *vectorize_routes(),
        *vectorize_care_routes(),
        *models_routes(),
        *rag_routes(),
    ]
    app = Starlette(
        routes=routes,
        exception_handlers={EdgeError: _edge_error, HTTPException: _http_error, Exception: _unexpected_error},
    )
    app.router.redirect_slashes = False
    app.state.runtime = runtime
    return AccessRules(app, local_token=runtime.token, public_token=public_token, loopback=loopback)


async def _edge_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, EdgeError)
    return refused(error, request.url.path)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    if error.status_code == 404:
        missing = NotFoundError(
            f"No route for `{path}`.",
            hint="Below `/client/v4/accounts/<any id>` lie `/ai/run/<model>`, `/ai/v1` for clients of OpenAI "
            "(`base_url`), `/ai` for those of Anthropic, and `/vectorize/v2/indexes`.",
            code="no_route",
            cf_code=7000,
        )
        return refused(missing, path)
    if error.status_code == 405:
        problem = UsageError(
            f"`{path}` does not take {request.method}.",
            hint=f"It takes {allowed}." if (allowed := (error.headers or {}).get("Allow")) else None,
            code="method_not_allowed",
            cf_code=7001,
            status=405,
        )
        return refused(problem, path)
    return refused(UsageError(str(error.detail), status=error.status_code), path)


async def _unexpected_error(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return refused(unexpected(error), request.url.path)
