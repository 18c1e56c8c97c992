"""Who answers a request: the Workers' channel, the platform, or the Worker.

The platform's paths are guarded by AccessRules. The Worker's are open to everybody who reaches the socket, pages of
other origins and other hosts included, as a Worker in the cloud is: it has to guard itself, and sees `Host` and
`Origin` as they were sent.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from edgecli.workers.channel import TOKEN_HEADER
from edgecli.workers.process import WorkerError
from edgecli.workers.worker import Worker

PLATFORM = ("/client/v4/", "/edge/", "/_workers/")
SCHEDULED = "/__scheduled"
_TOKEN = TOKEN_HEADER.encode()


class Front:
    """The ASGI app at the socket."""

    def __init__(
        self, platform: ASGIApp, channel: ASGIApp, worker: Worker | None, *, test_scheduled: bool = False
    ) -> None:
        """`test_scheduled` runs the Worker's `scheduled` handler at `/__scheduled?cron=…`, as wrangler does."""
        self.platform = platform
        self.channel = channel
        self.worker = worker
        self.test_scheduled = test_scheduled

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and any(name == _TOKEN for name, _ in scope["headers"]):
            await self.channel(scope, receive, send)
        elif self.worker is None or scope["path"].startswith(PLATFORM):
            await self.platform(scope, receive, send)
        elif self.test_scheduled and scope["path"] == SCHEDULED:
            await (await _scheduled(self.worker, Request(scope)))(scope, receive, send)
        else:
            await self.worker.fetch(scope, receive, send)


async def _scheduled(worker: Worker, request: Request) -> Response:
    try:
        await worker.scheduled(request.query_params.get("cron", "* * * * *"))
    except WorkerError as error:
        return PlainTextResponse(f"{error.message}\n", status_code=error.status)
    return PlainTextResponse("Ran scheduled event\n")
