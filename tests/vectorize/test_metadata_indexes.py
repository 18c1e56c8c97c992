"""Metadata indexes: made, listed, deleted, and what filters and `returnMetadata` make of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from edgecli.config.settings import Settings
from edgecli.errors import NotFoundError, UsageError
from edgecli.vectorize.schema import NewMetadataIndex, QueryRequest
from tests.vectorize.conftest import Life

STRICT = dataclasses.replace(
    Settings(), vectorize=dataclasses.replace(Settings().vectorize, strict_metadata_indexes=True)
)


def new(name: str, kind: Any = "string") -> NewMetadataIndex:
    return NewMetadataIndex(property_name=name, index_type=kind)


@pytest.fixture
def indexed(life: Life) -> Life:
    life.reopen(STRICT)
    life(life.service.create("indexed", 1, "euclidean"))
    return life


def matching(life: Life, wanted: dict[str, Any]) -> set[str]:
    found = life(life.service.query("indexed", QueryRequest(vector=[0.0], filter=wanted, top_k=100)))
    return {match.id for match in found.matches}


def put(life: Life, **metadata: Any) -> None:
    rows = [{"id": name, "values": [0], "metadata": value} for name, value in metadata.items()]
    life(life.service.upsert("indexed", rows))


@pytest.mark.slow
def test_indexes_are_made_listed_and_deleted(indexed: Life) -> None:
    service = indexed.service
    receipt = indexed(service.create_metadata_index("indexed", new("n", "number")))
    assert indexed(service.info("indexed")).processed_up_to_mutation == receipt.mutation_id
    indexed(service.create_metadata_index("indexed", new("a.b")))
    indexed(service.create_metadata_index("indexed", new("n", "number")))
    expected = [{"propertyName": "n", "indexType": "number"}, {"propertyName": "a.b", "indexType": "string"}]
    assert indexed(service.metadata_indexes("indexed")).to_wire() == {"metadataIndexes": expected}
    indexed.remove("mirror")
    assert indexed(indexed.service.metadata_indexes("indexed")).to_wire() == {"metadataIndexes": expected}
    indexed(indexed.service.delete_metadata_index("indexed", "n"))
    assert indexed(indexed.service.metadata_indexes("indexed")).to_wire() == {"metadataIndexes": expected[1:]}
    with pytest.raises(NotFoundError, match='property "n" of index "indexed"') as caught:
        indexed(indexed.service.delete_metadata_index("indexed", "n"))
    assert caught.value.cf_code == 40005


def test_what_cannot_be_an_index_is_refused(indexed: Life) -> None:
    service = indexed.service
    for number in range(10):
        indexed(service.create_metadata_index("indexed", new(f"p{number}")))
    with pytest.raises(UsageError, match="has 10 metadata indexes; max is 10"):
        indexed(service.create_metadata_index("indexed", new("p10")))
    indexed(service.create_metadata_index("indexed", new("p9")))
    with pytest.raises(UsageError, match="of type string, not number"):
        indexed(service.create_metadata_index("indexed", new("p9", "number")))
    for name in ("", "$a", 'a"', "a|b", "x" * 513):
        with pytest.raises(UsageError):
            indexed(service.create_metadata_index("indexed", new(name)))


@pytest.mark.slow
def test_an_index_covers_the_vectors_that_are_written_after_it(indexed: Life) -> None:
    put(indexed, old={"p": "x"}, again={"p": "x"})
    indexed(indexed.service.create_metadata_index("indexed", new("p")))
    put(indexed, again={"p": "x"}, fresh={"p": "x"})
    for _ in range(2):
        assert matching(indexed, {"p": "x"}) == {"again", "fresh"}
        assert matching(indexed, {"p": {"$ne": "x"}}) == {"old"}
        indexed.remove("mirror")
        indexed.reopen(STRICT)
    indexed(indexed.service.delete_metadata_index("indexed", "p"))
    indexed(indexed.service.create_metadata_index("indexed", new("p")))
    assert matching(indexed, {"p": "x"}) == set()
    indexed.reopen()
    assert matching(indexed, {"p": "x"}) == {"old", "again", "fresh"}


def test_an_index_holds_values_of_its_type(indexed: Life) -> None:
    for name, kind in (("s", "string"), ("n", "number"), ("b", "boolean"), ("o.s", "string")):
        indexed(indexed.service.create_metadata_index("indexed", new(name, kind)))
    put(
        indexed,
        right={"s": "1", "n": 1, "b": True, "o": {"s": "deep"}},
        wrong={"s": 1, "n": "1", "b": 1, "o": "deep"},
    )
    for wanted in ({"s": "1"}, {"n": 1}, {"b": True}, {"o.s": "deep"}, {"n": {"$gte": 0, "$lt": 2}}):
        assert matching(indexed, wanted) == {"right"}
    for wanted in ({"s": 1}, {"n": "1"}, {"b": 1}):
        assert matching(indexed, wanted) == set()
    assert matching(indexed, {"s": {"$nin": ["1"]}}) == {"wrong"}


def test_strings_count_by_their_first_64_bytes(indexed: Life) -> None:
    indexed(indexed.service.create_metadata_index("indexed", new("s")))
    text = "字" * 21  # 63 bytes: another does not fit
    put(indexed, short={"s": text}, long={"s": text + "字一"}, other={"s": "字" * 20 + "一"})
    assert matching(indexed, {"s": text + "字二"}) == {"short", "long"}
    assert matching(indexed, {"s": {"$in": [text + "三"]}}) == {"short", "long"}
    assert matching(indexed, {"s": {"$ne": text}}) == {"other"}


def test_a_property_without_an_index_is_no_filter(indexed: Life) -> None:
    put(indexed, a={"p": 1})
    with pytest.raises(UsageError, match="`p`, which has no metadata index") as caught:
        matching(indexed, {"p": 1})
    assert "create-metadata-index indexed --property-name p" in (caught.value.hint or "")
    indexed.reopen()
    assert matching(indexed, {"p": 1}) == {"a"}


def test_indexed_metadata_is_that_of_the_indexes(life: Life) -> None:
    service = life.service
    life(service.create("indexed", 1, "euclidean"))
    metadata = {"s": "字" * 30, "n": 5, "o": {"p": 1, "q": 2}, "none": None}
    put(life, a=metadata)

    def shown() -> Any:
        request = QueryRequest(vector=[0.0], return_metadata="indexed", top_k=100)
        return life(life.service.query("indexed", request)).matches[0].metadata

    assert shown() == metadata | {"s": "字" * 21}
    for name in ("s", "o.p", "s.t", "missing"):
        life(service.create_metadata_index("indexed", new(name)))
    assert shown() == {"s": "字" * 21, "o": {"p": 1}}
    life.reopen(STRICT)
    assert shown() == {"s": "字" * 21, "o": {"p": 1}}
