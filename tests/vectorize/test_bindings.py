"""The channel of a Worker's binding, with the requests that workerd's `vectorize-api` makes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from edgecli.workers.spec import Binding
from tests.binding import Bound, serve
from tests.vectorize.serving import V2

BINDINGS = (Binding("VECTORS", "vectorize", "bound"), Binding("NONE", "vectorize", "none"))
ROWS = [{"id": "甲", "values": [3, 4], "metadata": {"n": 1}}, {"id": "b", "values": [4, -3]}]
LINES = "\n".join(json.dumps(row) for row in ROWS)
NDJSON = {"content-type": "application/x-ndjson", "cf-vector-search-dim-width": "2", "cf-vector-search-dim-height": "2"}


@pytest.fixture
def bound(tmp_path: Path) -> Iterator[Bound]:
    with serve(tmp_path, BINDINGS) as bound:
        bound.post(V2, json={"name": "bound", "config": {"dimensions": 2, "metric": "cosine"}}).raise_for_status()
        yield bound


@pytest.fixture
def client(bound: Bound) -> httpx.Client:
    return bound.binding("VECTORS")


def posting(client: httpx.Client, prefix: str) -> Callable[..., Any]:
    def post(action: str, **options: Any) -> Any:
        answer = client.post(f"{prefix}/{action}", **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return post


def test_results_are_bare_and_the_status_is_200(client: httpx.Client) -> None:
    post = posting(client, "")
    assert list(post("insert", content=LINES.encode(), headers=NDJSON)) == ["mutationId"]
    receipt = post("upsert", json={"vectors": ROWS})
    info = client.get("/info")
    assert (info.status_code, info.json()["vectorCount"]) == (200, 2)
    assert info.json()["processedUpToMutation"] == receipt["mutationId"]
    asked = {"topK": 1, "returnValues": True, "returnMetadata": "all"}
    expected = {"count": 1, "matches": [{"id": "甲", "score": 1.0, "values": [3.0, 4.0], "metadata": {"n": 1}}]}
    assert post("query", json={**asked, "vector": [3, 4]}) == expected
    assert post("query", json={**asked, "vectorId": "甲"}) == expected
    assert post("getByIds", json={"ids": ["b", "no"]}) == [{"id": "b", "values": [4.0, -3.0]}]
    assert list(post("deleteByIds", json={"ids": ["b"]})) == ["mutationId"]


def test_the_older_form_names_the_ids_that_changed(client: httpx.Client) -> None:
    found = client.get("/binding/indexes/bound").json()
    assert (found["name"], found["config"]) == ("bound", {"dimensions": 2, "metric": "cosine"})
    post = posting(client, "/binding/indexes/bound")
    assert post("insert", content=LINES.encode(), headers=NDJSON) == {"ids": ["甲", "b"], "count": 2}
    assert post("insert", json={"vectors": ROWS}) == {"ids": [], "count": 0}
    assert post("upsert", json={"vectors": ROWS}) == {"ids": ["甲", "b"], "count": 2}
    asked = {"vector": [3, 4], "topK": 1, "returnMetadata": False, "compat": {"queryMetadataOptional": True}}
    assert post("query", json=asked) == {"count": 1, "matches": [{"id": "甲", "score": 1.0}]}
    assert post("getByIds", json={"ids": ["b", "no"]}) == [{"id": "b", "values": [4.0, -3.0]}]
    assert post("deleteByIds", json={"ids": ["b", "no", "b"]}) == {"ids": ["b"], "count": 1}


@pytest.mark.parametrize(
    ("path", "options", "status", "code", "text"),
    [
        ("query", {"json": {"vector": []}}, 400, 40006, "expected 2 dimensions, and got 0 dimensions"),
        ("query", {"json": {"vector": [1, 2], "returnMetadata": False}}, 400, 40026, "returnMetadata"),
        ("upsert", {"content": b'{"id": "a", "values": [1]}'}, 400, 40012, 'invalid vector for id="a"'),
        ("insert", {"content": b"{"}, 400, 40023, "failed to parse upsert vectors request"),
        ("getByIds", {"content": b"{"}, 400, 40026, "Failed to parse the request body as JSON"),
    ],
)
def test_an_error_is_a_code_and_a_text(
    client: httpx.Client, path: str, options: Any, status: int, code: int, text: str
) -> None:
    answer = client.post(f"/{path}", **options)
    assert (answer.status_code, sorted(answer.json()), answer.json()["code"]) == (status, ["code", "error"], code)
    assert text in answer.json()["error"]


def test_an_unknown_index_is_told_how_to_create_it(bound: Bound) -> None:
    answer = bound.binding("NONE").post("/query", json={"vector": [1, 2]})
    assert answer.status_code == 404
    assert answer.json() == {
        "code": 3000,
        "error": 'vectorize.index.not_found - Index name "none". `edgecli vectorize create none --dimensions=384 '
        "--metric=cosine` creates it; the dimensions are those of the vectors that the Worker sends.",
    }


def test_the_public_api_has_no_channel(bound: Bound) -> None:
    assert bound.get("/edge/bindings/vectorize/bound/info").status_code == 404
