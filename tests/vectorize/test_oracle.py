"""Random histories of an index against a brute-force oracle in NumPy."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edgecli.config.settings import Settings
from edgecli.errors import UsageError
from edgecli.vectorize.batches import BatchBuilder
from edgecli.vectorize.filters import parse_filter
from edgecli.vectorize.schema import METRICS, NewMetadataIndex, QueryRequest
from edgecli.vectorize.vector_lines import VectorLines
from tests.vectorize.conftest import PLACES, Life, place_on

WIDTH = 3
LONG = "字" * 21 + "x"
"""As much as a metadata index holds of a string."""
TYPES: dict[str, tuple[type, ...]] = {"string": (str,), "number": (int, float), "boolean": (bool,)}

ids = st.sampled_from([f"文{number}" for number in range(12)])
# Few whole numbers make many ties, which must fall in the order of insertion.
vectors = st.lists(st.integers(-2, 2), min_size=WIDTH, max_size=WIDTH)
scalars = st.sampled_from(["a", "b", "字", LONG + "1", LONG + "2", "", 0, 1, 2, -1.5, 1.0, True, False, None])
spaces = st.sampled_from([None, "x", "空间"])
metadata = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "p": scalars,
        "q": scalars | st.lists(scalars, max_size=2),
        "o": st.fixed_dictionaries({"p": scalars}),
    },
)
rows = st.fixed_dictionaries({"id": ids, "values": vectors, "namespace": spaces, "metadata": metadata})
bounds = st.sampled_from(["a", "b", LONG + "3", 0, 1.0, -1])
conditions = st.one_of(
    scalars,
    st.fixed_dictionaries({"$eq": scalars}),
    st.fixed_dictionaries({"$ne": scalars}),
    st.fixed_dictionaries({"$in": st.lists(scalars, max_size=3)}),
    st.fixed_dictionaries({"$nin": st.lists(scalars, max_size=3)}),
    st.fixed_dictionaries({"$gt": bounds}, optional={"$lte": bounds}),
    st.fixed_dictionaries({"$lt": bounds}, optional={"$gte": bounds}),
)
properties = st.sampled_from(["p", "q", "o.p", "none"])
filters = st.none() | st.dictionaries(properties, conditions, min_size=1, max_size=3)
steps = st.one_of(
    st.tuples(st.just("upsert"), st.lists(rows, min_size=1, max_size=6)),
    st.tuples(st.just("insert"), st.lists(rows, min_size=1, max_size=6)),
    st.tuples(st.just("delete"), st.lists(ids, max_size=5)),
    st.tuples(st.just("query"), st.tuples(vectors | ids, st.integers(1, 14), spaces, filters)),
    st.tuples(st.just("get"), st.lists(ids, max_size=5)),
    st.tuples(st.just("list"), st.integers(1, 5)),
    st.tuples(st.just("index"), st.tuples(properties, st.sampled_from(list(TYPES)))),
    st.tuples(st.just("unindex"), properties),
)
histories = st.lists(steps, min_size=3, max_size=14)


class Oracle:
    """An index as dictionaries."""

    def __init__(self, metric: str, *, strict: bool) -> None:
        self.metric = metric
        self.strict = strict
        self.rows: dict[str, dict[str, Any]] = {}
        self.written: dict[str, int] = {}
        """The number of the write that put each row there."""
        self.indexes: dict[str, tuple[str, int]] = {}
        """Type of each metadata index, and the write that it came after."""
        self.writes = 0

    def put(self, batch: list[dict[str, Any]], *, replace: bool) -> None:
        self.writes += 1
        stored = set(self.rows)
        for row in batch:
            # Setting a key that is there keeps its place: that of the first row of this id.
            if replace or row["id"] not in self.rows:
                self.rows[row["id"]] = row
            if replace or row["id"] not in stored:
                self.written[row["id"]] = self.writes

    def delete(self, gone: list[str]) -> None:
        self.rows = {key: row for key, row in self.rows.items() if key not in gone}

    def query(self, asked: tuple[Any, int, str | None, Any]) -> list[tuple[str, float]]:
        wanted, top_k, namespace, criterion = asked
        vector = self.rows[wanted]["values"] if isinstance(wanted, str) else wanted
        scored = [
            (vector_id, self._score(row["values"], vector))
            for vector_id, row in self.rows.items()
            if (namespace is None or row["namespace"] == namespace) and self._passes(row, criterion)
        ]
        return sorted(scored, key=lambda match: match[1] * (-1 if self.metric == "cosine" else 1))[:top_k]

    def _score(self, values: list[int], vector: list[int]) -> float:
        left, right = np.array(values, float), np.array(vector, float)
        dot, lengths = float(left @ right), float(np.sqrt((left @ left) * (right @ right)))
        if self.metric == "cosine":
            return dot / lengths if lengths else 0.0
        return float(np.sqrt(((left - right) ** 2).sum())) if self.metric == "euclidean" else -dot

    def _passes(self, row: dict[str, Any], criterion: Any) -> bool:
        if criterion is None:
            return True
        if not self.strict:
            return parse_filter(criterion).matches(row["metadata"])
        return parse_filter(first_bytes(criterion)).matches(self._held(row))

    def _held(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return what the metadata indexes hold of a row."""
        held: dict[str, Any] = {"o": {}}
        for name, (kind, since) in self.indexes.items():
            value: Any = row["metadata"] or {}
            for key in name.split("."):
                value = value.get(key) if isinstance(value, dict) else None
            if self.written[row["id"]] > since and type(value) in TYPES[kind]:
                target = held["o"] if name == "o.p" else held
                target[name[-1] if name == "o.p" else name] = first_bytes(value)
        return held


def first_bytes(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode()[:64].decode(errors="ignore")
    if isinstance(value, list):
        return [first_bytes(each) for each in value]
    return {key: first_bytes(each) for key, each in value.items()} if isinstance(value, dict) else value


names = count()


def check(life: Life, metric: Any, strict: bool, history: list[Any]) -> None:
    vectorize = dataclasses.replace(Settings().vectorize, strict_metadata_indexes=strict)
    service = life.reopen(dataclasses.replace(Settings(), vectorize=vectorize))
    name = f"index-{next(names)}"
    life(service.create(name, WIDTH, metric))
    oracle = Oracle(metric, strict=strict)
    for action, given_ in [*history, ("query", ([1, 2, 0], 14, None, None)), ("list", 3)]:
        if action == "delete":
            life(service.delete_by_ids(name, given_))
            oracle.delete(given_)
        elif action == "query":
            check_query(life, name, oracle, given_)
        elif action == "get":
            found = life(service.get_by_ids(name, given_))
            expected = [oracle.rows[each] for each in dict.fromkeys(given_) if each in oracle.rows]
            assert [vector.model_dump() for vector in found] == expected
        elif action == "list":
            check_list(life, name, oracle, given_)
        elif action == "index":
            make_index(life, name, oracle, *given_)
        elif action == "unindex":
            if oracle.indexes.pop(given_, None):
                life(service.delete_metadata_index(name, given_))
        else:
            life(getattr(service, action)(name, given_))
            oracle.put(given_, replace=action == "upsert")
    assert life(service.info(name)).vector_count == len(oracle.rows)
    life(service.delete(name))


def check_query(life: Life, name: str, oracle: Oracle, asked: tuple[Any, int, str | None, Any]) -> None:
    wanted, top_k, namespace, criterion = asked
    if isinstance(wanted, str) and wanted not in oracle.rows:
        return
    by: dict[str, Any] = {"vector_id": wanted} if isinstance(wanted, str) else {"vector": wanted}
    request = QueryRequest(
        **by, top_k=top_k, namespace=namespace, filter=criterion, return_values=True, return_metadata="all"
    )
    if oracle.strict and criterion is not None and criterion.keys() - oracle.indexes.keys():
        with pytest.raises(UsageError, match="no metadata index"):
            life(life.service.query(name, request))
        return
    found = life(life.service.query(name, request)).matches
    truth = oracle.query(asked)
    assert [match.id for match in found] == [vector_id for vector_id, _ in truth]
    np.testing.assert_allclose([match.score for match in found], [score for _, score in truth], atol=1e-12)
    for match in found:
        row = oracle.rows[match.id]
        assert (match.values, match.namespace, match.metadata) == (row["values"], row["namespace"], row["metadata"])


def check_list(life: Life, name: str, oracle: Oracle, size: int) -> None:
    listed: list[str] = []
    cursor = None
    while True:
        page = life(life.service.list_vectors(name, size, cursor))
        listed += [vector.id for vector in page.vectors]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert (listed, page.total_count) == (list(oracle.rows), len(oracle.rows))


def make_index(life: Life, name: str, oracle: Oracle, property_name: str, kind: Any) -> None:
    wanted = NewMetadataIndex(property_name=property_name, index_type=kind)
    has = oracle.indexes.get(property_name)
    if has is not None and has[0] != kind:
        with pytest.raises(UsageError, match="of type"):
            life(life.service.create_metadata_index(name, wanted))
        return
    life(life.service.create_metadata_index(name, wanted))
    oracle.indexes.setdefault(property_name, (kind, oracle.writes))


@pytest.fixture(scope="module", params=PLACES)
def life(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    place = {} if request.param == "local" else place_on(request.getfixturevalue("chroma_server"))
    life = Life(tmp_path_factory.mktemp("oracle"), place)
    yield life
    life.end()


once = [
    ("upsert", [{"id": "a", "values": [1, 2, 0], "namespace": "x", "metadata": {"p": 1}}]),
    ("query", ([1, 2, 0], 5, "x", {"p": {"$gte": 1}})),
    ("upsert", [{"id": "a", "values": [1, 2, 0], "namespace": None, "metadata": {"p": "1"}}]),
    ("query", ([1, 2, 0], 5, "x", None)),
    ("query", ([1, 2, 0], 5, None, {"p": {"$gte": 1}})),
    ("delete", ["a"]),
    ("query", ([1, 2, 0], 5, None, {"p": {"$ne": 1}})),
]


strictly = [
    ("upsert", [{"id": "a", "values": [1, 2, 0], "namespace": None, "metadata": {"p": LONG + "1", "o": {"p": 1}}}]),
    ("index", ("p", "string")),
    ("index", ("o.p", "number")),
    ("query", ([1, 2, 0], 5, None, {"p": LONG + "2"})),
    ("upsert", [{"id": "b", "values": [1, 2, 0], "namespace": None, "metadata": {"p": LONG + "1", "o": {"p": 1}}}]),
    ("query", ([1, 2, 0], 5, None, {"p": LONG + "2", "o.p": {"$gte": 1}})),
    ("insert", [{"id": "a", "values": [0, 0, 0], "namespace": None, "metadata": None}]),
    ("query", ("a", 5, None, {"p": {"$ne": LONG}})),
    ("query", ([1, 2, 0], 5, None, {"q": 1})),
]


@example("cosine", False, once)
@example("euclidean", True, strictly)
@given(st.sampled_from(METRICS), st.booleans(), histories)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.slow
def test_an_index_answers_as_brute_force_does(life: Life, metric: str, strict: bool, history: list[Any]) -> None:
    check(life, metric, strict, history)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@given(st.sampled_from(METRICS), st.booleans(), histories)
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_many_histories(life: Life, metric: str, strict: bool, history: list[Any]) -> None:
    check(life, metric, strict, history)


keys = st.text(min_size=1, max_size=5).filter(lambda key: key[0] != "$" and not set(key) & {".", '"'})
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9)
)
documents = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=12
)
floats = st.lists(
    st.floats(width=32, allow_nan=False, allow_infinity=False) | st.sampled_from([-0.0, 2.0**-149, -(2.0**-126)]),
    min_size=WIDTH,
    max_size=WIDTH,
)


@given(st.lists(st.tuples(floats, st.none() | st.dictionaries(keys, documents, max_size=4)), min_size=1, max_size=5))
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.slow
def test_what_is_written_comes_back_bit_for_bit(life: Life, given_: list[Any]) -> None:
    name = f"index-{next(names)}"
    life(life.service.create(name, WIDTH, "cosine"))
    rows = BatchBuilder(WIDTH)
    lines = VectorLines(rows)
    for number, (values, metadata) in enumerate(given_):
        lines.feed(orjson.dumps({"id": str(number), "values": values, "metadata": metadata}) + b"\n")
    lines.close()
    life(life.service.upsert(name, rows))
    vectors = life(life.service.get_by_ids(name, [str(number) for number in range(len(given_))]))
    request = QueryRequest(vector=[1, 1, 1], return_values=True, return_metadata="all")
    matches = {match.id: match for match in life(life.service.query(name, request)).matches}
    for vector, (values, metadata) in zip(vectors, given_, strict=True):
        for found in (vector, matches[vector.id]):
            read = orjson.loads(orjson.dumps(found.to_wire()))
            assert np.array(read["values"], np.float32).tobytes() == np.array(values, np.float32).tobytes()
            # As text, because Python holds 1, 1.0 and true for equal.
            assert orjson.dumps(found.metadata) == orjson.dumps(metadata)
    life(life.service.delete(name))
