"""Random histories of an index against a brute-force oracle in NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edgecli.vectorize.filters import parse_filter
from edgecli.vectorize.schema import METRICS, QueryRequest
from tests.vectorize.conftest import PLACES, Life, place_on

WIDTH = 3
Rows = dict[str, dict[str, Any]]

ids = st.sampled_from([f"文{number}" for number in range(12)])
# Few whole numbers make many ties, which must fall in the order of insertion.
vectors = st.lists(st.integers(-2, 2), min_size=WIDTH, max_size=WIDTH)
scalars = st.sampled_from(["a", "b", "字", "", 0, 1, 2, -1.5, 1.0, True, False, None])
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
bounds = st.sampled_from(["a", "b", 0, 1.0, -1])
conditions = st.one_of(
    scalars,
    st.fixed_dictionaries({"$eq": scalars}),
    st.fixed_dictionaries({"$ne": scalars}),
    st.fixed_dictionaries({"$in": st.lists(scalars, max_size=3)}),
    st.fixed_dictionaries({"$nin": st.lists(scalars, max_size=3)}),
    st.fixed_dictionaries({"$gt": bounds}, optional={"$lte": bounds}),
    st.fixed_dictionaries({"$lt": bounds}, optional={"$gte": bounds}),
)
filters = st.none() | st.dictionaries(st.sampled_from(["p", "q", "o.p", "none"]), conditions, min_size=1, max_size=3)
steps = st.one_of(
    st.tuples(st.just("upsert"), st.lists(rows, min_size=1, max_size=6)),
    st.tuples(st.just("insert"), st.lists(rows, min_size=1, max_size=6)),
    st.tuples(st.just("delete"), st.lists(ids, max_size=5)),
    st.tuples(st.just("query"), st.tuples(vectors, st.integers(1, 14), spaces, filters)),
)
histories = st.lists(steps, min_size=3, max_size=12)


def expected(stored: Rows, metric: str, asked: tuple[list[int], int, str | None, Any]) -> list[tuple[str, float]]:
    vector, top_k, namespace, wanted = asked
    criterion = None if wanted is None else parse_filter(wanted)
    scored: list[tuple[str, float]] = []
    for vector_id, row in stored.items():
        if namespace is not None and row["namespace"] != namespace:
            continue
        if criterion is not None and not criterion.matches(row["metadata"]):
            continue
        left, right = np.array(row["values"], float), np.array(vector, float)
        dot, lengths = float(left @ right), float(np.sqrt((left @ left) * (right @ right)))
        cosine = dot / lengths if lengths else 0.0
        score = {
            "cosine": cosine,
            "euclidean": float(np.sqrt(((left - right) ** 2).sum())),
            "dot-product": -dot,
        }
        scored.append((vector_id, score[metric]))
    return sorted(scored, key=lambda match: match[1] * (-1 if metric == "cosine" else 1))[:top_k]


def put(stored: Rows, batch: list[dict[str, Any]], *, replace: bool) -> None:
    for row in batch:
        if replace or row["id"] not in stored:
            stored[row["id"]] = row


names = count()


def check(life: Life, metric: Any, history: list[Any]) -> None:
    name = f"index-{next(names)}"
    life(life.service.create(name, WIDTH, metric))
    stored: Rows = {}
    for action, given_ in [*history, ("query", ([1, 2, 0], 14, None, None))]:
        if action == "delete":
            life(life.service.delete_by_ids(name, given_))
            for vector_id in given_:
                stored.pop(vector_id, None)
        elif action == "query":
            vector, top_k, namespace, wanted = given_
            request = QueryRequest(vector=vector, top_k=top_k, namespace=namespace, filter=wanted)
            found = life(life.service.query(name, request)).matches
            truth = expected(stored, metric, given_)
            assert [match.id for match in found] == [vector_id for vector_id, _ in truth]
            np.testing.assert_allclose([match.score for match in found], [score for _, score in truth], atol=1e-12)
        else:
            life(getattr(life.service, action)(name, given_))
            put(stored, given_, replace=action == "upsert")
    assert life(life.service.info(name)).vector_count == len(stored)
    life(life.service.delete(name))


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


@example("cosine", once)
@given(st.sampled_from(METRICS), histories)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_an_index_answers_as_brute_force_does(life: Life, metric: str, history: list[Any]) -> None:
    check(life, metric, history)


@pytest.mark.slow
@given(st.sampled_from(METRICS), histories)
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_many_histories(life: Life, metric: str, history: list[Any]) -> None:
    check(life, metric, history)
