"""Call the API: over HTTP if the project's server runs, else on the same app inside this process.

Both ways carry the same requests and give the same bytes; `Client` turns them into results and errors. Only the
standard library is imported on the way to a running server, so that a warm command costs little more than Python.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

from edgecli import __version__
from edgecli.errors import StateError, UpstreamError, error_from_dict
from edgecli.state import (
    LOCK_POLL_SECONDS,
    LOCK_WAIT_SECONDS,
    ServerInfo,
    StatePaths,
    process_alive,
    read_owner,
    read_server,
)

if TYPE_CHECKING:
    from edgecli.config.project import Project

CONNECT_SECONDS = 2.0


class Reply(Protocol):
    """An answer whose body may still be on its way."""

    status: int

    def chunks(self) -> Iterator[bytes]: ...

    def close(self) -> None: ...


class Transport(Protocol):
    """A way to bring a request to the app."""

    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply: ...

    def close(self) -> None: ...


class HttpReply:
    """An answer of the running server."""

    def __init__(self, connection: Any, response: Any, server: ServerInfo) -> None:
        self.status: int = response.status
        self._connection = connection
        self._response = response
        self._server = server

    def chunks(self) -> Iterator[bytes]:
        from http.client import HTTPException

        try:
            while piece := self._response.read1(65536):
                yield piece
        except (OSError, HTTPException) as error:
            raise _gone(self._server, "went away in the middle of the answer", error) from error
        if self._response.length:  # http.client says nothing of a body that is shorter than announced
            raise _gone(self._server, "went away in the middle of the answer")

    def close(self) -> None:
        # The response holds the socket as well; the server notices only when both have let it go.
        self._response.close()
        self._connection.close()


class HttpTransport:
    """Bring requests to the running server, each on its own connection."""

    def __init__(self, server: ServerInfo) -> None:
        self.server = server
        self._address = urlsplit(server.address)

    def reachable(self) -> bool:
        """Tell whether somebody listens there."""
        try:
            self._connect().close()
        except OSError:
            return False
        return True

    def _connect(self) -> socket.socket:
        return socket.create_connection(
            (self._address.hostname or "127.0.0.1", self._address.port or 80), timeout=CONNECT_SECONDS
        )

    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        from http.client import HTTPConnection, HTTPException

        connection = HTTPConnection(self._address.hostname or "127.0.0.1", self._address.port)
        try:
            connection.sock = self._connect()
            connection.sock.settimeout(None)
            connection.request(method, target, body=body or None, headers=dict(headers))
            return HttpReply(connection, connection.getresponse(), self.server)
        except (OSError, HTTPException) as error:
            connection.close()
            raise _gone(self.server, "did not answer", error) from error

    def close(self) -> None:
        """Nothing to do: no connection outlives its call."""


def _gone(server: ServerInfo, what: str, error: Exception | None = None) -> UpstreamError:
    reason = f": {error}" if error is not None and str(error) else ""
    return UpstreamError(
        f"The server {what} ({server.address}, process {server.pid}){reason}.",
        hint="Look at its terminal; end it and start `edgecli serve` again if it hangs.",
        code="server_gone",
    )


class Client:
    """Call the API of one project. Use as a context manager or call `close`."""

    def __init__(self, transport: Transport, token: str, *, warm: bool) -> None:
        self._transport = transport
        self._token = token
        self.warm = warm
        """Whether a running server answers."""

    @classmethod
    def connect(cls, project: Project, *, verbose: bool = False) -> Client:
        """Return a client of the project's running server, or of the app in this process."""
        server = _starting_server(StatePaths(project.state_dir))
        if server is not None:
            transport = HttpTransport(server)
            if transport.reachable():
                _check_same(project, server)
                return cls(transport, server.token, warm=True)
        from edgecli.inprocess import InProcessTransport

        inside = InProcessTransport(project, verbose=verbose)
        return cls(inside, inside.token, warm=False)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the app in this process, if there is one."""
        self._transport.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
    ) -> Any:
        """Make one call and return its `result`. Names in `path` come quoted.

        Raises the EdgeError that the API answered with.
        """
        answer = self.envelope(method, path, json=json, params=params, body=body, content_type=content_type)
        return answer["result"]

    def envelope(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        """Make one call and return its `result` and the `messages` that go with it. Raises EdgeError as `call` does."""
        reply = self._send(method, path, json, params, body, content_type)
        try:
            content = b"".join(reply.chunks())
        finally:
            reply.close()
        return _success(reply.status, content)

    def events(
        self, method: str, path: str, *, json: Any = None, params: Mapping[str, Any] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Make one call and yield the events of its stream, Server-Sent Events or lines of JSON, as they come.

        An answer that is no stream is one event: its `result`. Raises EdgeError as `call` does, also where the
        error comes in the middle of the stream.
        """
        with closing(self.lines(method, path, json=json, params=params)) as lines:
            for line in lines:
                event = _event(line)
                if event is not None:
                    yield event

    def lines(
        self, method: str, path: str, *, json: Any = None, params: Mapping[str, Any] | None = None
    ) -> Generator[bytes]:
        """Make one call and yield the lines of its answer as they come, byte for byte.

        Raises EdgeError as `call` does, also for a line that says that the stream has failed.
        """
        reply = self._send(method, path, json, params, None, "application/json")
        try:
            if reply.status >= 400:
                _success(reply.status, b"".join(reply.chunks()))
            for line in _lines(reply.chunks()):
                if line.startswith(b'{"error":'):
                    _event(line)
                yield line
        finally:
            reply.close()

    def _send(
        self, method: str, path: str, json_body: Any, params: Mapping[str, Any] | None, body: bytes | None, kind: str
    ) -> Reply:
        target = quote(path, safe="/@:%._-~")
        if params:
            target += "?" + urlencode({key: value for key, value in params.items() if value is not None}, doseq=True)
        content = body if body is not None else b"" if json_body is None else json.dumps(json_body).encode()
        headers = {"authorization": f"Bearer {self._token}", "host": "localhost", "content-type": kind}
        return self._transport.send(method, target, headers, content)


def _starting_server(paths: StatePaths) -> ServerInfo | None:
    """Return the project's server; wait for one that has the state and does not listen yet."""
    deadline = time.monotonic() + LOCK_WAIT_SECONDS
    while True:
        server = read_server(paths)
        owner = None if server else read_owner(paths)
        starts = owner is not None and owner.command in {"edgecli serve", "edgecli dev"} and process_alive(owner.pid)
        if server is not None or not starts or time.monotonic() >= deadline:
            return server
        time.sleep(LOCK_POLL_SECONDS)


def _check_same(project: Project, server: ServerInfo) -> None:
    """Raise StateError if the server is not the one that this project and this edgecli would start."""
    again = "End that server and start it again with `edgecli serve`."
    if server.version != __version__:
        raise StateError(
            f"The running server (process {server.pid}) is edgecli {server.version}, this is {__version__}.",
            hint=again,
            code="other_version",
        )
    if project.config_path is not None and server.config != str(project.config_path.resolve()):
        raise StateError(
            f"The running server (process {server.pid}) has read `{server.config}`, "
            f"this command asks for `{project.config_path}`.",
            hint=f"Use that file, or end that server and start it with `edgecli serve --config {project.config_path}`.",
            code="other_configuration",
        )
    if project.env != server.env:
        command = f"edgecli serve --env {project.env}" if project.env else "edgecli serve"
        raise StateError(
            f"The running server (process {server.pid}) uses the environment `{server.env or 'top level'}`, "
            f"this command asks for `{project.env or 'top level'}`.",
            hint=f"End that server, or start it with `{command}`.",
            code="other_environment",
        )


def _success(status: int, content: bytes) -> dict[str, Any]:
    """Return the envelope of a success. Raises the EdgeError that any other holds."""
    try:
        body = json.loads(content)
    except ValueError as error:
        raise UpstreamError(
            f"The server answered with status {status} and no JSON: {content[:100]!r}.", code="malformed_response"
        ) from error
    if status < 400 and body.get("success"):
        return body
    errors = body.get("errors") or [{"message": f"The server answered with status {status}."}]
    raise error_from_dict(errors[0], status=status)


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        yield rest


def _event(line: bytes) -> dict[str, Any] | None:
    text = line.strip().removeprefix(b"data:").strip()
    if not text or text == b"[DONE]" or text.startswith((b"event:", b":")):
        return None
    try:
        event = json.loads(text)
    except ValueError as error:
        raise UpstreamError(f"The stream holds no JSON: {text[:100]!r}.", code="malformed_response") from error
    if isinstance(event, dict):
        if set(event) == {"error"}:
            raise error_from_dict(event["error"], status=500)
        if event.get("type") == "error":  # of the Responses API; its `code` is a word
            raise error_from_dict({"message": event["message"], "edge": event.get("edge")}, status=500)
        if event.get("success") is True and "result" in event:
            return event["result"]
        return event
    raise UpstreamError(f"The stream holds an event that is no object: {text[:100]!r}.", code="malformed_response")
