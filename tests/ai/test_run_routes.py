"""`ai/run` and its neighbours on the wire, with the starter models behind them."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from edgecli.ai.wire import add_calls, answer_of, calls_of_event
from edgecli.config import load_project
from edgecli.runtime import Runtime
from edgecli.server.api import create_app
from tests.ai.conftest import EMBEDDING, GENERATION

pytestmark = pytest.mark.models

BASE = "/client/v4/accounts/any/ai/"
GLM = "@cf/zai-org/glm-4.7-flash"
OSS = "@cf/openai/gpt-oss-20b"
BGE = "@cf/baai/bge-m3"
QWEN = "@cf/qwen/qwen3-embedding-0.6b"
STAND_IN = f"""
name = "test"
[edgecli.generation]
context = 1024
[edgecli.models."{GLM}"]
use = "{GENERATION}"
[edgecli.models."{OSS}"]
use = "{GENERATION}"
[edgecli.models."{QWEN}"]
use = "{EMBEDDING}"
[edgecli.models."{BGE}"]
use = "{EMBEDDING}"
[edgecli.models."@local/strict"]
task = "Text Generation"
engine = "llama_cpp"
source = "file:none.gguf"
capabilities = ["strict"]
"""
BRIEF: dict[str, Any] = {"prompt": "Say hello.", "max_tokens": 6, "seed": 1}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, edgecli_home: Path) -> Iterator[TestClient]:
    """The app of a project in which a small model stands in for newer ones."""
    root = tmp_path_factory.mktemp("project")
    (root / "wrangler.toml").write_text(STAND_IN, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGECLI_HOME", str(edgecli_home))
        runtime = Runtime(load_project(cwd=root, config=None, env=None))
        with TestClient(create_app(runtime), base_url="http://localhost") as client:  # pyright: ignore
            yield client
            assert client.portal is not None
            client.portal.call(runtime.close)


def run(client: TestClient, model: str, inputs: dict[str, Any], **query: str) -> Any:
    answer = client.post(f"{BASE}run/{model}", json=inputs, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def error(client: TestClient, path: str, **request: Any) -> tuple[int, int, str]:
    answer = client.request(request.pop("method", "POST"), BASE + path, **request)
    body = answer.json()
    assert (body["success"], body["result"]) == (False, {})
    if path.startswith("run"):
        assert uuid.UUID(answer.headers["cf-ai-req-id"])
    return answer.status_code, body["errors"][0]["code"], body["errors"][0]["message"]


def events(client: TestClient, model: str, inputs: dict[str, Any]) -> list[dict[str, Any]]:
    answer = client.post(f"{BASE}run/{model}", json=inputs | {"stream": True})
    *lines, done, rest = answer.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [json.loads(line.removeprefix("data: ")) for line in lines]


@pytest.mark.slow
def test_the_model_in_the_body(client: TestClient) -> None:
    expected = run(client, GENERATION, BRIEF)["response"]
    for body in ({"model": GENERATION, "input": BRIEF}, {"model": GENERATION} | BRIEF):
        answer = client.post(f"{BASE}run", json=body)
        assert answer.json()["result"]["response"] == expected != ""
        assert answer.headers["cf-ai-req-id"]


def test_json_under_the_content_type_of_a_form(client: TestClient) -> None:
    content = json.dumps(BRIEF).encode()
    for kind in ("application/x-www-form-urlencoded", "text/plain", None):
        headers = {"content-type": kind} if kind else {}
        answer = client.post(f"{BASE}run/{GENERATION}", content=content, headers=headers)
        assert answer.json()["success"]


def test_a_newer_model_answers_with_a_chat_completion(client: TestClient) -> None:
    inputs = {"messages": [{"role": "user", "content": [{"type": "text", "text": "Say hello."}]}], "max_tokens": 6}
    result = run(client, GLM, inputs | {"n": 2, "temperature": 0.9, "logprobs": True, "top_logprobs": 2})
    assert (result["object"], result["model"], len(result["choices"])) == ("chat.completion", GLM, 2)
    assert result["usage"]["completion_tokens"] <= 12
    for choice in result["choices"]:
        assert choice["message"]["content"]
        assert len(choice["logprobs"]["content"]) >= 1
        assert len(choice["logprobs"]["content"][0]["top_logprobs"]) == 2


def test_a_newer_model_streams_chunks(client: TestClient) -> None:
    *chunks, extra = events(client, GLM, BRIEF)
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert chunks[-1]["choices"][0]["finish_reason"] in {"stop", "length"}
    assert set(extra) == {"response", "usage"}


def test_gpt_oss_takes_responses_and_chats_but_not_both(client: TestClient) -> None:
    result = run(client, OSS, {"input": "Say hello.", "max_output_tokens": 6})
    assert (result["object"], result["model"]) == ("response", OSS)
    assert client.get(f"{BASE}v1/responses/{result['id']}").json() == result
    assert run(client, OSS, BRIEF)["object"] == "chat.completion"
    status, code, said = error(client, f"run/{OSS}", json={"input": "a", "messages": []})
    assert (status, code) == (400, 5006)
    assert "mutually exclusive" in said


def until(client: TestClient, model: str) -> float | None:
    token = client.app.app.state.runtime.token  # type: ignore[attr-defined]
    found = client.get("/edge/ai/describe", params={"model": model}, headers={"authorization": f"Bearer {token}"})
    return found.json()["result"]["seconds_left"]


TEXTS: dict[str, Any] = {"input": ["a"]}
CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}


@pytest.mark.parametrize(
    ("path", "model", "body"),
    [
        (f"run/{GENERATION}", GENERATION, {"prompt": "Hi", "max_tokens": 1}),
        (f"run/{OSS}", GENERATION, {"input": "Hi", "max_output_tokens": 1}),
        (f"run/{EMBEDDING}", EMBEDDING, {"text": "Hi"}),
        ("v1/chat/completions", GENERATION, CHAT),
        ("v1/completions", GENERATION, {"prompt": "Hi", "max_tokens": 1}),
        ("v1/responses", GENERATION, {"input": "Hi", "max_output_tokens": 1}),
        ("v1/messages", GENERATION, CHAT),
        ("v1/embeddings", EMBEDDING, TEXTS),
    ],
)
def test_how_long_a_model_stays(client: TestClient, path: str, model: str, body: dict[str, Any]) -> None:
    for asked, kept in ((-1, None), ("2h", 7200), ("5m", 300)):
        answer = client.post(BASE + path, json={"model": model} | body | {"keep_alive": asked})
        assert answer.status_code == 200, answer.text
        left = until(client, model)
        assert (left is None) if kept is None else (left is not None and kept - 60 < left <= kept)
    answer = client.post(BASE + path, json={"model": model} | body | {"keep_alive": "soon"})
    assert answer.status_code == 400
    assert "'/keep_alive' is 'soon'" in answer.text


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("v1/chat/completions", CHAT),
        ("v1/completions", {"prompt": "Hi", "max_tokens": 1}),
        ("v1/responses", {"input": "Hi", "max_output_tokens": 1}),
        ("v1/messages", CHAT),
        ("v1/embeddings", TEXTS),
    ],
)
def test_answers_name_the_model_that_was_asked_for(client: TestClient, path: str, body: dict[str, Any]) -> None:
    asked = BGE if path == "v1/embeddings" else GLM
    assert client.post(BASE + path, json={"model": asked} | body).json()["model"] == asked
    if path == "v1/embeddings":
        return
    text = client.post(BASE + path, json={"model": asked, "stream": True} | body).text
    assert f'"model":"{asked}"' in text
    assert GENERATION not in text


def test_errors_have_the_form_of_their_api(client: TestClient) -> None:
    def said(method: str, path: str) -> tuple[int, Any]:
        answer = client.request(method, f"{BASE}v1/{path}")
        return answer.status_code, answer.json()

    status, body = said("GET", "messages")
    assert (status, body["type"], body["error"]["type"]) == (405, "error", "invalid_request_error")
    status, body = said("GET", "messages/batches")
    assert (status, body["type"], body["error"]["type"]) == (404, "error", "not_found_error")
    status, body = said("GET", "responses/resp_1/input_items")
    assert (status, set(body), body["error"]["code"]) == (404, {"error"}, "no_route")
    for method, path in (("GET", "files"), ("GET", "models/@edge/none"), ("GET", "chat/completions")):
        status, body = said(method, path)
        assert body["error"]["message"].startswith(body["errors"][0]["message"])
        assert body["error"]["errors"] == body["errors"]
    assert "error" not in client.get(f"{BASE}nothing").json()


def test_a_stand_in_compares_and_embeds_as_the_model_it_stands_for(client: TestClient) -> None:
    contexts = [{"text": "The sky is blue."}, {"text": "You get your money back."}]
    response = run(client, BGE, {"query": "Can I have a refund?", "contexts": contexts})["response"]
    assert [each["id"] for each in response] == [1, 0]
    assert 1 >= response[0]["score"] > response[1]["score"]
    embedded = run(client, BGE, {"contexts": contexts})
    assert (embedded["shape"], len(embedded["response"])) == ([2, 384], 2)
    long = {"text": "word " * 1000}
    assert error(client, f"run/{BGE}", json=long)[:2] == (400, 3030)
    assert run(client, BGE, long | {"truncate_inputs": True})["shape"] == [1, 384]
    assert run(client, QWEN, {"queries": ["a", "b"], "documents": "c"})["shape"] == [3, 384]
    assert "not taken" in error(client, f"run/{EMBEDDING}", json={"query": "a", "contexts": contexts})[2]


def test_streams_have_the_content_type_of_workers_ai(client: TestClient) -> None:
    for path, body in ((f"run/{GENERATION}", BRIEF), ("v1/messages", {"model": GENERATION} | CHAT)):
        answer = client.post(BASE + path, json=body | {"stream": True})
        assert answer.headers["content-type"] == "text/event-stream"


@pytest.mark.slow
def test_what_was_cut_is_told(client: TestClient) -> None:
    long = {"prompt": "hello " * 1500, "max_tokens": 2}
    assert error(client, f"run/{GENERATION}", json=long)[:2] == (400, 3030)
    result = run(client, GENERATION, long | {"truncate": "head"})
    assert result["truncated"]["strategy"] == "head"
    assert result["truncated"]["tokens"] > 400


@pytest.mark.slow
def test_json_mode(client: TestClient) -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    form = {"type": "json_schema", "json_schema": schema | {"additionalProperties": False}}
    asked = {"prompt": "Is water wet?", "max_tokens": 40, "seed": 1}
    assert set(run(client, GENERATION, asked | {"response_format": form})["response"]) == {"ok"}
    assert set(run(client, GENERATION, asked | {"guided_json": form["json_schema"]})["response"]) == {"ok"}
    said = run(client, GLM, asked | {"response_format": form})["choices"][0]["message"]["content"]
    assert set(json.loads(said)) == {"ok"}
    short = asked | {"response_format": form, "max_tokens": 1}
    assert error(client, f"run/{GENERATION}", json=short) == (403, 5024, "AiError: JSON Mode couldn't be met")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", [GENERATION, GLM])
@pytest.mark.slow
def test_a_tool_that_has_to_be_called(client: TestClient, model: str, stream: bool) -> None:
    parameters = {"type": "object", "properties": {"city": {"enum": ["Oslo"]}}, "required": ["city"]}
    tool = {"name": "get_weather", "description": "Weather", "parameters": parameters | {"additionalProperties": False}}
    inputs = {
        "messages": [{"role": "user", "content": "Weather in Oslo?"}],
        "tools": [tool],
        "tool_choice": "required",
        "max_tokens": 80,
        "seed": 1,
    }
    if stream:
        said = events(client, model, inputs)
        calls: list[dict[str, Any]] = []
        for event in said:
            add_calls(calls, calls_of_event(event))
        reasons = [
            event["choices"][0]["finish_reason"] if "choices" in event else event.get("finish_reason") for event in said
        ]
        assert "tool_calls" in reasons
        name, arguments = calls[0]["name"], json.loads(calls[0]["arguments"])
    else:
        call = answer_of(run(client, model, inputs))[0]
        name = call["name"] if model == GENERATION else call["function"]["name"]
        arguments = call["arguments"] if model == GENERATION else json.loads(call["function"]["arguments"])
    assert (name, arguments) == ("get_weather", {"city": "Oslo"})


@pytest.mark.parametrize(
    ("path", "request_", "expected"),
    [
        ("run/@cf/x/y", {"json": {"prompt": "a"}}, (400, 5007, "No such model @cf/x/y or task")),
        ("run/@cf%2Fx%2Fy", {"json": {"prompt": "a"}}, (400, 5007, "No such model @cf/x/y or task")),
        ("run/@cf/openai/whisper", {"json": {"audio": [1]}}, (400, 5007, "No such model @cf/openai/whisper or task")),
        ("run/@cf/openai/whisper", {"content": b"RIFF"}, (400, 5007, "No such model @cf/openai/whisper or task")),
        ("run/nonsense", {"json": {"prompt": "a"}}, (404, 3042, "Invalid model ID")),
        ("run/a%20b/c", {"json": {"prompt": "a"}}, (404, 3042, "Invalid model ID")),
        ("run/", {"json": {"prompt": "a"}}, (404, 7000, "No route for that URI")),
        ("run/" + GENERATION, {"content": b""}, (400, 3003, "Missing headers or body")),
        ("run/" + GENERATION, {"content": b"x"}, (400, 5006, "not valid JSON")),
        ("run/" + GENERATION, {"json": {"prompt": "a", "top_k": 51}}, (400, 5006, "'/top_k' is 51")),
        ("run/" + GENERATION, {"json": {"prompt": "a", "options": 5}}, (400, 5006, "'/options', 'object' not in")),
        ("run/" + GENERATION, {"json": {"prompt": "a", "lora": "none"}}, (400, 3039, "No such LoRA adapter")),
        ("run", {"json": {"prompt": "a"}}, (400, 5006, "required properties at '/' are 'model'")),
        ("run", {"json": {"model": 5}}, (400, 5006, "Type mismatch of '/model', 'string' not in 'integer'")),
        (
            "run/@local/strict",
            {"json": {"prompt": "a", "width": 1, "height": 1}},
            (400, 5006, "Additional or unevaluated properties '/width, /height' at '/' not allowed"),
        ),
        ("nothing", {"method": "GET"}, (404, 7000, "No route")),
        ("models/schema", {"method": "GET", "params": {"model": "@cf/x/y"}}, (400, 6002, "No such model")),
        ("models/search", {"method": "GET", "params": {"page": "0"}}, (400, 5006, "'/page' is \"0\"")),
    ],
)
def test_errors_have_their_codes(
    client: TestClient, path: str, request_: dict[str, Any], expected: tuple[int, int, str]
) -> None:
    status, code, said = error(client, path, **request_)
    assert (status, code) == expected[:2]
    assert expected[2] in said


def test_a_busy_model_refuses_who_does_not_wait(client: TestClient) -> None:
    limits = client.app.app.state.runtime.ai.limits  # type: ignore[attr-defined]
    slots, limits._slots = limits._slots, 0
    try:
        for model, inputs in ((GENERATION, BRIEF), (OSS, {"input": "Hi"})):
            answer = client.post(f"{BASE}run/{model}", json=inputs | {"options": {"rejectIfBusy": True}})
            assert (answer.status_code, answer.json()["errors"][0]["code"]) == (429, 3040)
            assert int(answer.headers["retry-after"]) >= 1
        assert client.post(f"{BASE}run/{GENERATION}", json=BRIEF | {"options": {}}).status_code == 200
    finally:
        limits._slots = slots


@pytest.mark.parametrize(
    ("model", "requests"),
    [
        (GENERATION, [BRIEF | {"external_reference": "a"}, {"prompt": ""}]),
        (EMBEDDING, [{"text": ["a", "b"], "external_reference": "a"}, {"text": ""}]),
    ],
)
def test_a_batch(client: TestClient, model: str, requests: list[dict[str, Any]]) -> None:
    queued = run(client, model, {"requests": requests}, queueRequest="true")
    assert (queued["status"], queued["model"]) == ("queued", model)
    found: dict[str, Any] = queued
    for _ in range(600):
        found = run(client, model, {"request_id": queued["request_id"]}, queueRequest="true")
        if "status" not in found:
            break
        assert found["status"] in {"queued", "running"}
        time.sleep(0.05)
    good, bad = found["responses"]
    assert (good["id"], good["success"], good["external_reference"]) == (0, True, "a")
    assert good["result"] == json.loads(json.dumps(good["result"]))
    assert (bad["id"], bad["success"], bad["errors"][0]["code"]) == (1, False, 5006)
    assert set(found["usage"]) == {"prompt_tokens", "completion_tokens", "total_tokens"}
    assert run(client, model, {"request_id": queued["request_id"]}) == found, "the binding polls without the query"
    for query in ({"queueRequest": "true"}, {}):
        unknown = error(client, f"run/{model}", json={"request_id": "x"}, params=query)
        assert unknown[0] == 404


def test_the_catalog(client: TestClient) -> None:
    body = client.get(f"{BASE}models/search", params={"per_page": 50, "page": 2}).json()
    assert len(body["result"]) == body["result_info"]["count"] == 50
    assert client.get(f"{BASE}models/search", params={"page": 99}).json()["result"] == []
    assert len(client.get(f"{BASE}tasks/search").json()["result"]) == 12
    assert "meta" in {each["name"] for each in client.get(f"{BASE}authors/search").json()["result"]}
    schema = client.get(f"{BASE}models/schema", params={"model": GLM}).json()["result"]
    assert set(schema) == {"input", "output"}
