"""One line for each request: as a person reads it, or as JSON. Without what was asked and answered, unless wanted.

For the platform's paths: what a Worker answers is in its journal.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from typing import Any, Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgecli import console
from edgecli.plain import one_line
from edgecli.workers.display import duration, status_text

Form = Literal["none", "text", "json"]
LONGEST_BODY = 4096
"""Bytes of a body that are kept for the log, where bodies are wanted at all."""


class RequestLog:
    """ASGI middleware that writes the log to stderr."""

    def __init__(self, app: ASGIApp, *, form: Form, bodies: bool) -> None:
        """`bodies` logs the beginning of what clients send: prompts and documents."""
        self.app = app
        self.form = form
        self.bodies = bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self.form == "none":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        facts: dict[str, Any] = {"status": 499, "bytes": 0}
        asked = bytearray()

        async def hear() -> Message:
            message = await receive()
            if self.bodies and message["type"] == "http.request" and len(asked) < LONGEST_BODY:
                asked.extend(message.get("body", b"")[: LONGEST_BODY - len(asked)])
            return message

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                facts["status"] = message["status"]
            elif message["type"] == "http.response.body":
                facts["bytes"] += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, hear, tell)
        finally:
            facts["ms"] = round((time.perf_counter() - began) * 1000, 1)
            self._write(scope, facts, bytes(asked))

    def _write(self, scope: Scope, facts: dict[str, Any], asked: bytes) -> None:
        method, path = scope["method"], scope["path"]
        body = asked.decode("utf-8", "replace")
        if self.form == "text":
            line = f"{method} {path} {status_text(facts['status'])} ({duration(facts['ms'])})"
            console.note(one_line(f"{line} {body}" if body else line))
            return
        record = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "method": method, "path": path, **facts}
        if body:
            record["body"] = body
        sys.stderr.write(json.dumps(record, ensure_ascii=False) + "\n")
