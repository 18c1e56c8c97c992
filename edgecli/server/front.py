"""Who answers a request: the Workers' channel, the platform, or the Worker.

The platform's paths are guarded by AccessRules. The Worker's are open to everybody who reaches the socket, pages of
other origins and other hosts included, as a Worker in the cloud is: it has to guard itself, and sees `Host` and
`Origin` as they were sent.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from edgecli.ai.v1.failures import refused
from edgecli.errors import EdgeError
from edgecli.workers.channel import GATEWAY_HEADER, TOKEN_HEADER
from edgecli.workers.deployed.service import DeployedWorkers
from edgecli.workers.process import WorkerError
from edgecli.workers.worker import Worker

PLATFORM = ("/client/v4/", "/edge/")
DEPLOYED = "/_workers/"
DEPLOYED_HOST = ".localhost"
"""`NAME.localhost` is this machine in every browser; there a deployed Worker has all paths for itself."""
SCHEDULED = ("/__scheduled", "/cdn-cgi/handler/scheduled")
"""As wrangler has them, the older and the newer one."""
NO_GATEWAY = {
    "success": False,
    "result": [],
    "messages": [],
    "error": [{"code": 2001, "message": "edgecli has no AI Gateway yet: call env.AI.run, or the provider itself."}],
}
"""In the form of the AI Gateway's own errors."""
_TOKEN, _GATEWAY = TOKEN_HEADER.encode(), GATEWAY_HEADER.encode()


class Front:
    """The ASGI app at the socket."""

    def __init__(
        self,
        platform: ASGIApp,
        channel: ASGIApp,
        worker: Worker | None,
        deployed: DeployedWorkers,
        *,
        test_scheduled: bool = False,
    ) -> None:
        """`test_scheduled` runs the Worker's `scheduled` handler at `SCHEDULED`, as wrangler does."""
        self.platform = platform
        self.channel = channel
        self.worker = worker
        self.deployed = deployed
        self.test_scheduled = test_scheduled

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and any(name == _TOKEN for name, _ in scope["headers"]):
            await self.channel(scope, receive, send)
        elif scope["type"] == "http" and any(name == _GATEWAY for name, _ in scope["headers"]):
            await JSONResponse(NO_GATEWAY, status_code=502)(scope, receive, send)
        elif (found := _deployed(scope)) is not None:
            try:
                await self.deployed.fetch(*found, receive, send)
            except EdgeError as error:
                await refused(error, scope["path"])(scope, receive, send)
        elif self.worker is None or scope["path"].startswith(PLATFORM):
            await self.platform(scope, receive, send)
        elif self.test_scheduled and scope["path"] in SCHEDULED:
            await (await _scheduled(self.worker, Request(scope)))(scope, receive, send)
        else:
            await self.worker.fetch(scope, receive, send)


def _deployed(scope: Scope) -> tuple[str, Scope] | None:
    """Return the deployed Worker that a request is for, and the scope that it sees."""
    if scope["type"] not in {"http", "websocket"}:
        return None
    host = Headers(scope=scope).get("host", "").partition(":")[0].lower()
    if host.endswith(DEPLOYED_HOST) and "." not in (name := host.removesuffix(DEPLOYED_HOST)):
        return name, scope
    if not scope["path"].startswith(DEPLOYED):
        return None
    name, _, rest = scope["path"].removeprefix(DEPLOYED).partition("/")
    raw = scope.get("raw_path") or scope["path"].encode()
    return name, {**scope, "path": f"/{rest}", "raw_path": b"/" + b"/".join(raw.split(b"/")[3:])}


async def _scheduled(worker: Worker, request: Request) -> Response:
    try:
        await worker.scheduled(request.query_params.get("cron", "* * * * *"))
    except WorkerError as error:
        return PlainTextResponse(f"{error.message}\n", status_code=error.status)
    return PlainTextResponse("Ran scheduled event\n")
