"""What the service does, on a real Chroma."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecli.config.settings import Settings
from edgecli.errors import EdgeError, NotFoundError, UsageError
from edgecli.vectorize.schema import QueryRequest
from edgecli.vectorize.store import VectorStore
from tests.vectorize.conftest import Life

METADATA: dict[str, Any] = {
    "text": "退款需要多久？",
    "n": 1,
    "f": 1.0,
    "big": 2**60,
    "no": None,
    "list": [1, "a", None, {"b": [True]}],
    "deep": {"er": {"k": "v"}},
}


def test_an_index_lives_and_dies(life: Life) -> None:
    service = life.service
    assert life(service.list()) == []
    made = life(service.create("docs-index", 3, "cosine", description="帮助文档"))
    assert made.model_dump() == {
        "name": "docs-index",
        "description": "帮助文档",
        "config": {"dimensions": 3, "metric": "cosine"},
        "created_on": made.created_on,
        "modified_on": made.created_on,
    }
    uid = life(service.uid("docs-index"))
    service = life.reopen()
    assert life(service.get("docs-index")) == made
    assert life(service.uid("docs-index")) == uid
    with pytest.raises(EdgeError) as caught:
        life(service.create("docs-index", 3, "cosine"))
    assert (caught.value.code, caught.value.cf_code, caught.value.status, caught.value.exit_code) == (
        "index_exists",
        3002,
        400,
        1,
    )
    life(service.delete("docs-index"))
    assert life(service.list()) == []
    life(service.create("docs-index", 3, "cosine"))
    assert life(service.uid("docs-index")) != uid


def test_an_unknown_index_is_not_found_and_the_nearest_is_named(life: Life) -> None:
    service = life.service
    life(service.create("docs-index", 3, "cosine"))
    for call in (
        service.get("docs-indx"),
        service.info("docs-indx"),
        service.delete("docs-indx"),
        service.query("docs-indx", QueryRequest(vector=[1, 2, 3])),
        service.upsert("docs-indx", []),
        service.delete_by_ids("docs-indx", ["a"]),
    ):
        with pytest.raises(NotFoundError, match=r'vectorize.index.not_found - Index name "docs-indx"') as caught:
            life(call)
        assert caught.value.cf_code == 3000
        assert "`docs-index`" in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["", "a", "1a", "A-index", "a-", "a b", "文档", "a" * 65, "a\n"])
def test_a_wrong_name_is_refused(life: Life, name: str) -> None:
    with pytest.raises(UsageError, match="no name for an index"):
        life(life.service.create(name, 3, "cosine"))


def test_presets_and_sizes(life: Life) -> None:
    service = life.service
    made = life(service.create("bge", preset="@cf/baai/bge-small-en-v1.5"))
    assert made.config.model_dump() == {"dimensions": 384, "metric": "cosine"}
    with pytest.raises(UsageError) as caught:
        life(service.create("bge2", preset="@cf/baai/bge-smal-en-v1.5"))
    assert "bge-small-en-v1.5" in (caught.value.hint or "")
    for dimensions in (0, -1, 1537):
        with pytest.raises(UsageError, match="1 to 1536 dimensions"):
            life(service.create("wide", dimensions, "cosine"))
    with pytest.raises(UsageError, match="needs its dimensions"):
        life(service.create("none"))


def test_values_and_metadata_come_back_as_they_went_in(life: Life) -> None:
    service = life.service
    life(service.create("exact", 3, "cosine"))
    values = np.array([[0.1, -1e-38, 3.4e38], [58.8, 1e-45, -0.0]], np.float32)
    rows: list[dict[str, Any]] = [
        {
            "id": "甲:0",
            "values": [float(value) for value in values[0]],
            "metadata": METADATA,
            "namespace": "文档",
        },
        {"id": "b", "values": [float(value) for value in values[1]]},
    ]
    life(service.upsert("exact", rows))
    for again in (life.reopen, lambda: life.remove("mirror")):
        again()
        service = life.service
        found = life(service.get_by_ids("exact", ["b", "nobody", "甲:0"]))
        assert [vector.id for vector in found] == ["b", "甲:0"]
        assert np.array([vector.values for vector in found], np.float32).tobytes() == values[::-1].tobytes()
        assert found[1].metadata == METADATA
        assert isinstance(found[1].metadata["n"], int) and isinstance(found[1].metadata["f"], float)
        assert (found[1].namespace, found[0].namespace, found[0].metadata) == ("文档", None, None)
    assert life(service.get_metadata("exact", ["甲:0", "b", "nobody"])) == {"甲:0": METADATA, "b": {}}


def test_the_first_insert_wins_and_the_last_upsert(life: Life) -> None:
    service = life.service
    life(service.create("wins", 1, "euclidean"))
    life(service.insert("wins", [{"id": "a", "values": [1], "metadata": {"old": 1}, "namespace": "n"}]))
    life(service.insert("wins", [{"id": "a", "values": [2]}, {"id": "b", "values": [3]}, {"id": "b", "values": [4]}]))
    found = life(service.get_by_ids("wins", ["a", "b"]))
    assert [vector.values for vector in found] == [[1.0], [3.0]]
    life(service.upsert("wins", [{"id": "a", "values": [5]}, {"id": "b", "values": [6]}, {"id": "b", "values": [7]}]))
    found = life(service.get_by_ids("wins", ["a", "b"]))
    assert [vector.values for vector in found] == [[5.0], [7.0]]
    assert found[0].metadata is None and found[0].namespace is None
    life.remove("mirror")
    found = life(life.reopen().get_by_ids("wins", ["a"]))
    assert (found[0].metadata, found[0].namespace) == (None, None)


def test_an_id_with_a_nul_is_another_than_what_stands_before_it(life: Life) -> None:
    service = life.service
    life(service.create("nuls", 1, "euclidean"))
    for value in (1, 2):
        life(service.upsert("nuls", [{"id": f"a{tail}", "values": [value]} for tail in ("", "\0b", "\0c")]))
    assert life(service.info("nuls")).vector_count == 3
    life(service.delete_by_ids("nuls", ["a\0b"]))
    assert [each.id for each in life(service.get_by_ids("nuls", ["a", "a\0b", "a\0c"]))] == ["a", "a\0c"]
    assert life(life.reopen().verify("nuls", repair=False)).ok


def test_info_names_the_last_write(life: Life) -> None:
    service = life.service
    life(service.create("told", 1, "cosine"))
    assert life(service.info("told")).to_wire() == {
        "dimensions": 1,
        "vectorCount": 0,
        "processedUpToDatetime": None,
        "processedUpToMutation": None,
    }
    life(service.upsert("told", [{"id": str(number), "values": [number]} for number in range(5)]))
    receipt = life(service.delete_by_ids("told", ["0", "nobody", "0"]))
    info = life(life.reopen().info("told"))
    assert (info.vector_count, info.processed_up_to_mutation) == (4, receipt.mutation_id)
    receipt = life(life.service.delete_by_ids("told", ["nobody"]))
    assert life(life.service.info("told")).processed_up_to_mutation == receipt.mutation_id


def test_a_wrong_batch_writes_nothing(life: Life) -> None:
    service = life.service
    life(service.create("whole", 2, "cosine"))
    with pytest.raises(UsageError, match="got 3 dimensions"):
        life(service.upsert("whole", [{"id": "a", "values": [1, 2]}, {"id": "b", "values": [1, 2, 3]}]))
    assert life(service.info("whole")).vector_count == 0


def test_scores_by_metric(life: Life) -> None:
    service = life.service
    rows = [
        {"id": "same", "values": [3, 4]},
        {"id": "double", "values": [6, 8]},
        {"id": "other", "values": [4, -3]},
    ]
    expected = {
        "cosine": [("same", 1.0), ("double", 1.0), ("other", 0.0)],
        "euclidean": [("same", 0.0), ("double", 5.0), ("other", 50**0.5)],
        "dot-product": [("double", -50.0), ("same", -25.0), ("other", 0.0)],
    }
    for metric, matches in expected.items():
        life(service.create(metric, 2, metric))
        life(service.upsert(metric, rows))
        found = life(service.query(metric, QueryRequest(vector=[3, 4])))
        assert [(match.id, match.score) for match in found.matches] == matches
    settings = Settings()
    positive = dataclasses.replace(settings.vectorize, dot_product_sign="positive")
    service = life.reopen(dataclasses.replace(settings, vectorize=positive))
    found = life(service.query("dot-product", QueryRequest(vector=[3, 4])))
    assert [match.score for match in found.matches] == [50.0, 25.0, 0.0]


def test_what_a_query_returns(life: Life) -> None:
    service = life.service
    life(service.create("shown", 2, "cosine"))
    text = "字" * 30
    metadata = {"text": text, "n": 5, "in": {"list": [text]}}
    life(service.upsert("shown", [{"id": "a", "values": [1, 0], "metadata": metadata, "namespace": "x"}]))
    plain = life(service.query("shown", QueryRequest(vector=[1, 0])))
    assert plain.to_wire() == {"count": 1, "matches": [{"id": "a", "score": 1.0, "namespace": "x"}]}
    full = life(service.query("shown", QueryRequest(vector_id="a", return_values=True, return_metadata="all")))
    assert full.matches[0].values == [1.0, 0.0]
    assert full.matches[0].metadata == metadata
    cut = life(service.query("shown", QueryRequest(vector=[1, 0], return_metadata="indexed"))).matches[0].metadata
    assert cut == {"text": "字" * 21, "n": 5, "in": {"list": ["字" * 21]}}


WRONG_QUERIES: list[tuple[dict[str, Any], int, str]] = [
    ({"vector": [1.0]}, 40006, "invalid query vector, expected 2 dimensions, and got 1 dimensions"),
    ({"vector": []}, 40006, "got 0 dimensions"),
    ({"vector": [1.0, 1e39]}, 40026, "float32"),
    ({}, 40026, "exactly one"),
    ({"vector": [1, 2], "vectorId": "a"}, 40026, "exactly one"),
    ({"vector": [1, 2], "topK": 0}, 40025, "got 0"),
    ({"vector": [1, 2], "topK": -1}, 40025, "got -1"),
    ({"vector": [1, 2], "topK": 101}, 40025, "got 101"),
    ({"vector": [1, 2], "topK": 51, "returnValues": True}, 40025, "max top K is 50, but got 51"),
    ({"vector": [1, 2], "topK": 51, "returnMetadata": "all"}, 40025, "returnMetadata=indexed"),
    ({"vector": [1, 2], "filter": {"a": {"$x": 1}}}, 40026, "unknown operator"),
]


def test_a_wrong_query_is_refused(life: Life) -> None:
    life(life.service.create("asked", 2, "cosine"))
    for request, cf_code, message in WRONG_QUERIES:
        with pytest.raises(UsageError, match=message) as caught:
            life(life.service.query("asked", QueryRequest.model_validate(request)))
        assert caught.value.cf_code == cf_code


def test_a_query_by_an_unknown_id_is_not_found(life: Life) -> None:
    life(life.service.create("asked", 2, "cosine"))
    with pytest.raises(NotFoundError, match='vector id "nobody"'):
        life(life.service.query("asked", QueryRequest(vector_id="nobody")))


def test_an_export_whose_reader_goes_away_ends(life: Life) -> None:
    async def leave() -> int:
        await life.service.create("wide", 1536, "cosine")
        values = np.ones((1024, 1536), np.float32)
        await life.service.upsert_arrays("wide", [f"v{n}" for n in range(1024)], values, [None] * 1024)
        pieces = await life.service.export("wide")
        await anext(pieces)
        reading = asyncio.ensure_future(anext(pieces))
        await asyncio.sleep(0.002)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        return (await life.service.info("wide")).vector_count

    assert life(leave()) == 1024


def test_a_query_meets_an_index_that_another_of_its_name_has_replaced(tmp_path: Path) -> None:
    store = VectorStore(tmp_path)
    store.create("wide", 3, "cosine", "")
    query = np.ones(2, np.float32)
    with pytest.raises(UsageError, match="expected 3 dimensions, and got 2"):
        store.search("wide", query, 1, namespace=None, criterion=None)
    store.close()
