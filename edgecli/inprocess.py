"""The app inside this process: an event loop in a thread, and requests that cross to it without a socket."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Coroutine, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, TypeVar

from edgecli.errors import EdgeError

if TYPE_CHECKING:
    from edgecli.config.project import Project

T = TypeVar("T")

_PIECES_AHEAD = 64
"""How many pieces of an answer may wait for a slow reader; then the app waits, as it does for a socket."""


class InProcessTransport:
    """Answer requests with the project's own app, built at the first of them."""

    def __init__(self, project: Project, *, verbose: bool = False) -> None:
        from edgecli.runtime import Runtime
        from edgecli.server.api import create_app

        self._runtime = Runtime(project, verbose=verbose)
        self._app = create_app(self._runtime)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="edgecli-app", daemon=True)
        self._thread.start()
        self.token = self._runtime.token

    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Exchange:
        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": _unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 0),
            "server": ("localhost", 80),
            "state": {},
        }
        exchange = Exchange(body)
        task = asyncio.run_coroutine_threadsafe(exchange.answer(self._app, scope), self._loop)
        exchange.cancel = task.cancel
        exchange.wait_for_start()
        return exchange

    def close(self) -> None:
        """End the services, then the loop."""
        if not self._thread.is_alive():
            return
        self._runtime.ending.set()
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        # A request that is still being answered would go on to use what is closed here.
        requests = asyncio.all_tasks() - {asyncio.current_task()}
        for request in requests:
            request.cancel()
        await asyncio.gather(*requests, return_exceptions=True)
        await self._runtime.close()
        await self._loop.shutdown_asyncgens()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _unquote(path: str) -> str:
    from urllib.parse import unquote

    return unquote(path)


class Exchange:
    """One request and its answer, between the caller's thread and the loop's."""

    def __init__(self, body: bytes) -> None:
        self.status = 0
        self._whole = False
        self._body: bytes | None = body
        self._pieces: queue.SimpleQueue[bytes | BaseException | None] = queue.SimpleQueue()
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self.cancel: Any = None

    async def answer(self, app: Any, scope: MutableMapping[str, Any]) -> None:
        """Run the app on this request."""
        try:
            await app(scope, self._receive, self._send)
            self._pieces.put(None if self._whole else _cut_short())
        except asyncio.CancelledError:
            self._pieces.put(None)
            raise
        except BaseException as error:
            if not self._started.is_set():
                self._failure = error
            # Starlette raises a fault of ours again after it has answered with it.
            self._pieces.put(None if self._whole else _cut_short(error))
        finally:
            self._started.set()

    async def _receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await asyncio.Event().wait()
        raise AssertionError("unreachable: the wait ends by cancellation")

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._started.set()
        elif message["type"] == "http.response.body":
            while self._pieces.qsize() >= _PIECES_AHEAD:  # noqa: ASYNC110 - the reader is in another thread
                await asyncio.sleep(0.001)
            if message.get("body"):
                self._pieces.put(message["body"])
            self._whole = not message.get("more_body", False)

    def wait_for_start(self) -> None:
        """Wait for the status line; the wait can be interrupted by a signal."""
        try:
            while not self._started.wait(0.1):
                pass
        except BaseException:
            self.close()
            raise
        if self._failure is not None:
            raise EdgeError(f"The app failed before it answered: {self._failure}", code="internal") from self._failure

    def chunks(self) -> Iterator[bytes]:
        while True:
            try:
                piece = self._pieces.get(timeout=0.1)
            except queue.Empty:
                continue
            if piece is None:
                return
            if isinstance(piece, BaseException):
                raise piece
            yield piece

    def close(self) -> None:
        if self.cancel is not None:
            self.cancel()


def _cut_short(error: BaseException | None = None) -> EdgeError:
    reason = f": {type(error).__name__}: {error}" if error is not None else ""
    return EdgeError(
        f"The answer ended in the middle{reason}.",
        hint="This is a fault of edgecli. Run the command again with --debug and report what it prints.",
        code="internal",
    )
