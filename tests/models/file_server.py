"""A web server in a thread that serves files by ranges, and misbehaves as it is told."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """One file, and how the server misbehaves over it."""

    content: bytes
    etag: str | None = None
    cuts: list[int] = field(default_factory=list)
    """Bytes to send of each of the next answers before the connection is cut."""
    statuses: list[int] = field(default_factory=list)
    """Errors to answer the next requests with."""
    ranges: bool = True
    says_length: bool = True
    content_type: str = "application/octet-stream"
    headers: dict[str, str] = field(default_factory=dict)
    refuse: int | None = None
    """A status to answer every request with, with `headers`."""
    hold: threading.Event | None = None
    """If set, the second half of an answer waits for it."""

    def __post_init__(self) -> None:
        if self.etag is None:
            self.etag = f'"{hashlib.md5(self.content).hexdigest()}"'


class FileServer(ThreadingHTTPServer):
    """Serve `files` by path; `requests` holds (method, path, Range header) of each request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, Served] = {}
        self.requests: list[tuple[str, str, str | None]] = []
        self.tokens: list[str | None] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def add(self, path: str, content: bytes, **how: object) -> str:
        self.files[path] = Served(content, **how)  # type: ignore[arg-type]
        return self.address + path

    def ranges(self, path: str) -> list[str | None]:
        """Return the Range header of each GET of a path."""
        return [value for method, asked, value in self.requests if method == "GET" and asked == path]

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay quiet: cut connections are the point."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FileServer

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = self.path.split("?")[0]
        asked = self.headers.get("Range")
        self.server.requests.append((self.command, path, asked))
        self.server.tokens.append(self.headers.get("Authorization"))
        served = self.server.files.get(path)
        if served is None:
            self.send_error(404)
            return
        if served.refuse:
            self.send_response(served.refuse)
            self._own_headers(served)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if body and served.statuses:
            self.send_error(served.statuses.pop(0))
            return
        start = self._start(served, asked)
        self._head(served, start)
        if body:
            self._body(served, served.content[start:])

    def _start(self, served: Served, asked: str | None) -> int:
        same = self.headers.get("If-Range") in {None, served.etag}
        if asked is None or not served.ranges or not same:
            return 0
        return int(asked.removeprefix("bytes=").removesuffix("-"))

    def _head(self, served: Served, start: int) -> None:
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(served.content) - 1}/{len(served.content)}")
        if served.etag:
            self.send_header("ETag", served.etag)
        self._own_headers(served)
        self.send_header("Content-Type", served.content_type)
        if served.says_length:
            self.send_header("Content-Length", str(len(served.content) - start))
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def _own_headers(self, served: Served) -> None:
        for name, value in served.headers.items():
            self.send_header(name, value)

    def _body(self, served: Served, content: bytes) -> None:
        if served.cuts:
            self.wfile.write(content[: served.cuts.pop(0)])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        half = len(content) // 2 if served.hold else 0
        self.wfile.write(content[:half])
        if served.hold:
            self.wfile.flush()
            served.hold.wait(60)
        self.wfile.write(content[half:])

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""


@contextmanager
def file_server() -> Iterator[FileServer]:
    server = FileServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
