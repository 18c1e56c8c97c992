"""A Python Worker in its real process, behind a real server, with a client."""

from __future__ import annotations

import asyncio
import socket
import textwrap
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from edgecli.config.settings import WorkersSettings
from edgecli.workers.journal import Event, Journal
from edgecli.workers.process import WorkerError
from edgecli.workers.python.host import PythonProcess
from edgecli.workers.spec import Binding, WorkerSpec

HEADER = """
import asyncio, json, logging, os, sys, time
from workers import WorkerEntrypoint, Response, Request, Headers, FormData, Blob, File, fetch, waitUntil
"""


async def _no_channel(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("no binding was configured")


class Loop:
    """An event loop in a thread: of the kind that the server has."""

    def __init__(self) -> None:
        self.loop = (uvicorn.Config(_no_channel).get_loop_factory() or asyncio.new_event_loop)()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def begin(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.begin(work).result(60)


class Started:
    """A Worker that runs."""

    def __init__(self, loop: Loop, process: PythonProcess, journal: Journal) -> None:
        self.loop = loop
        self.process = process
        self.journal = journal
        self.errors: list[WorkerError] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(self._app, log_level="error", interface="asgi3", lifespan="off", access_log=False)
        self._server = uvicorn.Server(config)
        self._serving = loop.begin(self._server.serve([self._socket]))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.client = httpx2.Client(base_url=self.url, timeout=60, trust_env=False)

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.process.fetch(scope, receive, send)
        except WorkerError as error:
            self.errors.append(error)
            await JSONResponse({"code": error.code, "message": error.message}, error.status)(scope, receive, send)

    def get(self, path: str = "/", **options: Any) -> httpx2.Response:
        return self.client.get(path, **options)

    def post(self, path: str = "/", **options: Any) -> httpx2.Response:
        return self.client.post(path, **options)

    def events(self, wanted: Callable[[Event], bool] = lambda event: True, *, count: int = 1) -> list[Event]:
        """Wait until there are `count` such events."""
        return eventually(lambda: found if len(found := list(filter(wanted, self.journal.last))) >= count else None)

    def lines(self, event: Event) -> list[str]:
        return [each["message"][0] for each in event.logs]

    def said(self, text: str) -> Event:
        """Wait for an event with a line that holds `text`."""
        return self.events(lambda event: any(text in line for line in self.lines(event)))[0]

    def stop(self, grace: float = 0) -> None:
        self.loop.run(self.process.stop(grace=grace))

    def close(self) -> None:
        self.client.close()
        self._server.should_exit = self._server.force_exit = True
        self._serving.result(30)
        self._socket.close()
        self.stop()


def eventually(look: Callable[[], Any], seconds: float = 30) -> Any:
    """Return what `look` finds, as soon as it finds something."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)
    return found


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


@pytest.fixture(scope="session")
def loop() -> Loop:
    return Loop()


Start = Callable[..., Started]


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., PythonProcess]:
    """Make a Worker's process of source code, without starting it."""

    def make(
        source: str,
        *,
        bindings: tuple[Binding, ...] = (),
        channel: ASGIApp = _no_channel,
        journal: Journal | None = None,
        root: Path = tmp_path,
        main: str = "src/entry.py",
        offline: bool = False,
        gateway: ASGIApp | None = None,
        values: dict[str, Any] | None = None,
        secrets: dict[str, str] | None = None,
        raw: dict[str, Any] | None = None,
        **settings: Any,
    ) -> PythonProcess:
        path = root / main
        path.parent.mkdir(parents=True, exist_ok=True)
        if source:
            path.write_text(HEADER + textwrap.dedent(source), encoding="utf-8")
        spec = WorkerSpec("test", root, path, bindings, values or {}, secrets or {}, raw=raw or {})
        return PythonProcess(
            spec, channel, journal or Journal(), WorkersSettings(**settings), offline=offline, gateway=gateway
        )

    return make


@pytest.fixture
def start(loop: Loop, make: Callable[..., PythonProcess]) -> Iterator[Start]:
    """Start Workers of source code; they end with the test."""
    started: list[Started] = []

    def start(source: str, **options: Any) -> Started:
        journal = Journal()
        process = make(source, journal=journal, **options)
        loop.run(process.start())
        worker = Started(loop, process, journal)
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.close()


@pytest.fixture
def fails(loop: Loop, make: Callable[..., PythonProcess]) -> Callable[..., WorkerError]:
    """Start a Worker that cannot start, and return why."""

    def fails(source: str, **options: Any) -> WorkerError:
        process = make(source, **options)
        with pytest.raises(WorkerError) as caught:
            loop.run(process.start())
        assert process.pid is None or gone(process.pid)
        return caught.value

    return fails


def default(body: str, method: str = "fetch(self, request)") -> str:
    """Return a Worker whose handler has this body."""
    return "class Default(WorkerEntrypoint):\n    async def " + method + ":\n" + textwrap.indent(body, "        ")
