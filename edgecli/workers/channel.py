"""What a Worker's bindings call: the products' own channels, open to a Worker and to nobody else.

A request names its binding; which product and which resource that is, only the Worker's configuration says. Over HTTP
(workerd) the Worker shows its token, which edgecli injects and its code cannot forge; over its pipe (Python) the
process itself is known.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

if TYPE_CHECKING:
    from edgecli.workers.spec import Binding, WorkerSpec

TOKEN_HEADER = "x-edgecli-token"
BINDING_HEADER = "x-edgecli-binding"
GATEWAY_HEADER = "x-edgecli-gateway"
"""On what workerd's `fetch()` sends to the AI Gateway; its value is the Worker's token."""


def scope_for(scope: Scope, binding: Binding) -> Scope:
    """Return the scope in which the channels' app answers: `/ai/run` for the path `/run` of a binding of type `ai`.

    `request.state.binding` is the binding there; `raw_path` keeps the path as it was sent, for keys with `%2F`.
    """
    return {
        **scope,
        "path": f"/{binding.type}{scope['path']}",
        "root_path": "",
        "state": {**scope.get("state", {}), "binding": binding},
    }


class Channel:
    """The tokens of running Workers, and the way of their calls to the products' channels."""

    def __init__(self, app: ASGIApp) -> None:
        """`app` is the app that `server/channels.py` assembles of the products' binding routes."""
        self.app = app
        self._granted: dict[str, dict[str, Binding]] = {}

    def grant(self, spec: WorkerSpec) -> str:
        """Return a token with which the Worker's bindings, and only those, can be called."""
        token = secrets.token_urlsafe(32)
        self._granted[token] = {binding.name: binding for binding in spec.bindings}
        return token

    def withdraw(self, token: str) -> None:
        """Take a token back, when its Worker has ended."""
        self._granted.pop(token, None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that brings a Worker's token; the server hands over every request with `TOKEN_HEADER`."""
        headers = Headers(scope=scope)
        bindings = self._granted.get(headers.get(TOKEN_HEADER, ""), {})
        binding = bindings.get(headers.get(BINDING_HEADER, ""))
        if binding is None:
            message = "This channel is open to the Workers that run here, with their own token."
            body = {"code": 10000, "error": message, "errors": [{"code": 10000, "message": message}]}
            await JSONResponse(body, status_code=401)(scope, receive, send)
            return
        await self.app(scope_for(scope, binding), receive, send)
