"""The log of requests: one line each, whatever a client sends."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from edgecli.server.request_log import Form, RequestLog


def log(form: Form, *, path: str = "/a", body: bytes = b"", bodies: bool = False) -> None:
    """Send one request through the log."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"four"})

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    async def send(message: Message) -> None:
        del message

    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": path}
    asyncio.run(RequestLog(app, form=form, bodies=bodies)(scope, receive, send))


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_client_cannot_write_lines_of_its_own(capsys: pytest.CaptureFixture[str], form: Form) -> None:
    log(form, path="/退款\nGET /other 200\x1b[31m", body=b"a\nb\r\x9b\xe2\x80\xae", bodies=True)
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "退款" in said
    assert not {"\x1b", "\r"} & set(said)


def test_what_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    log("text", body=b"secret")
    assert capsys.readouterr().err.startswith("GET /a 200 OK (")
    log("json", body=b"secret")
    record = json.loads(capsys.readouterr().err)
    assert (record["status"], record["bytes"], record["path"]) == (200, 4, "/a")
    assert "body" not in record
    log("json", body=b"secret", bodies=True)
    assert json.loads(capsys.readouterr().err)["body"] == "secret"
    log("none", body=b"secret", bodies=True)
    assert capsys.readouterr().err == ""
