"""The whole app behind a real socket, in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from edgecli import config
from edgecli.runtime import Runtime
from edgecli.server.api import create_app

V2 = "/client/v4/accounts/any/vectorize/v2/indexes"


@contextmanager
def serve(root: Path, settings: str = "") -> Iterator[tuple[str, Runtime]]:
    """Serve the project in `root` with these lines of `[edgecli.vectorize]`; give its address and runtime."""
    (root / "wrangler.toml").write_text(f'name = "test"\n[edgecli.vectorize]\n{settings}\n', encoding="utf-8")
    runtime = Runtime(config.load_project(cwd=root, config=None, env=None))
    server = uvicorn.Server(uvicorn.Config(create_app(runtime), port=0, log_level="warning", lifespan="off"))

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
        yield f"http://127.0.0.1:{port}", runtime
    finally:
        server.should_exit = True
        thread.join()
