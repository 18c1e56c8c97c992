"""Bodies: bytes or a stream of them, read once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, cast

from edgecli.workers.python.web.values import ArrayBuffer, JsDict, JsException

if TYPE_CHECKING:
    from edgecli.workers.python.web.forms import Blob, FormData
    from edgecli.workers.python.web.headers import Headers

_WAITING = 16
"""Pieces that a TransformStream or a tee holds for a slow reader."""


class ReadableStream:
    """A stream of bytes that can be read once: `async for`, or with `getReader()`."""

    def __init__(self, source: AsyncIterable[bytes | str]) -> None:
        self._source = source
        self._iterator: AsyncIterator[bytes] | None = None
        self.locked = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        if self.locked:
            raise JsException("This ReadableStream is currently locked to a reader.", "TypeError")
        self.locked = True
        return self._pieces()

    async def _pieces(self) -> AsyncIterator[bytes]:
        source = aiter(self._source)
        try:
            async for piece in source:
                yield bytes_of(piece)
        finally:
            await _close(source)

    def getReader(self, *_options: Any) -> ReadableStream:  # noqa: N802
        """Return a reader; `await read()` gives `{done, value}`."""
        self._iterator = self.__aiter__()
        return self

    async def read(self) -> JsDict:
        """Return the next piece as `{done, value}`."""
        if self._iterator is None:
            raise JsException("Take a reader with getReader() first.", "TypeError")
        try:
            return JsDict(done=False, value=ArrayBuffer(await anext(self._iterator)))
        except StopAsyncIteration:
            return JsDict(done=True, value=None)

    def releaseLock(self) -> None:  # noqa: N802
        """Do nothing: a reader is the stream itself."""

    async def cancel(self, _reason: Any = None) -> None:
        """Read no more."""
        self.locked = True
        await _close(self._iterator or self._source)

    def tee(self) -> list[ReadableStream]:
        """Return two streams of the same bytes; the faster reader waits for the slower one."""
        queues = [asyncio.Queue[bytes | BaseException | None](_WAITING) for _ in range(2)]
        pieces = self.__aiter__()

        async def pump() -> None:
            end: BaseException | None = None
            try:
                async for piece in pieces:
                    for queue in queues:
                        await queue.put(piece)
            except Exception as error:
                end = error
            for queue in queues:
                await queue.put(end)

        task: list[asyncio.Task[None]] = []

        async def branch(queue: asyncio.Queue[bytes | BaseException | None]) -> AsyncIterator[bytes]:
            if not task:
                task.append(asyncio.create_task(pump()))
            while (piece := await queue.get()) is not None:
                if isinstance(piece, BaseException):
                    raise piece
                yield piece

        return [ReadableStream(branch(queue)) for queue in queues]


class TransformStream:
    """A pipe: what is written into `writable` comes out of `readable`."""

    def __init__(self, *_transformer: Any) -> None:
        self._queue: asyncio.Queue[bytes | BaseException | None] = asyncio.Queue(_WAITING)
        self._left = False
        self.readable = ReadableStream(self._read())
        self.writable = self

    @classmethod
    def new(cls, *transformer: Any) -> TransformStream:
        """Do what `new TransformStream()` does. Raises JsException for a transformer, which is not there yet."""
        if any(each is not None for each in transformer):
            raise JsException("TransformStream takes no transformer here: transform in Python.", "TypeError")
        return cls()

    async def _read(self) -> AsyncIterator[bytes]:
        try:
            while (piece := await self._queue.get()) is not None:
                if isinstance(piece, BaseException):
                    raise piece
                yield piece
        finally:
            self._left = True
            while not self._queue.empty():  # whoever waits to write learns it
                self._queue.get_nowait()

    def getWriter(self) -> TransformStream:  # noqa: N802
        """Return the writing end."""
        return self

    def write(self, piece: Any) -> asyncio.Future[None]:
        """Write bytes; await it to write no faster than they are read."""
        return self._put(bytes_of(piece))

    def close(self) -> asyncio.Future[None]:
        """End the stream."""
        return self._put(None)

    def abort(self, reason: Any = None) -> asyncio.Future[None]:
        """Break the stream off."""
        return self._put(reason if isinstance(reason, BaseException) else JsException(str(reason)))

    def _put(self, piece: bytes | BaseException | None) -> asyncio.Future[None]:
        if self._left:
            raise JsException("This stream was cancelled by its reader.", "TypeError")
        return asyncio.ensure_future(self._queue.put(piece))


async def _close(source: Any) -> None:
    if hasattr(source, "aclose"):
        await source.aclose()


def bytes_of(piece: Any) -> bytes:
    """Return a piece of a body as bytes. Raises TypeError for what is neither text nor bytes."""
    if isinstance(piece, bytes):
        return piece
    if isinstance(piece, str):
        return piece.encode()
    if isinstance(piece, (bytearray, memoryview)):
        return bytes(piece)
    raise TypeError(f"a body is made of str or bytes, not of {type(piece).__name__}")


Content = bytes | ReadableStream | None


def content_of(body: Any, unsupported: Callable[[Any], str]) -> tuple[Content, str | None]:
    """Return a body as it is sent, and the content type that it implies. Raises TypeError with `unsupported`."""
    from edgecli.workers.python.web.forms import Blob, FormData, URLSearchParams

    if body is None or isinstance(body, ReadableStream):
        return body, None
    if isinstance(body, str):
        return body.encode(), "text/plain;charset=UTF-8"
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(cast("bytes", body)), None
    if isinstance(body, FormData):
        return body.encode()
    if isinstance(body, Blob):
        return body.content, body.content_type or None
    if isinstance(body, URLSearchParams):
        return str(body).encode(), "application/x-www-form-urlencoded;charset=UTF-8"
    if isinstance(body, AsyncIterable):
        return ReadableStream(cast("AsyncIterable[bytes | str]", body)), None
    raise TypeError(unsupported(body))


class HasBody:
    """What requests and responses share: a body that is read once, in the form that is wanted."""

    content: Content
    headers: Headers
    _used = False

    @property
    def body_used(self) -> bool:
        """Whether the body was read."""
        return self._used

    bodyUsed = body_used  # noqa: N815

    @property
    def body(self) -> ReadableStream | None:
        """The body as a stream; None where there is none."""
        if isinstance(self.content, bytes):
            self.content = ReadableStream(_once(self.content))
        return self.content

    async def bytes(self) -> bytes:
        """Read the body. Raises OSError if it was read before."""
        if self._used or (isinstance(self.content, ReadableStream) and self.content.locked):
            raise OSError("Body already used")
        self._used = True
        if isinstance(self.content, ReadableStream):
            return b"".join([piece async for piece in self.content])
        return self.content or b""

    async def buffer(self) -> ArrayBuffer:
        """Read the body as a buffer."""
        return ArrayBuffer(await self.bytes())

    arrayBuffer = buffer  # noqa: N815

    async def text(self) -> str:
        """Read the body as UTF-8."""
        return (await self.bytes()).decode("utf-8", "replace").removeprefix("\ufeff")

    async def read_json(self, **options: Any) -> Any:
        """Read the body as JSON. Raises json.JSONDecodeError."""
        return json.loads(await self.text(), object_hook=JsDict, **options)

    async def form_data(self) -> FormData:
        """Read the body as a form. Raises TypeError where its content type is not one of a form."""
        from edgecli.workers.python.web.forms import FormData

        return FormData.decode(self.headers.get("content-type", ""), await self.bytes())

    formData = form_data  # noqa: N815

    async def blob(self) -> Blob:
        """Read the body as a Blob."""
        from edgecli.workers.python.web.forms import Blob

        return Blob([await self.bytes()], content_type=self.headers.get("content-type"))

    def _split(self) -> Content:
        """Return content for a copy; both can be read."""
        if self._used:
            raise OSError("Body already used")
        if isinstance(self.content, ReadableStream):
            self.content, other = self.content.tee()
            return other
        return self.content


async def _once(data: bytes) -> AsyncIterator[bytes]:
    if data:
        yield data
