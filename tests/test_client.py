"""Both ways to the API: streams piece by piece, endings noticed on both sides, errors as one family."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from edgecli import __version__
from edgecli.client import Client, HttpTransport
from edgecli.config import load_project
from edgecli.config.project import Project
from edgecli.envelope import ndjson, ok, sse
from edgecli.errors import EdgeError, NotFoundError, StateError, UpstreamError
from edgecli.inprocess import _PIECES_AHEAD, InProcessTransport  # pyright: ignore[reportPrivateUsage]
from edgecli.state import ServerInfo, StatePaths, write_atomically

PATIENCE = 20.0
"""Seconds that something which must happen may take."""


@pytest.fixture
def empty_project(tmp_path: Path) -> Project:
    (tmp_path / "wrangler.toml").write_text('name = "test"\n', encoding="utf-8")
    return load_project(cwd=tmp_path, config=None, env=None)


class Answers:
    """An app whose streams wait for the test."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.ended = threading.Event()
        self.made = 0

    def app(self) -> Starlette:
        names = ("lines", "events", "named", "noted", "early", "late", "cut", "fault", "many")
        return Starlette(routes=[Route(f"/{name}", getattr(self, name)) for name in names])

    async def _slow(self) -> AsyncIterator[dict[str, int]]:
        try:
            yield {"n": 1}
            await asyncio.to_thread(self.go_on.wait, PATIENCE)
            yield {"n": 2}
        finally:
            self.ended.set()

    async def many(self, request: Request) -> Response:
        async def numbers() -> AsyncIterator[bytes]:
            for self.made in range(1, 1001):
                yield b'{"n": %d}\n' % self.made

        return StreamingResponse(numbers(), media_type="application/x-ndjson")

    async def lines(self, request: Request) -> Response:
        return await ndjson(self._slow())

    async def events(self, request: Request) -> Response:
        return await sse(self._slow())

    async def named(self, request: Request) -> Response:
        async def events() -> AsyncIterator[dict[str, Any]]:
            yield {"type": "a", "n": 1}
            error = NotFoundError("`x` is not here.", code="no_x").to_dict()
            yield {"type": "error", "code": "server_error", "message": error["message"], "edge": error["edge"]}

        return await sse(events(), named=True)

    async def noted(self, request: Request) -> Response:
        return ok({"n": 1}, messages=[{"code": 1000, "message": "So it was."}])

    async def early(self, request: Request) -> Response:
        async def events() -> AsyncIterator[dict[str, int]]:
            raise NotFoundError("`x` is not here.", code="no_x", hint="Look elsewhere.")
            yield {"n": 1}

        return await sse(events())

    async def late(self, request: Request) -> Response:
        async def events() -> AsyncIterator[dict[str, int]]:
            yield {"n": 1}
            raise NotFoundError("`x` is not here.", code="no_x", hint="Look elsewhere.")

        return await ndjson(events())

    async def cut(self, request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield b'{"n":1}\n'
            raise ValueError("a fault outside of the stream's guard")

        return StreamingResponse(pieces())

    async def fault(self, request: Request) -> Response:
        raise ValueError("a fault before the answer")


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def inside(empty_project: Project, answers: Answers) -> Iterator[Client]:
    """A client of that app inside this process."""
    transport = InProcessTransport(empty_project)
    transport._app = answers.app()
    client = Client(transport, transport.token, warm=False)
    yield client
    answers.go_on.set()
    client.close()


@pytest.mark.parametrize("path", ["/lines", "/events"])
def test_inside_a_stream_arrives_piece_by_piece(inside: Client, answers: Answers, path: str) -> None:
    events = inside.events("GET", path)
    assert next(events) == {"n": 1}
    assert not answers.ended.is_set()
    answers.go_on.set()
    assert list(events) == [{"n": 2}]


@pytest.mark.parametrize("path", ["/lines", "/events"])
def test_inside_leaving_a_stream_ends_the_work(inside: Client, answers: Answers, path: str) -> None:
    events = inside.events("GET", path)
    next(events)
    events.close()
    assert answers.ended.wait(PATIENCE)


def test_inside_a_slow_reader_is_waited_for(inside: Client, answers: Answers) -> None:
    lines = inside.lines("GET", "/many")
    first = next(lines)
    deadline = time.monotonic() + PATIENCE
    while answers.made < _PIECES_AHEAD and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert _PIECES_AHEAD <= answers.made <= _PIECES_AHEAD + 2
    assert [first, *lines] == [b'{"n": %d}' % number for number in range(1, 1001)]


def test_inside_closing_ends_what_is_still_being_answered(inside: Client, answers: Answers) -> None:
    events = inside.events("GET", "/lines")
    next(events)
    inside.close()
    assert answers.ended.is_set()
    assert list(events) == []


def test_inside_an_error_before_the_stream_is_an_ordinary_one(empty_project: Project) -> None:
    with Client.connect(empty_project) as client, pytest.raises(NotFoundError, match="No route") as caught:
        list(client.events("GET", "/nowhere"))
    assert (caught.value.code, caught.value.cf_code, caught.value.status) == ("no_route", 7000, 404)


def test_inside_an_error_in_the_stream_is_raised_with_its_code(inside: Client) -> None:
    events = inside.events("GET", "/late")
    assert next(events) == {"n": 1}
    with pytest.raises(NotFoundError) as caught:
        next(events)
    assert (caught.value.code, caught.value.hint) == ("no_x", "Look elsewhere.")


def test_inside_named_events_are_read_and_their_error_is_raised(inside: Client) -> None:
    events = inside.events("GET", "/named")
    assert next(events) == {"type": "a", "n": 1}
    with pytest.raises(NotFoundError) as caught:
        next(events)
    assert (caught.value.code, caught.value.message) == ("no_x", "`x` is not here.")


def test_inside_an_envelope_comes_with_its_messages(inside: Client) -> None:
    assert inside.call("GET", "/noted") == {"n": 1}
    said = inside.envelope("GET", "/noted")
    assert (said["result"], said["messages"][0]["message"]) == ({"n": 1}, "So it was.")


def test_inside_a_stream_that_is_cut_short_does_not_look_whole(inside: Client) -> None:
    events = inside.events("GET", "/cut")
    assert next(events) == {"n": 1}
    with pytest.raises(EdgeError, match="a fault outside of the stream's guard") as caught:
        next(events)
    assert caught.value.code == "internal"


def test_inside_a_fault_is_told(inside: Client) -> None:
    with pytest.raises(EdgeError):
        inside.call("GET", "/fault")


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n"
CHUNK = b'8\r\n{"n":1}\n\r\n'
Serve = Callable[[Callable[[socket.socket], None]], Client]


@pytest.fixture
def far_side() -> Iterator[Serve]:
    """Start a server that treats one connection as the test says, and return a client of it."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def start(treat: Callable[[socket.socket], None]) -> Client:
        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(PATIENCE)
                request = b""
                while b"\r\n\r\n" not in request:
                    request += connection.recv(65536)
                treat(connection)

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        return Client(HttpTransport(ServerInfo(address, 4711, "t", "0", None)), "t", warm=True)

    yield start
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    listener.close()


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("framing", ["chunked", "length"])
def test_a_server_that_dies_in_the_middle_is_named(far_side: Serve, reset: bool, framing: str) -> None:
    seen = threading.Event()

    def die(connection: socket.socket) -> None:
        if framing == "chunked":
            connection.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n" + CHUNK)
        else:
            connection.sendall(HEAD + b'content-length: 100\r\n\r\n{"n":1}\n')
        assert seen.wait(PATIENCE)
        if reset:
            _reset(connection)

    events = far_side(die).events("GET", "/x")
    assert next(events) == {"n": 1}
    seen.set()
    with pytest.raises(UpstreamError, match="process 4711") as caught:
        list(events)
    assert caught.value.code == "server_gone"
    assert "edgecli serve" in (caught.value.hint or "")


def test_a_short_result_is_not_taken_for_a_whole_one(far_side: Serve) -> None:
    client = far_side(lambda connection: connection.sendall(HEAD + b'content-length: 100\r\n\r\n{"result":'))
    with pytest.raises(UpstreamError) as caught:
        client.call("GET", "/x")
    assert caught.value.code == "server_gone"


@pytest.mark.parametrize("answer", [b"", b"what is this\r\n\r\n"])
def test_a_server_that_does_not_answer_is_named(far_side: Serve, answer: bytes) -> None:
    client = far_side(lambda connection: connection.sendall(answer))
    with pytest.raises(UpstreamError, match="did not answer") as caught:
        client.call("GET", "/x")
    assert caught.value.code == "server_gone"


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    transport = HttpTransport(ServerInfo(f"http://127.0.0.1:{port}", 4711, "t", "0", None))
    assert not transport.reachable()
    with pytest.raises(UpstreamError, match="did not answer"):
        Client(transport, "t", warm=True).call("GET", "/x")


@pytest.mark.parametrize("close", [b"", b"connection: close\r\n"])
def test_the_server_notices_when_a_stream_is_left(far_side: Serve, close: bytes) -> None:
    left = threading.Event()

    def stream(connection: socket.socket) -> None:
        connection.sendall(HEAD + close + b"transfer-encoding: chunked\r\n\r\n" + CHUNK)
        if connection.recv(1) == b"":
            left.set()

    client = far_side(stream)
    events = client.events("GET", "/x")
    next(events)
    events.close()
    assert left.wait(PATIENCE)


def test_lines_come_as_they_are_until_one_says_that_the_stream_failed(far_side: Serve) -> None:
    sent = [b'{"index": {}}', b'{"id":"a","values":[0.1]}', '{"id": "文", "values":[1.0]}'.encode()]
    failed = b'{"error": {"code": 1, "message": "The disk is gone.", "edge": {"code": "disk"}}}'
    body = b"\n".join([*sent, failed])
    lines = far_side(lambda connection: connection.sendall(HEAD + b"connection: close\r\n\r\n" + body)).lines(
        "GET", "/x"
    )
    assert [next(lines) for _ in sent] == sent
    with pytest.raises(EdgeError, match=r"The disk is gone\.") as caught:
        next(lines)
    assert caught.value.code == "disk"


@pytest.mark.parametrize("body", [b"no json\n", b"[1, 2]\n", b'"text"\n'])
def test_a_stream_of_something_else_is_named(far_side: Serve, body: bytes) -> None:
    head = HEAD + f"content-length: {len(body)}\r\n\r\n".encode()
    with pytest.raises(UpstreamError) as caught:
        list(far_side(lambda connection: connection.sendall(head + body)).events("GET", "/x"))
    assert caught.value.code == "malformed_response"


def test_a_result_that_is_no_json_is_named(far_side: Serve) -> None:
    client = far_side(lambda connection: connection.sendall(HEAD + b"content-length: 2\r\n\r\nok"))
    with pytest.raises(UpstreamError) as caught:
        client.call("GET", "/x")
    assert caught.value.code == "malformed_response"


@pytest.mark.parametrize("ending", [b"\n", b""])
def test_an_event_comes_whole_however_it_is_cut(far_side: Serve, ending: bytes) -> None:
    body = b'data: {"text":"\xe9\x80\x80\xe6\xac\xbe"}\n\ndata: {"n":2}\n\ndata: [DONE]' + ending

    def dribble(connection: socket.socket) -> None:
        connection.sendall(HEAD + f"content-length: {len(body)}\r\n\r\n".encode())
        for number in range(len(body)):
            connection.sendall(body[number : number + 1])

    assert list(far_side(dribble).events("GET", "/x")) == [{"text": "退款"}, {"n": 2}]


@pytest.fixture
def announced(empty_project: Project) -> Iterator[dict[str, Any]]:
    """What `server.json` would hold if a server of the project ran in this process, where somebody listens."""
    StatePaths(empty_project.state_dir).directory.mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield {
            "address": f"http://127.0.0.1:{listener.getsockname()[1]}",
            "pid": os.getpid(),
            "token": "t",
            "version": __version__,
            "env": None,
            "config": str((empty_project.root / "wrangler.toml").resolve()),
        }


@pytest.mark.parametrize(
    ("difference", "code"),
    [
        ({"env": "staging"}, "other_environment"),
        ({"version": "0.0.0"}, "other_version"),
        ({"config": "elsewhere/wrangler.toml"}, "other_configuration"),
    ],
)
def test_a_server_of_another_kind_is_not_used(
    empty_project: Project, announced: dict[str, Any], difference: dict[str, str], code: str
) -> None:
    write_atomically(StatePaths(empty_project.state_dir).server, json.dumps(announced | difference))
    with pytest.raises(StateError, match=next(iter(difference.values()))) as caught:
        Client.connect(empty_project)
    assert caught.value.code == code
    assert "edgecli serve" in (caught.value.hint or "")


def test_a_server_that_starts_is_waited_for(empty_project: Project, announced: dict[str, Any]) -> None:
    paths = StatePaths(empty_project.state_dir)
    owner = {"pid": os.getpid(), "command": "edgecli serve", "since": "now"}
    write_atomically(paths.owner, json.dumps(owner))
    later = threading.Timer(0.3, write_atomically, (paths.server, json.dumps(announced)))
    later.start()
    with Client.connect(empty_project) as client:
        assert client.warm
    later.join()
