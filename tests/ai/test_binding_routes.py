"""The AI binding, with the requests that workerd's `ai-api.ts` makes, and the starter models behind it."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from edgecli.workers.spec import Binding
from tests.ai.conftest import EMBEDDING, GENERATION
from tests.binding import Bound, serve

pytestmark = pytest.mark.models

BRIEF: dict[str, Any] = {"prompt": "Say hello.", "max_tokens": 6, "seed": 1}


@pytest.fixture(scope="module")
def bound(tmp_path_factory: pytest.TempPathFactory, edgecli_home: Any) -> Iterator[Bound]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGECLI_HOME", str(edgecli_home))
        with serve(tmp_path_factory.mktemp("ai"), [Binding("AI", "ai")]) as bound:
            yield bound


@pytest.fixture
def ai(bound: Bound) -> httpx.Client:
    return bound.binding("AI")


def run(ai: httpx.Client, model: str, inputs: Any, path: str = "/run", **options: Any) -> httpx.Response:
    body = {"inputs": inputs, "options": options}
    return ai.post(path, params={"version": "3"}, headers={"cf-consn-model-id": model}, json=body)


def test_a_result_is_bare_json(ai: httpx.Client) -> None:
    answer = run(ai, GENERATION, BRIEF)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert uuid.UUID(answer.headers["cf-ai-req-id"])
    assert answer.json()["usage"]["completion_tokens"] == 6
    prefixed = run(ai, f"prefix:{GENERATION}", BRIEF, "/ai-gateway/run", gateway={"id": "g"}, tags=["a"])
    assert prefixed.json()["response"] == answer.json()["response"]
    assert "cf-aig-log-id" not in prefixed.headers
    assert run(ai, EMBEDDING, {"text": ["甲", "b"]}).json()["shape"] == [2, 384]


def test_a_stream(ai: httpx.Client) -> None:
    answer = run(ai, GENERATION, BRIEF | {"stream": True})
    assert answer.headers["content-type"] == "text/event-stream"
    *events, done, rest = answer.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    said = "".join(json.loads(event.removeprefix("data: "))["response"] for event in events)
    assert said == run(ai, GENERATION, BRIEF).json()["response"]


@pytest.mark.parametrize(
    ("model", "inputs", "status", "code", "text"),
    [
        ("@cf/none/at-all", BRIEF, 400, 5007, "No such model @cf/none/at-all or task"),
        (GENERATION, {}, 400, 5006, "required properties at '/' are 'prompt'"),
        (GENERATION, "text", 400, 5006, "Type mismatch of '/', 'object' not in 'string'"),
        ("@cf/openai/whisper", {"audio": [1]}, 400, 5007, "no engine `whisper` is available yet"),
        ("", BRIEF, 400, 5006, "the header `cf-consn-model-id` names no model"),
    ],
)
def test_an_error_has_both_forms(ai: httpx.Client, model: str, inputs: Any, status: int, code: int, text: str) -> None:
    answer = run(ai, model, inputs)
    body = answer.json()
    assert (answer.status_code, body["internalCode"], body["name"]) == (status, code, "InferenceUpstreamError")
    assert text in body["description"]
    assert body["errors"] == [{"code": code, "message": body["description"]}]
    assert answer.headers["cf-ai-req-id"] == body["requestId"]


def test_a_hint_reaches_the_developer(ai: httpx.Client) -> None:
    said = run(ai, "@edge/smollm2-135m-instrukt", BRIEF).json()["description"]
    assert said.endswith(f"Did you mean `{GENERATION}`?") or GENERATION in said


def test_a_stream_as_input_is_refused_by_what_takes_text(ai: httpx.Client) -> None:
    query = {"version": "3", "userInputs": "{}"}
    headers = {"cf-consn-model-id": GENERATION, "content-type": "audio/mpeg"}
    answer = ai.post("/run", params=query, headers=headers, content=iter([b"\xff\xfb"]))
    assert (answer.status_code, answer.json()["internalCode"]) == (400, 5006)
    assert "takes no stream" in answer.json()["description"]


def test_a_batch_is_taken_and_asked_for(ai: httpx.Client) -> None:
    batch = {"requests": [{"text": ["a"]}, {"text": ["b"]}]}
    queued = run(ai, EMBEDDING, batch, queueRequest=True).json()
    assert (queued["status"], queued["model"]) == ("queued", EMBEDDING)
    polled: dict[str, Any] = {}
    for _ in range(200):
        polled = run(ai, EMBEDDING, {"request_id": queued["request_id"]}).json()
        if "responses" in polled:
            break
        time.sleep(0.05)
    assert [each["success"] for each in polled["responses"]] == [True, True]


def test_models_are_searched(ai: httpx.Client) -> None:
    found = ai.get("/ai-api/models/search", params={"search": "minilm"}).json()["result"]
    assert EMBEDDING in [model["name"] for model in found]
    wrong = ai.get("/ai-api/models/search", params={"page": 0})
    assert (wrong.status_code, wrong.json()["errors"][0]["code"]) == (400, 5006)


def test_files_become_markdown(ai: httpx.Client) -> None:
    files = {
        "a.html": "<h1>标题</h1><p>一 two</p>".encode(),
        "picture.png": b"\x89PNG\r\n\x1a\n\0",
        "b.md": "# 甲\n".encode(),
        "empty.txt": b"",
    }
    sent = [{"name": name, "mimeType": "", "data": base64.b64encode(data).decode()} for name, data in files.items()]
    sent.append({"name": "/", "mimeType": "text/html", "data": base64.b64encode(b"<h2>page</h2>").decode()})
    sent.append({"name": "bad.txt", "mimeType": "", "data": "!"})
    answer = ai.post("/to-everything/markdown/transformer", json={"files": sent, "options": {}})
    html, picture, markdown, empty, page, bad = answer.json()["result"]
    assert (html["name"], html["format"], html["data"]) == ("a.html", "markdown", "# 标题\n\n一 two")
    assert 0 < html["tokens"] < 20
    assert uuid.UUID(html["id"])
    assert (picture["format"], "is a PNG image, not text" in picture["error"]) == ("error", True)
    assert markdown["data"] == "# 甲\n"
    assert (empty["format"], empty["error"][:26]) == ("error", "`empty.txt` has no text. A")
    assert page["data"] == "## page"
    assert bad["error"] == "The data of `bad.txt` is not base64"
    kinds = ai.get("/to-everything/markdown/supported").json()["result"]
    assert {"extension": ".pdf", "mimeType": "application/pdf"} in kinds
    assert ai.post("/to-everything/markdown/transformer", json={}).json()["errors"][0]["code"] == 5006


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("POST", "/autorag/rags/x/search", "env.AI.autorag()"),
        ("GET", "/autorag/rags", "env.AI.autorag()"),
        ("GET", "/ai-gateway/gateways/g/url/openai", "env.AI.gateway()"),
        ("PATCH", "/ai-gateway/gateways/g/logs/l", "env.AI.gateway()"),
        ("POST", "/ai-gateway/universal/run/g", "env.AI.gateway()"),
    ],
)
def test_a_product_that_is_not_there_is_named(ai: httpx.Client, method: str, path: str, name: str) -> None:
    answer = ai.request(method, path)
    assert (answer.status_code, answer.json()["success"]) == (501, False)
    assert f"`{name}` has nobody to answer it" in answer.json()["errors"][0]["message"]


def test_wranglers_tunnel_answers_as_the_binding_does(bound: Bound) -> None:
    """What `wrangler dev` of version 3 sends: the binding's own request, its URL in a header."""
    tunnel = "/client/v4/accounts/any/ai/run/proxy"
    headers = {"x-forwarded": "http://workers-binding.ai/run?version=3", "cf-consn-model-id": GENERATION}
    answer = bound.post(tunnel, headers=headers, json={"inputs": BRIEF, "options": {}})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json()["usage"]["completion_tokens"] == 6
    for url in ("http://a/../kv/x", "http://a/kv/x", ""):
        answer = bound.post(tunnel, headers={"x-forwarded": url})
        assert (answer.status_code, answer.json()["internalCode"]) == (404, 7000)


def test_what_was_not_pulled_is_told_with_the_way_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECLI_HOME", str(tmp_path / "home"))
    with serve(tmp_path, [Binding("AI", "ai")]) as bound:
        ai = bound.binding("AI")
        assert f"edgecli models pull {GENERATION}" in run(ai, GENERATION, BRIEF).json()["description"]
        files = {"files": [{"name": "a.md", "mimeType": "", "data": base64.b64encode("甲乙丙丁".encode()).decode()}]}
        (converted,) = ai.post("/to-everything/markdown/transformer", json=files).json()["result"]
        assert (converted["data"], converted["tokens"]) == ("甲乙丙丁", 3)
