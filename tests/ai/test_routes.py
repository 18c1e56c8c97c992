"""`ai/run` on the wire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from edgecli.config import load_project
from edgecli.runtime import Runtime
from edgecli.server.api import create_app
from tests.ai.conftest import EMBEDDING, GENERATION

pytestmark = pytest.mark.models

RUN = "/client/v4/accounts/any/ai/run/"


@pytest.fixture
def client(project: Path) -> Iterator[TestClient]:
    """The app of an empty project, in one event loop."""
    runtime = Runtime(load_project(cwd=project, config=None, env=None))
    headers = {"authorization": f"Bearer {runtime.token}"}
    with TestClient(create_app(runtime), base_url="http://localhost", headers=headers) as client:  # pyright: ignore
        yield client
        assert client.portal is not None
        client.portal.call(runtime.close)


def test_the_bytes_of_a_stream(client: TestClient) -> None:
    answer = client.post(RUN + GENERATION, json={"prompt": "Hi", "max_tokens": 4, "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.content.endswith(b"}\n\ndata: [DONE]\n\n")
    *events, done, rest = answer.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    assert all(event.startswith('data: {"response":"') for event in events)
    assert json.loads(events[-1].removeprefix("data: "))["usage"]["completion_tokens"] <= 4


@pytest.mark.parametrize("model", [EMBEDDING, EMBEDDING.replace("/", "%2F"), EMBEDDING.replace("@", "%40")])
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded", "text/plain"])
def test_ids_and_content_types_as_clients_send_them(client: TestClient, model: str, kind: str) -> None:
    answer = client.post(RUN + model, content=b' {"text": "\xe9\x80\x80\xe6\xac\xbe"}', headers={"content-type": kind})
    body = answer.json()
    assert (answer.status_code, body["success"], body["errors"], body["messages"]) == (200, True, [], [])
    assert body["result"]["shape"] == [1, 384]
    assert len(body["result"]["data"][0]) == 384
    assert body["result"]["pooling"] == "mean"
    assert answer.headers["cf-ai-req-id"]


def test_a_model_that_cannot_stream_answers_whole(client: TestClient) -> None:
    answer = client.post(RUN + EMBEDDING, json={"text": "x", "stream": True})
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["result"]["shape"] == [1, 384]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"[1]", 5006),
        (b"{", 5006),
        (b'{"prompt": 5}', 5006),
        (b'{"prompt": 5, "stream": true}', 5006),
        (b"", 3003),
        (b" \n", 3003),
        (b'{"temperature": NaN, "prompt": "a"}', 5006),
    ],
)
def test_bad_bodies(client: TestClient, body: bytes, code: int) -> None:
    answer = client.post(RUN + GENERATION, content=body)
    assert answer.status_code == 400
    assert (answer.json()["success"], answer.json()["result"]) == (False, {})
    assert answer.json()["errors"][0]["code"] == code


def test_a_prompt_larger_than_the_context(client: TestClient) -> None:
    for stream in (False, True):
        answer = client.post(RUN + GENERATION, json={"prompt": "hello " * 9000, "stream": stream})
        error: dict[str, Any] = answer.json()["errors"][0]
        assert (answer.status_code, error["code"], error["edge"]["code"]) == (400, 3030, "context_exceeded")


def test_describe(client: TestClient) -> None:
    facts = client.get("/edge/ai/describe", params={"model": EMBEDDING}).json()["result"]
    assert (facts["id"], facts["task"], facts["loaded"]) == (EMBEDDING, "Text Embeddings", False)
    assert client.get("/edge/ai/describe").status_code == 400
    unknown = client.get("/edge/ai/describe", params={"model": "@edge/none"})
    assert (unknown.status_code, unknown.json()["errors"][0]["code"]) == (400, 5007)
