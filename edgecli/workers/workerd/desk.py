"""Where a Worker in `dev` asks for the page of an exception: only edgecli knows the source maps."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import orjson

from edgecli.workers.workerd.page import error_page, source_lines
from edgecli.workers.workerd.sourcemap import SourceMap, map_trace

LONGEST_BODY = 1 << 20


class Desk:
    """A Unix socket that answers one question: what does this exception look like?"""

    def __init__(self, root: Path, maps: Mapping[str, SourceMap]) -> None:
        self._root = root
        self._maps = maps
        self._server: asyncio.Server | None = None

    @classmethod
    async def open(cls, path: Path, root: Path, maps: Mapping[str, SourceMap]) -> Self:
        """Listen at `path`."""
        desk = cls(root, maps)
        desk._server = await asyncio.start_unix_server(desk._serve, path, limit=LONGEST_BODY)
        return desk

    async def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request of workerd's, whose HTTP is known: no more of HTTP is understood."""
        with contextlib.suppress(OSError, ValueError, KeyError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
            body = await reader.readexactly(min(int(length[1]), LONGEST_BODY) if length else 0)
            failure = orjson.loads(body)
            trace, place = await asyncio.to_thread(map_trace, failure["stack"], self._maps)
            page, kind = error_page(failure, trace, source_lines(self._root, place))
            content = page.encode()
            writer.write(
                b"HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\n"
                + f"Content-Type: {kind}\r\nContent-Length: {len(content)}\r\n\r\n".encode()
                + content
            )
            await writer.drain()
        writer.close()
