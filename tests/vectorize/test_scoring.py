"""Scores against their definitions in float64, ties, and numbers at the ends of float32."""

from __future__ import annotations

import numpy as np
import pytest

from edgecli.vectorize.scoring import best, squared_norms


def expected(metric: str, rows: np.ndarray, query: np.ndarray) -> np.ndarray:
    wide, one = rows.astype(np.float64), query.astype(np.float64)
    if metric == "euclidean":
        return np.sqrt(((wide - one) ** 2).sum(axis=1))
    dots = wide @ one
    if metric == "dot-product":
        return dots
    lengths = np.linalg.norm(wide, axis=1) * np.linalg.norm(one)
    return np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0)


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "dot-product"])
@pytest.mark.parametrize("scale", [1.0, 1e-24, 1e25])
def test_best_are_the_best(metric: str, scale: float) -> None:
    random = np.random.default_rng(1)
    rows = (random.standard_normal((3000, 48)) * scale).astype(np.float32)
    rows[7] = 0
    query = (random.standard_normal(48) * scale).astype(np.float32)
    places, scores = best(metric, rows, squared_norms(rows), query, 20)
    truth = expected(metric, rows, query)
    order = np.argsort(truth if metric == "euclidean" else -truth, kind="stable")[:20]
    assert places.tolist() == order.tolist()
    np.testing.assert_allclose(scores, truth[order], rtol=1e-12)


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "dot-product"])
def test_ties_fall_in_the_order_of_the_rows(metric: str) -> None:
    rows = np.random.default_rng(2).standard_normal((500, 31)).astype(np.float32)
    twins = [3, 77, 200, 201, 499]
    rows[twins] = rows[3] * 50 / np.linalg.norm(rows[3])
    places, scores = best(metric, rows, squared_norms(rows), rows[3], 4)
    assert places.tolist() == twins[:4]
    assert len(set(scores.tolist())) == 1
    selected = np.array([0, 77, 201, 499])
    places, _ = best(metric, rows, squared_norms(rows), rows[3], 2, selected=selected)
    assert places.tolist() == [77, 201]


def test_identical_vectors_have_the_extreme_score() -> None:
    rows = np.array([[0.1, 0.2, 0.3], [-0.1, -0.2, -0.3]], np.float32)
    assert best("cosine", rows, squared_norms(rows), rows[0], 2)[1].tolist() == [1.0, -1.0]
    assert best("euclidean", rows, squared_norms(rows), rows[0], 1)[1].tolist() == [0.0]


def test_nothing_to_rank() -> None:
    rows = np.empty((0, 3), np.float32)
    places, scores = best("cosine", rows, squared_norms(rows), np.ones(3, np.float32), 5)
    assert places.tolist() == scores.tolist() == []
