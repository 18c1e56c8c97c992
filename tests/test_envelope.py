"""What becomes of an answer whose client goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from edgecli.envelope import CLIENT_GONE, failure, ok, read_json, sse, while_connected
from edgecli.errors import LimitError, NotFoundError, UsageError


class Client:
    """The receiving side of a request whose body has been read."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.request = Request({"type": "http"}, self._receive)

    async def _receive(self) -> dict[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}


def test_work_ends_with_the_client_that_wanted_it() -> None:
    async def scene() -> None:
        client = Client()
        ended = asyncio.Event()

        async def work() -> Response:
            client.left.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
            raise AssertionError("nobody sets the event")

        answer = await asyncio.wait_for(while_connected(client.request, work()), 20)
        assert answer.status_code == CLIENT_GONE
        assert ended.is_set()

    asyncio.run(scene())


def test_a_client_that_stays_gets_the_answer_or_the_error() -> None:
    async def right() -> Response:
        return ok({"n": 1})

    async def wrong() -> Response:
        raise NotFoundError("`x` is not here.")

    async def scene() -> None:
        assert (await while_connected(Client().request, right())).status_code == 200
        with pytest.raises(NotFoundError, match="not here"):
            await while_connected(Client().request, wrong())

    asyncio.run(scene())


def test_a_stream_that_cannot_be_sent_closes_its_source_before_it_returns() -> None:
    async def scene() -> None:
        closed = asyncio.Event()

        async def events() -> AsyncGenerator[dict[str, int]]:
            try:
                while True:
                    yield {"n": 1}
            finally:
                closed.set()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                raise OSError("the client has gone")

        response = await sse(events())
        with pytest.raises(ClientDisconnect):
            await response({"type": "http", "asgi": {"spec_version": "2.4"}}, Client()._receive, send)
        assert closed.is_set()

    asyncio.run(scene())


def test_events_with_names_and_an_error_of_their_own_form() -> None:
    async def events() -> AsyncGenerator[dict[str, str]]:
        yield {"type": "begin"}
        raise NotFoundError("`x` is not here.")

    async def scene() -> bytes:
        body = bytearray()

        async def send(message: Any) -> None:
            body.extend(message.get("body", b""))

        response = await sse(events(), named=True, failed=lambda error: [{"type": "error", "why": error.message}])
        await response({"type": "http", "asgi": {"spec_version": "2.4"}}, Client()._receive, send)
        return bytes(body)

    assert asyncio.run(scene()) == (
        b'event: begin\ndata: {"type":"begin"}\n\nevent: error\ndata: {"type":"error","why":"`x` is not here."}\n\n'
    )


def test_a_request_that_took_too_long_is_not_sent_again_by_clients() -> None:
    assert failure(LimitError("slow", status=408)).headers["x-should-retry"] == "false"
    busy = failure(LimitError("busy")).headers
    assert (busy["retry-after"], "x-should-retry" in busy) == ("1", False)


def test_a_client_that_leaves_while_it_sends_is_no_fault() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    with pytest.raises(UsageError) as caught:
        asyncio.run(read_json(Request({"type": "http"}, receive)))
    assert (caught.value.status, caught.value.cf_code) == (CLIENT_GONE, 3008)
