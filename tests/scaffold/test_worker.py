"""The Worker of the template, on a stand-in for Cloudflare's `workers` module and its bindings' answers."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from edgecli.scaffold.templates import find_template


@dataclass
class Response:
    data: Any
    status: int

    @staticmethod
    def json(data: Any, status: int = 200) -> Response:
        json.dumps(data)
        return Response(data, status)


class WorkerEntrypoint:
    def __init__(self, env: Any) -> None:
        self.env = env


@dataclass
class Request:
    url: str = "https://app.example/"
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: str = ""

    async def json(self) -> Any:
        return json.loads(self.body)


class Models:
    """Answer as Workers AI does, and remember what was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    async def run(self, model: str, inputs: dict[str, Any]) -> dict[str, Any]:
        self.calls.append((model, inputs))
        if "text" in inputs:
            return {"shape": [1, 3], "data": [[0.1, 0.2, 0.3]], "pooling": "mean"}
        return {"response": "Within 30 days of delivery [1].", "usage": {"total_tokens": 9}}


class Index:
    """Answer as a Vectorize binding does."""

    def __init__(self, *metadata: dict[str, Any]) -> None:
        self.metadata = metadata
        self.options: dict[str, Any] = {}

    async def query(self, vector: list[float], options: dict[str, Any]) -> dict[str, Any]:
        assert vector == [0.1, 0.2, 0.3]
        self.options = options
        matches = [{"id": str(n), "score": 0.9 - n / 10, "metadata": each} for n, each in enumerate(self.metadata)]
        return {"count": len(matches), "matches": matches}


PASSAGE = {
    "text": "You can ask within 30 days.",
    "file": "refunds.md",
    "heading": "Refund policy",
    "docId": "d",
}


@pytest.fixture
def entrypoint(monkeypatch: pytest.MonkeyPatch) -> Any:
    workers = ModuleType("workers")
    vars(workers).update(Response=Response, WorkerEntrypoint=WorkerEntrypoint)
    monkeypatch.setitem(sys.modules, "workers", workers)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    spec = importlib.util.spec_from_file_location("worker", find_template("rag").path / "src" / "worker.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Default


def environment(*passages: dict[str, Any], **more: Any) -> SimpleNamespace:
    names = {"CHAT_MODEL": "chat", "EMBEDDING_MODEL": "embed", "TOP_K": 4}
    return SimpleNamespace(AI=Models(), VECTORS=Index(*passages), **names, **more)


def fetch(entrypoint: Any, env: Any, request: Request) -> Response:
    return asyncio.run(entrypoint(env).fetch(request))


@pytest.mark.parametrize(
    "request_",
    [
        Request("https://app.example/?q=%E9%80%80%E6%AC%BE%3F"),
        Request(method="POST", body='{"question": "退款?"}'),
    ],
    ids=["GET", "POST"],
)
def test_a_question_is_answered_from_what_was_found(entrypoint: Any, request_: Request) -> None:
    env = environment(PASSAGE, {"text": "Sealed.", "file": "opened.md"})
    response = fetch(entrypoint, env, request_)
    assert response.status == 200
    assert response.data["answer"] == "Within 30 days of delivery [1]."
    assert [(each["n"], each["file"]) for each in response.data["sources"]] == [
        (1, "refunds.md"),
        (2, "opened.md"),
    ]
    assert env.VECTORS.options == {"topK": 4, "returnMetadata": "all"}
    (_, embedded), (_, asked) = env.AI.calls
    assert embedded == {"text": ["退款?"]}
    assert "[1] refunds.md: Refund policy\nYou can ask within 30 days." in asked["messages"][0]["content"]
    assert asked["messages"][1] == {"role": "user", "content": "退款?"}


def test_without_evidence_the_model_is_not_asked(entrypoint: Any) -> None:
    env = environment()
    response = fetch(entrypoint, env, Request("https://app.example/?q=x"))
    assert response.data["sources"] == []
    assert [model for model, _ in env.AI.calls] == ["embed"]


@pytest.mark.parametrize(
    "request_",
    [
        Request(),
        Request("https://app.example/?q=%20"),
        Request("https://app.example/?q=" + "x" * 2001),
        Request(method="POST", body="{"),
        Request(method="POST", body="[]"),
        Request(method="POST", body='{"question": 5}'),
        Request("https://app.example/?q=x", method="DELETE"),
    ],
    ids=["none", "blank", "long", "no JSON", "list", "number", "DELETE"],
)
def test_what_is_no_question_is_refused(entrypoint: Any, request_: Request) -> None:
    env = environment(PASSAGE)
    assert fetch(entrypoint, env, request_).status == 400
    assert env.AI.calls == []


@pytest.mark.parametrize(("header", "status"), [("", 401), ("Bearer wrong", 401), ("Bearer 秘密", 200)])
def test_a_token_is_asked_for_where_one_is_set(entrypoint: Any, header: str, status: int) -> None:
    request = Request("https://app.example/?q=x", headers={"Authorization": header} if header else {})
    assert fetch(entrypoint, environment(PASSAGE, ACCESS_TOKEN="秘密"), request).status == status
