"""The process of a Python Worker: `python -m edgecli.workers.python.child SOCKET LIFELINE`, both numbers of open files.

It waits for `load`, imports the user's module and answers requests until the server says `stop` or is gone.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator
from types import FrameType, SimpleNamespace
from typing import Any

from edgecli.workers.python import output, sdk
from edgecli.workers.python.bindings.env import Env
from edgecli.workers.python.context import PROCESS, RUNNING, TASKS, Running
from edgecli.workers.python.link import WHERE, Exchange, Link, LinkClosedError, Message, RemoteError
from edgecli.workers.python.loading import Code
from edgecli.workers.python.web.body import ReadableStream
from edgecli.workers.python.web.headers import Headers
from edgecli.workers.python.web.messages import Request, Response

PRELOADED = (sdk,)
"""What the user's module will import, loaded before there is one."""


class Worker:
    """Answers what the server asks."""

    def __init__(self) -> None:
        self._code: Code | None = None
        self._stopped = asyncio.Event()
        self.link = PROCESS.link = Link(self._serve, self._hear, _server_gone)

    async def run(self) -> None:
        """Work until the server says `stop`, and until what runs then has ended."""
        await self._stopped.wait()
        while self.link.served or TASKS:
            await asyncio.wait([*TASKS, *(each.task for each in self.link.served.values() if each.task)])
        output.finish(Running(0))
        self.link.close()

    def _hear(self, message: Message, _raw: bytes) -> None:
        match message:
            case ["ping"]:
                self.link.send(["pong"])
            case ["load", spec]:
                self.link.send(self._load(spec))
            case ["stop"]:
                self._stopped.set()
            case _:
                pass

    def _load(self, spec: dict[str, Any]) -> Message:
        self.link.send(["loading"])
        self.link.flush()
        sys.dont_write_bytecode = True
        code = self._code = Code(spec["main"], spec["root"])
        try:
            os.chdir(spec["root"])
            PROCESS.env = Env(spec["bindings"], spec["values"], spec["unanswered"])
            code.load()
        except BaseException as error:
            return ["broken", code.describe(error, "worker_start")]
        return ["ready"]

    def tell_where(self, _signal: int, frame: FrameType | None) -> None:
        """Say where the user's code is: a handler of a signal, as a loop that is blocked hears nothing else."""
        self.link.send(["where", self._code.where(frame) if self._code else {}])
        self.link.flush()

    async def _serve(self, exchange: Exchange) -> None:
        assert self._code is not None
        running = Running(exchange.number)
        RUNNING.set(running)
        try:
            if exchange.head["do"] == "fetch":
                await _send(exchange, await self._code.fetch(_request(exchange), running), running)
            else:
                await self._code.scheduled(_controller(exchange.head), running)
                output.finish(running)
                exchange.respond({}, last=True)
        except (asyncio.CancelledError, LinkClosedError):
            output.finish(running)
            raise
        except BaseException as error:
            output.finish(running)
            exchange.fail(self._code.describe(error, "worker_exception"))


def _request(exchange: Exchange) -> Request:
    head = exchange.head
    headers = Headers.received([(name, value) for name, value in head["headers"]])
    content = ReadableStream(_body(exchange)) if head["body"] else None
    return Request.received(head["method"], head["url"], headers, content)


async def _body(exchange: Exchange) -> AsyncIterator[bytes]:
    try:
        async for piece in exchange.body:
            yield piece
    except RemoteError as error:
        raise OSError(str(error)) from None


def _controller(head: dict[str, Any]) -> SimpleNamespace:
    when = head["scheduledTime"]
    return SimpleNamespace(
        cron=head["cron"], scheduledTime=when, scheduled_time=when, type="scheduled", noRetry=lambda: None
    )


async def _send(exchange: Exchange, response: Response, running: Running) -> None:
    content = response.content
    head: dict[str, Any] = {"status": response.status, "headers": response.headers.pairs()}
    if not isinstance(content, ReadableStream):
        head["length"] = len(content or b"")
        output.finish(running)
        await exchange.respond_with(head, content or b"", last=True)
        return
    pieces = content.__aiter__()
    try:
        exchange.respond(head, last=False)
        async for piece in pieces:
            if piece:
                await exchange.out.write(piece)
        output.finish(running)
        await exchange.out.write(b"", last=True)
    finally:
        close = getattr(pieces, "aclose", None)
        if close is not None:
            await close()


def _server_gone() -> None:
    os._exit(0)


def _watch(lifeline: int) -> None:
    """End the process when the server has ended, even where the loop is blocked."""
    os.read(lifeline, 1)
    time.sleep(0.2)
    os._exit(0)


async def _main(descriptor: int) -> None:
    worker = Worker()
    loop = asyncio.get_running_loop()
    await loop.create_unix_connection(lambda: worker.link, sock=socket.socket(fileno=descriptor))
    signal.signal(WHERE, worker.tell_where)
    output.capture()
    await worker.run()


if __name__ == "__main__":
    faulthandler.enable(sys.__stderr__)  # pyright: ignore[reportArgumentType]
    threading.Thread(target=_watch, args=(int(sys.argv[2]),), daemon=True).start()
    asyncio.run(_main(int(sys.argv[1])))
