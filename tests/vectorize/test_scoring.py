"""Scores against their definitions in float64, ties, and numbers at the ends of float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgecli.vectorize import scoring
from edgecli.vectorize.codes import encode
from edgecli.vectorize.scoring import CODED_ROWS, best


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
    places, scores = best(metric, rows, encode(rows), query, 20)
    truth = expected(metric, rows, query)
    order = np.argsort(truth if metric == "euclidean" else -truth, kind="stable")[:20]
    assert places.tolist() == order.tolist()
    np.testing.assert_allclose(scores, truth[order], rtol=1e-12)


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "dot-product"])
def test_ties_fall_in_the_order_of_the_rows(metric: str) -> None:
    rows = np.random.default_rng(2).standard_normal((500, 31)).astype(np.float32)
    twins = [3, 77, 200, 201, 499]
    rows[twins] = rows[3] * 50 / np.linalg.norm(rows[3])
    places, scores = best(metric, rows, encode(rows), rows[3], 4)
    assert places.tolist() == twins[:4]
    assert len(set(scores.tolist())) == 1
    selected = np.array([0, 77, 201, 499])
    places, _ = best(metric, rows, encode(rows), rows[3], 2, selected=selected)
    assert places.tolist() == [77, 201]


def test_identical_vectors_have_the_extreme_score() -> None:
    rows = np.array([[0.1, 0.2, 0.3], [-0.1, -0.2, -0.3]], np.float32)
    assert best("cosine", rows, encode(rows), rows[0], 2)[1].tolist() == [1.0, -1.0]
    assert best("euclidean", rows, encode(rows), rows[0], 1)[1].tolist() == [0.0]


def test_nothing_to_rank() -> None:
    rows = np.empty((0, 3), np.float32)
    places, scores = best("cosine", rows, encode(rows), np.ones(3, np.float32), 5)
    assert places.tolist() == scores.tolist() == []


WIDTH = 37


def plain(random: np.random.Generator, rows: int) -> np.ndarray:
    return random.standard_normal((rows, WIDTH))


def lengths_from_the_smallest_to_the_largest(random: np.random.Generator, rows: int) -> np.ndarray:
    return random.standard_normal((rows, WIDTH)) * 10.0 ** random.uniform(-44, 37, (rows, 1))


def products_beyond_float32(random: np.random.Generator, rows: int) -> np.ndarray:
    return random.uniform(0.5, 1, (rows, WIDTH)) * 3e38


def denormals_and_zeros(random: np.random.Generator, rows: int) -> np.ndarray:
    return random.integers(-3, 4, (rows, WIDTH)) * 1.4e-45 * (random.random((rows, 1)) < 0.5)


def many_equal(random: np.random.Generator, rows: int) -> np.ndarray:
    return random.integers(-1, 2, (5, WIDTH))[random.integers(0, 5, rows)]


def nearly_equal(random: np.random.Generator, rows: int) -> np.ndarray:
    return random.standard_normal(WIDTH) + 1e-6 * random.standard_normal((rows, WIDTH))


def one_huge_number_a_row(random: np.random.Generator, rows: int) -> np.ndarray:
    values = random.standard_normal((rows, WIDTH)) * 1e-3
    values[np.arange(rows), random.integers(0, WIDTH, rows)] = 1e6
    return values


CASES = [
    plain,
    lengths_from_the_smallest_to_the_largest,
    products_beyond_float32,
    denormals_and_zeros,
    many_equal,
    nearly_equal,
    one_huge_number_a_row,
]


def brute_force(metric: str, rows: np.ndarray, query: np.ndarray, places: np.ndarray, count: int) -> list[int]:
    """Score every row in float64 by the same sums, and sort."""
    wide, one = rows[places].astype(np.float64), query.astype(np.float64)
    keys = np.sqrt(((wide - one) ** 2).sum(axis=1)) if metric == "euclidean" else -(wide * one).sum(axis=1)
    if metric == "cosine":
        lengths = np.sqrt((wide * wide).sum(axis=1) * (one * one)[None, :].sum(axis=1))
        keys = -np.clip(np.divide(-keys, lengths, out=np.zeros_like(keys), where=lengths > 0), -1, 1)
    return places[np.argsort(keys, kind="stable")[:count]].tolist()


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "dot-product"])
@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_the_passes_over_codes_and_float32_lose_nothing(metric: str, make: Any) -> None:
    random = np.random.default_rng(4)
    rows = make(random, 2 * CODED_ROWS + 11).astype(np.float32)
    coded = encode(rows)
    every = np.arange(len(rows))
    halves = [every, every[random.random(len(rows)) < 0.7], np.sort(random.choice(every, 1 + len(rows) // 4))]
    for query in [make(random, 1)[0], rows[5], -rows[6], np.zeros(WIDTH), random.standard_normal(WIDTH)]:
        query = np.asarray(query, np.float32)
        for places in map(np.unique, halves):
            for count in (1, 10, 100):
                found, _ = best(metric, rows, coded, query, count, selected=places)
                assert found.tolist() == brute_force(metric, rows, query, places, count)


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_codes_are_no_further_off_than_they_say(make: Any) -> None:
    rows = make(np.random.default_rng(5), 3000).astype(np.float32)
    coded = encode(rows)
    wide = rows.astype(np.longdouble)
    codes = coded["codes"][:, :WIDTH].astype(np.longdouble) * coded["scale"].astype(np.longdouble)[:, None]
    assert (np.sqrt(((wide - codes) ** 2).sum(axis=1)) <= coded["error"]).all()
    np.testing.assert_allclose(coded["norm"], np.sqrt((wide**2).sum(axis=1)).astype(np.float64), rtol=1e-14)
    assert np.abs(coded["codes"].astype(int)).max() <= 127


def test_the_codes_alone_leave_few_rows_to_score() -> None:
    random = np.random.default_rng(6)
    rows = random.standard_normal((20_000, 384)).astype(np.float32)
    query = random.standard_normal(384).astype(np.float32)
    bounds = scoring._scan_codes("cosine", rows, encode(rows), query, np.arange(len(rows)))
    assert len(scoring._candidates(bounds, 10)) < 200
