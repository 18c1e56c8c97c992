"""Where a Worker in `dev` asks for the page of an exception: only edgecli knows the source maps."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import orjson

from edgecli.workers.error_page import answer
from edgecli.workers.process import WorkerError
from edgecli.workers.spec import WorkerSpec
from edgecli.workers.workerd.sourcemap import SourceMap, map_trace

LONGEST_BODY = 1 << 20


class Desk:
    """A Unix socket that answers one question: what does this exception look like?"""

    def __init__(self, spec: WorkerSpec, maps: Mapping[str, SourceMap]) -> None:
        self._spec = spec
        self._maps = maps
        self._server: asyncio.Server | None = None

    @classmethod
    async def open(cls, path: Path, spec: WorkerSpec, maps: Mapping[str, SourceMap]) -> Self:
        """Listen at `path`."""
        desk = cls(spec, maps)
        desk._server = await asyncio.start_unix_server(desk._serve, path, limit=LONGEST_BODY)
        return desk

    async def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request of workerd's, whose HTTP is known: no more of HTTP is understood."""
        expected = (OSError, ValueError, KeyError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)
        with contextlib.closing(writer), contextlib.suppress(*expected):
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
            body = await reader.readexactly(min(int(length[1]), LONGEST_BODY) if length else 0)
            failure = orjson.loads(body)
            trace, place = await asyncio.to_thread(map_trace, failure["stack"], self._maps)
            message = f"{failure['name']}: {failure['message']}"
            error = WorkerError(message, code="worker_exception", place=place, trace=trace)
            accept = (failure.get("accept") or "").encode("latin-1", "replace")
            scope = {"type": "http", "headers": [(b"accept", accept)]}
            page = await asyncio.to_thread(answer, error, self._spec, scope, traces=True)
            head = b"".join(b"%s: %s\r\n" % pair for pair in page.raw_headers)
            writer.write(
                b"HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\n" + head + b"\r\n" + bytes(page.body)
            )
            await writer.drain()
