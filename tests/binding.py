"""Workers' bindings behind a real socket: the channels with their door, and the public API beside them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from edgecli import config
from edgecli.runtime import Runtime
from edgecli.server.api import create_app
from edgecli.server.channels import create_channels
from edgecli.workers.channel import BINDING_HEADER, TOKEN_HEADER, Channel
from edgecli.workers.spec import Binding, WorkerSpec


class Bound:
    """A running server, and a Worker's token."""

    def __init__(self, root: Path, address: str, runtime: Runtime, channel: Channel, clients: ExitStack) -> None:
        self.root = root
        self.address = address
        self.runtime = runtime
        self.channel = channel
        self.token = ""
        self._clients = clients
        self._own = self._client({"authorization": f"Bearer {runtime.token}"})

    def grant(self, *bindings: Binding, name: str = "worker") -> str:
        """Return the token of a Worker with these bindings."""
        return self.channel.grant(WorkerSpec(name, self.root, self.root / "worker.js", bindings))

    def binding(self, name: str, token: str | None = None) -> httpx.Client:
        """Return a client that calls as a binding does."""
        return self._client({TOKEN_HEADER: self.token if token is None else token, BINDING_HEADER: name})

    def _client(self, headers: dict[str, str]) -> httpx.Client:
        return self._clients.enter_context(httpx.Client(base_url=self.address, headers=headers, timeout=120))

    def post(self, path: str, **options: Any) -> httpx.Response:
        """Call the public API."""
        return self._own.post(path, **options)

    def get(self, path: str) -> httpx.Response:
        """Call the public API."""
        return self._own.get(path)


@contextmanager
def serve(root: Path, bindings: Sequence[Binding], settings: str = "") -> Generator[Bound]:
    """Serve a project in `root` to a Worker with these bindings."""
    (root / "wrangler.toml").write_text(f'name = "test"\n{settings}\n', encoding="utf-8")
    runtime = Runtime(config.load_project(cwd=root, config=None, env=None))
    channel, public = Channel(create_channels(runtime)), create_app(runtime)

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        await (channel if TOKEN_HEADER in Headers(scope=scope) else public)(scope, receive, send)

    server = uvicorn.Server(uvicorn.Config(front, port=0, log_level="warning", lifespan="off"))  # pyright: ignore

    async def run() -> None:
        try:
            await server.serve()
        finally:
            await runtime.close()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            thread.join(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        with ExitStack() as clients:
            bound = Bound(root, f"http://127.0.0.1:{port}", runtime, channel, clients)
            bound.token = bound.grant(*bindings)
            yield bound
    finally:
        server.should_exit = True
        thread.join()
