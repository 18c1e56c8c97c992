"""What the server and a Python Worker say to each other: frames over one socket, many exchanges at a time.

A frame is a list in JSON, `[kind, ...]`, and raw bytes behind it. Either side opens exchanges: the server for requests,
the Worker for what its bindings call and for `fetch`. An exchange has a head and a body in each direction.

    opener    open(id, head, last)+bytes  body(id, last)+bytes  took(id, n)  cancel(id)
    server    head(id, head, last)+bytes  data(id, last)+bytes  need(id, n)  fail(id, error)

A sender has at most `WINDOW` bytes under way that the other side's reader has not taken (`took`, `need`), so a slow
client or a slow Worker holds up its own exchange, and nobody's memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import signal
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, cast

import orjson

HEAD = struct.Struct("<II")
"""Bytes of JSON, and raw bytes behind it."""
WINDOW = 256 * 1024
"""Bytes of a body that may be under way."""
SLICE = 64 * 1024
"""Bytes of a body in one frame."""

WHERE = signal.SIGUSR2
"""Asks a Worker whose loop is blocked to say `["where", ...]`."""

Message = list[Any]


class LinkClosedError(Exception):
    """The other side has ended."""


class RemoteError(Exception):
    """The other side could not answer; `info` says why."""

    def __init__(self, info: dict[str, Any]) -> None:
        super().__init__(info.get("message", "failed"))
        self.info = info


class Inbox:
    """A body that comes in."""

    __slots__ = ("_chunks", "_ended", "_error", "_link", "_taken", "_took", "_waiter")

    def __init__(self, link: Link, took: str, number: int) -> None:
        self._link = link
        self._took: Message = [took, number]
        self._chunks: deque[bytes] = deque()
        self._ended = False
        self._error: BaseException | None = None
        self._taken = 0
        self._waiter: asyncio.Future[None] | None = None

    @property
    def complete(self) -> bool:
        """Whether all of it has come."""
        return self._ended

    @property
    def drained(self) -> bool:
        """Whether all of it was read."""
        return self._ended and not self._chunks

    def feed(self, data: bytes, last: bool) -> None:
        if data:
            self._chunks.append(data)
        self._ended = self._ended or last
        self._wake()

    def fail(self, error: BaseException) -> None:
        if not self._ended:
            self._error = error
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def read(self) -> bytes:
        """Return the next bytes; none at the end. Raises what broke it off. One reader at a time."""
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self._ended:
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        data = self._chunks.popleft()
        self._taken += len(data)
        if self._taken >= WINDOW // 4 and not self._ended:
            self._link.send([*self._took, self._taken])
            self._taken = 0
        return data

    async def read_all(self) -> bytes:
        """Return what is left of it."""
        if self._ended and len(self._chunks) <= 1:
            return self._chunks.popleft() if self._chunks else b""
        return b"".join([data async for data in self])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self.read():
            yield data


class Outbox:
    """A body that goes out."""

    __slots__ = ("_credit", "_kind", "_link", "_number", "_waiter", "closed")

    def __init__(self, link: Link, kind: str, number: int) -> None:
        self._link = link
        self._kind = kind
        self._number = number
        self._credit = WINDOW
        self._waiter: asyncio.Future[None] | None = None
        self.closed = False

    def spend(self, count: int) -> None:
        """Count bytes that went out with a head."""
        self._credit -= count

    def allow(self, count: int) -> None:
        self._credit += count
        self._wake()

    def close(self) -> None:
        """Say that nobody will read more."""
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def write(self, data: bytes, *, last: bool = False) -> None:
        """Send bytes as the other side takes them. Raises LinkClosedError where nobody reads them any more."""
        view = memoryview(data)
        while True:
            while self._credit <= 0 and not self.closed:
                self._waiter = asyncio.get_running_loop().create_future()
                await self._waiter
            if self.closed:
                raise LinkClosedError("nobody reads this body any more")
            piece, view = view[:SLICE], view[SLICE:]
            self._credit -= len(piece)
            self._link.send([self._kind, self._number, last and not view], bytes(piece))
            if not view:
                return


class Exchange:
    """One question and its answer, seen from the side that asks (`opened`) or the one that answers."""

    __slots__ = ("answer", "body", "head", "link", "number", "out", "task")

    def __init__(self, link: Link, number: int, head: dict[str, Any], *, opened: bool) -> None:
        self.link = link
        self.number = number
        self.head = head
        self.body = Inbox(link, "took" if opened else "need", number)
        """What comes in: the answer's body for who asked, the question's for who answers."""
        self.out = Outbox(link, "body" if opened else "data", number)
        self.answer: asyncio.Future[dict[str, Any]] | None = link.loop.create_future() if opened else None
        self.task: asyncio.Task[None] | None = None

    def respond(self, head: dict[str, Any], data: bytes = b"", *, last: bool) -> None:
        """Begin the answer, and end it where `last`; the first bytes may be up to `SLICE`."""
        self.out.spend(len(data))
        self.link.send(["head", self.number, head, last], data)

    async def respond_with(self, head: dict[str, Any], data: bytes, *, last: bool) -> None:
        """Begin the answer with as many bytes as there are."""
        first, rest = (data, b"") if len(data) <= SLICE else (data[:SLICE], data[SLICE:])
        self.respond(head, first, last=last and not rest)
        if rest:
            await self.out.write(rest, last=last)

    def fail(self, info: dict[str, Any]) -> None:
        """End the answer with an error."""
        self.link.send(["fail", self.number, info])

    def cancel(self) -> None:
        """Leave: the other side ends its work on it."""
        if self.link.opened.pop(self.number, None) is not None:
            self.out.close()
            self.link.send(["cancel", self.number])

    def broken(self, error: BaseException) -> None:
        """Take note that there will be no more."""
        self.out.close()
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(error)
            self.answer.exception()  # who asked may have left
        else:
            self.body.fail(error)


class Link(asyncio.Protocol):
    """One end of the socket."""

    def __init__(
        self,
        serve: Callable[[Exchange], Coroutine[Any, Any, None]],
        hear: Callable[[Message, bytes], None],
        lost: Callable[[], None],
    ) -> None:
        """`serve` answers an exchange of the other side; `hear` gets messages that belong to none."""
        self.loop = asyncio.get_running_loop()
        self.opened: dict[int, Exchange] = {}
        self.served: dict[int, Exchange] = {}
        self.gone: BaseException | None = None
        self._serve = serve
        self._hear = hear
        self._lost = lost
        self._numbers = itertools.count(1)
        self._buffer = bytearray()
        self._waiting: list[bytes] = []
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.end(LinkClosedError("the other side has ended"))
        self._lost()

    def end(self, error: BaseException) -> None:
        """Break off all exchanges: who asked gets `error`, who answers is cancelled."""
        self.gone = self.gone or error
        for exchange in self.opened.values():
            exchange.broken(error)
        self.opened.clear()
        for exchange in list(self.served.values()):
            self._cancelled(exchange)

    def close(self) -> None:
        """Send what waits, and close."""
        self.flush()
        if self._transport is not None:
            self._transport.close()

    def send(self, message: Message, raw: bytes = b"") -> None:
        """Send a message at the end of this step of the loop, with all others of it."""
        try:
            body = orjson.dumps(message)
        except TypeError:  # half of a surrogate pair, as in names of files
            body = json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")
        if not self._waiting:
            self.loop.call_soon(self.flush)
        self._waiting.append(HEAD.pack(len(body), len(raw)))
        self._waiting.append(body)
        if raw:
            self._waiting.append(raw)

    def flush(self) -> None:
        """Send what waits."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            if self._transport is not None:
                self._transport.write(b"".join(waiting))

    def open(self, head: dict[str, Any], data: bytes = b"", *, last: bool) -> Exchange:
        """Ask: await `answer` for the answer's head, then read `body`. Raises the link's end."""
        if self.gone is not None:
            raise LinkClosedError(str(self.gone))
        number = next(self._numbers)
        exchange = self.opened[number] = Exchange(self, number, head, opened=True)
        exchange.out.spend(len(data))
        self.send(["open", number, head, last], data)
        return exchange

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        start, size = 0, len(buffer)
        while size - start >= HEAD.size:
            length, raw_length = HEAD.unpack_from(buffer, start)
            body = start + HEAD.size
            end = body + length + raw_length
            if end > size:
                break
            self._received(orjson.loads(buffer[body : body + length]), bytes(buffer[body + length : end]))
            start = end
        if start:
            del buffer[:start]

    def _received(self, message: Message, raw: bytes) -> None:
        match message:
            case ["open", number, head, last]:
                exchange = self.served[number] = Exchange(self, number, head, opened=False)
                exchange.body.feed(raw, last)
                exchange.task = self.loop.create_task(self._answer(exchange))
                # Not in the task: one that is cancelled before its first step never runs.
                exchange.task.add_done_callback(lambda _: self.served.pop(number, None))
            case ["head", number, head, last] if exchange := self.opened.get(number):
                exchange.body.feed(raw, last)
                if exchange.answer is not None and not exchange.answer.done():
                    exchange.answer.set_result(head)
                self._over(number, last)
            case ["data", number, last] if exchange := self.opened.get(number):
                exchange.body.feed(raw, last)
                self._over(number, last)
            case ["fail", number, info] if exchange := self.opened.pop(number, None):
                exchange.broken(RemoteError(info))
            case ["body", number, last] if exchange := self.served.get(number):
                exchange.body.feed(raw, last)
            case ["took", number, count] if exchange := self.served.get(number):
                exchange.out.allow(count)
            case ["need", number, count] if exchange := self.opened.get(number):
                exchange.out.allow(count)
            case ["cancel", number] if exchange := self.served.get(number):
                self._cancelled(exchange)
            case ["head" | "data" | "fail" | "body" | "took" | "need" | "cancel", *_]:
                pass  # of an exchange that one side has left
            case _:
                self._hear(message, raw)

    def _over(self, number: int, last: bool) -> None:
        if last and (exchange := self.opened.pop(number, None)):
            exchange.out.close()

    def _cancelled(self, exchange: Exchange) -> None:
        exchange.out.close()
        exchange.body.fail(LinkClosedError("who asked has left"))
        if exchange.task is not None:
            exchange.task.cancel()

    async def _answer(self, exchange: Exchange) -> None:
        with contextlib.suppress(LinkClosedError):
            await self._serve(exchange)
