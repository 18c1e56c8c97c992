from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from edgecli.config import load_project
from edgecli.errors import EdgeError
from edgecli.models.routes import routes
from edgecli.models.service import ModelsService
from edgecli.server.api import _edge_error  # pyright: ignore[reportPrivateUsage]
from tests.models.conftest import noise, sha256
from tests.models.file_server import FileServer

CONTENT = noise(200_000)


@pytest.fixture
def client(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """The routes over a project whose two models lie on a web server."""
    monkeypatch.setenv("EDGECLI_HOME", str(tmp_path / "home"))
    lines = ["[edgecli]", 'generation_model = "@my/g"', 'embedding_model = "@my/e"']
    for name, task, engine in (("g", "Text Generation", "llama_cpp"), ("e", "Text Embeddings", "llama_cpp")):
        source = server.add(f"/{name}.gguf", CONTENT + name.encode())
        lines += [
            f'[edgecli.models."@my/{name}"]',
            f'task = "{task}"',
            f'engine = "{engine}"',
            f'source = "{source}"',
        ]
    (tmp_path / "wrangler.toml").write_text("\n".join(lines))
    project = load_project(cwd=tmp_path, config=None, env=None)
    app = Starlette(routes=routes(), exception_handlers={EdgeError: _edge_error})
    app.state.runtime = SimpleNamespace(models=ModelsService.for_project(project), project=project)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def result(response: Any) -> Any:
    body = response.json()
    assert body["success"], body
    return body["result"]


def error(response: Any) -> dict[str, Any]:
    body = response.json()
    assert not body["success"]
    return body["errors"][0]


def events(response: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in response.text.splitlines()]


def test_null_pulls_what_the_project_needs(client: TestClient) -> None:
    steps = events(client.post("/edge/models/pull", json={"models": None}))
    assert [step["model"] for step in steps if step["phase"] == "done"] == ["@my/e", "@my/g"]
    assert [each["id"] for each in result(client.get("/edge/models?installed=true"))] == ["@my/g", "@my/e"]


def test_a_model_is_shown_with_its_files_and_place(client: TestClient, tmp_path: Path) -> None:
    client.post("/edge/models/pull", json={"models": ["@my/g"]})
    shown = result(client.get("/edge/models/show", params={"model": "@my/g"}))
    assert (shown["installed"], shown["origin"], shown["task"]) == (True, "wrangler.toml", "Text Generation")
    assert result(client.get("/edge/models/path", params={"model": "@my/g"})) == {
        "id": "@my/g",
        "path": shown["path"],
    }
    assert (Path(shown["path"]) / "g.gguf").read_bytes() == CONTENT + b"g"


def test_search_and_task_narrow_the_list(client: TestClient) -> None:
    assert [each["id"] for each in result(client.get("/edge/models/search?q=bge+m3"))] == ["@cf/baai/bge-m3"]
    tasks = {each["task"] for each in result(client.get("/edge/models?task=translation"))}
    assert tasks == {"Translation"}


def test_verify_and_remove_answer_what_they_did(client: TestClient) -> None:
    client.post("/edge/models/pull", json={})
    path = result(client.get("/edge/models/path?model=@my/e"))["path"]
    (Path(path) / "e.gguf").unlink()
    outcomes = {each["id"]: each for each in result(client.post("/edge/models/verify", json={"models": None}))}
    assert outcomes["@my/g"] == {"id": "@my/g", "ok": True, "files": 1, "problems": []}
    assert outcomes["@my/e"]["problems"][0]["problem"] == "missing"
    assert outcomes["@my/e"]["problems"][0]["expected"] == sha256(CONTENT + b"e")
    removed = result(client.post("/edge/models/remove", json={"model": "@my/g"}))
    assert removed["freed"] >= len(CONTENT)
    assert error(client.get("/edge/models/path?model=@my/g"))["edge"]["code"] == "model_not_pulled"


def test_an_unknown_model_is_an_ordinary_error_also_of_a_stream(client: TestClient) -> None:
    response = client.post("/edge/models/pull", json={"models": ["@my/x"]})
    assert response.status_code == 400
    assert error(response)["code"] == 5007
    assert error(client.get("/edge/models/show?model=@my/x"))["message"] == "No such model @my/x or task"


def test_an_error_in_the_middle_is_the_last_line(client: TestClient, server: FileServer) -> None:
    server.files["/g.gguf"].refuse = 404
    steps = events(client.post("/edge/models/pull", json={"models": None}))
    assert steps[-1]["error"]["edge"]["code"] == "download"
    assert [step["model"] for step in steps if step.get("phase") == "done"] == ["@my/e"]


def test_offline_is_honoured(client: TestClient) -> None:
    (*_, last) = events(client.post("/edge/models/pull", json={"models": ["@my/g"], "offline": True}))
    assert last["error"]["edge"]["code"] == "offline"


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("GET", "/edge/models/show", None, "needs the query parameter `model`"),
        ("GET", "/edge/models/search?q=%20", None, "needs the query parameter `q`"),
        ("POST", "/edge/models/pull", {"models": "@my/g"}, "a list of model ids was expected"),
        ("POST", "/edge/models/pull", ["@my/g"], "an object was expected"),
        ("POST", "/edge/models/remove", {"model": 7}, "`model` is 7"),
    ],
)
def test_wrong_calls_are_told_what_was_expected(
    client: TestClient, method: str, path: str, body: object, message: str
) -> None:
    response = client.request(method, path, json=body)
    assert response.status_code == 400
    assert message in error(response)["message"]
