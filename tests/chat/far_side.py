"""The far side of the network: a small server of the API's two streams, as slow and as wrong as asked.

The question decides what it does; a question that means nothing to it is echoed.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODELS = ["@edge/talker", "@edge/walker"]
INDEXES = ["handbook", "help-centre"]
CONTEXT = 100
SOURCES = [
    {
        "n": 1,
        "id": "a:0",
        "file": "docs/refunds.md",
        "heading": "Money > Refunds",
        "score": 0.9,
        "text": "30 days.",
    },
    {"n": 2, "id": "b:0", "file": "docs/退款.md", "heading": "", "score": 0.5, "text": "三十天。"},
]


@dataclass
class FarSide:
    """A running server, and what it was asked."""

    port: int = 0
    requests: list[dict[str, Any]] = field(default_factory=list)
    hung_up: threading.Event = field(default_factory=threading.Event)
    """Set when a client left in the middle of a slow answer."""
    stand_in: str | None = None
    go_on: threading.Event = field(default_factory=threading.Event)
    """To be set by the test: ends a pause in the middle of an answer."""

    def bodies(self, path_end: str) -> list[dict[str, Any]]:
        return [request["body"] for request in self.requests if request["path"].endswith(path_end)]

    def start(self) -> ThreadingHTTPServer:
        side = self

        class Handler(_Handler):
            far_side = side

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server


class _Handler(BaseHTTPRequestHandler):
    far_side: FarSide
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        del format, args

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/edge/models":
            facts = {"stand_in": self.far_side.stand_in, "context": CONTEXT, "installed": True}
            self._result([{"id": name, **facts} for name in MODELS])
        elif path == "/edge/ai/describe":
            self._result({"id": MODELS[0], "context": CONTEXT})
        elif path.endswith("/vectorize/v2/indexes"):
            self._result([{"name": name} for name in INDEXES])
        else:
            self._error(404, 7000, "no_route", f"No route for {path}.", 3)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.far_side.requests.append({"path": self.path, "body": body, "token": self.headers["authorization"]})
        if self.path == "/edge/ask":
            self._ask(body)
        else:
            self._run(body)

    def _run(self, body: dict[str, Any]) -> None:
        question = body["messages"][-1]["content"]
        used = sum(len(message["content"]) for message in body["messages"])
        if used > CONTEXT and question.startswith("fit"):
            self._error(
                400,
                3030,
                "context_exceeded",
                f"The prompt has {used} tokens, the context holds {CONTEXT}.",
                7,
                details={"prompt_tokens": used, "context": CONTEXT},
            )
            return
        if question == "refuse":
            self._error(404, 5007, "unknown_model", "There is no such model.", 3)
            return
        self._begin()
        if self._trouble(question):
            return
        for piece in _pieces(question):
            self._event({"response": piece})
        self._event({"response": "", "usage": _usage(used, 5)})
        self._end()

    def _trouble(self, question: str) -> bool:
        if question == "slow":
            self._slowly()
        elif question == "pause":
            self._event({"response": "Before. "})
            self.far_side.go_on.wait(20)
            self._event({"response": "After.", "usage": _usage(1, 2)})
            self._end()
        elif question == "break":
            self._event({"response": "Half an "})
            error = {
                "code": 8007,
                "message": "The engine failed.",
                "edge": {"code": "engine", "exit_code": 5},
            }
            self._event({"error": error})
            self._end()
        elif question == "vanish":
            self._event({"response": "Half an "})
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif question == "end early":
            self._event({"response": "Half an "})
            self._end()
        else:
            return False
        return True

    def _slowly(self) -> None:
        try:
            for number in range(2000):
                self._event({"response": f"word{number} "})
                time.sleep(0.02)
        except OSError:
            self.far_side.hung_up.set()
            self.close_connection = True

    def _ask(self, body: dict[str, Any]) -> None:
        if body["index"] not in INDEXES:
            self._error(404, 3000, "unknown_index", f"There is no index `{body['index']}`.", 3)
            return
        self._begin()
        self._event({"event": "sources", "sources": SOURCES, "dropped": []})
        if self._trouble(body["question"]):
            return
        lone = body["question"] == "guess"
        answer = "It takes 3 weeks." if lone else "You have 30 days [1]."
        for piece in _pieces(answer):
            self._event({"response": piece})
        done = {
            "event": "done",
            "answer": answer,
            "sources": SOURCES,
            "cited": [] if lone else [1],
            "grounded": not lone,
            "unsupported": [answer] if lone else [],
            "dropped": [],
            "method": "quoted" if body["question"] == "quote" else "generated",
            "model": body["model"],
            "usage": _usage(50, 6),
            "timings": {"retrieve": 0.1, "generate": 0.2, "total": 0.3},
        }
        self._event(done)
        self._end()

    def _begin(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()

    def _event(self, event: dict[str, Any]) -> None:
        data = b"data: " + json.dumps(event).encode() + b"\n\n"
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _end(self) -> None:
        data = b"data: [DONE]\n\n"
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n0\r\n\r\n")

    def _result(self, result: Any) -> None:
        self._json(200, {"result": result, "success": True, "errors": [], "messages": []})

    def _error(self, status: int, cf_code: int, code: str, message: str, exit_code: int, **edge: Any) -> None:
        error = {"code": cf_code, "message": message, "edge": {"code": code, "exit_code": exit_code, **edge}}
        self._json(status, {"result": {}, "success": False, "errors": [error], "messages": []})

    def _json(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _pieces(question: str) -> list[str]:
    if question.startswith("markdown"):
        text = "# Title\n\nSome **bold** text.\n\n```python\nprint('hi')\n```\n\nThe end."
    else:
        text = question
    return [text[start : start + 7] for start in range(0, len(text), 7)]


def _usage(prompt: int, completion: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
