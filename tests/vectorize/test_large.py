"""An index large enough that the codes are read first, against brute force, while it changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgecli.vectorize.schema import METRICS, QueryRequest
from edgecli.vectorize.scoring import CODED_ROWS
from tests.vectorize.conftest import Life

WIDTH = 20
ROWS = 4 * CODED_ROWS


def expected(metric: str, stored: dict[str, tuple[np.ndarray, int]], query: np.ndarray, below: int) -> list[str]:
    ids = [each for each, (_, u) in stored.items() if u < below]
    rows = np.array([stored[each][0] for each in ids], np.float64)
    keys = {
        "cosine": -(rows @ query) / np.linalg.norm(rows, axis=1),
        "euclidean": np.linalg.norm(rows - query, axis=1),
        "dot-product": -(rows @ query),
    }[metric]
    return [ids[place] for place in np.argsort(keys, kind="stable")[:10]]


@pytest.mark.parametrize("metric", METRICS)
def test_a_large_index_answers_as_brute_force_does(life: Life, metric: Any) -> None:
    random = np.random.default_rng(9)
    stored: dict[str, tuple[np.ndarray, int]] = {}

    def upsert(ids: list[str]) -> None:
        values = random.standard_normal((len(ids), WIDTH)).astype(np.float32)
        u = random.integers(0, 1000, len(ids)).tolist()
        life(life.service.upsert_arrays("large", ids, values, [{"u": each} for each in u]))
        stored.update(zip(ids, zip(values, u, strict=True), strict=True))

    def check() -> None:
        for below in (1000, 999, 700, 200, 20):
            query = random.standard_normal(WIDTH).astype(np.float32)
            wanted = {"filter": {"u": {"$lt": below}}} if below < 1000 else {}
            request = QueryRequest(vector=query.tolist(), top_k=10, **wanted)
            found = [match.id for match in life(life.service.query("large", request)).matches]
            assert found == expected(metric, stored, query.astype(np.float64), below)

    life(life.service.create("large", WIDTH, metric))
    upsert([f"v{number}" for number in range(ROWS)])
    check()
    upsert([f"v{number}" for number in range(ROWS - 30, ROWS + 30)])
    check()
    gone = [f"v{number}" for number in range(0, ROWS, 7)]
    life(life.service.delete_by_ids("large", gone))
    for each in gone:
        del stored[each]
    check()
    life.reopen()
    check()
    upsert(gone[:20])
    check()
