"""Scores of the three metrics, and the exact best k.

A pass in float32 finds the candidates, with a bound on its rounding error; these are scored again in float64,
each row by the same sum, so that equal rows have equal scores and ties fall in the order of the rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK_ROWS = 4096
_FLOAT32_ERROR = 2.0**-24
_FLOAT32_UNDERFLOW = 2.0**-126


def squared_norms(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return |v|² of each row of `(n, d)` float32, as `(n,)` float64."""
    squares = np.empty(len(rows), np.float64)
    for start in range(0, len(rows), _BLOCK_ROWS):
        block = rows[start : start + _BLOCK_ROWS].astype(np.float64)
        squares[start : start + _BLOCK_ROWS] = (block * block).sum(axis=1)
    return squares


def best(
    metric: str,
    rows: NDArray[np.float32],
    squares: NDArray[np.float64],
    query: NDArray[np.float32],
    count: int,
    *,
    selected: NDArray[np.intp] | None = None,
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the places of the `count` best of the rows, best first, and their scores.

    `rows` is `(n, d)` float32, `squares` their |v|² `(n,)`, `query` `(d,)`. With `selected`, ascending
    places in `rows`, only those compete. Scores: cosine similarity; L2 distance; dot product.
    """
    places = np.arange(len(rows)) if selected is None else selected
    if len(places) == 0 or count <= 0:
        return np.empty(0, np.intp), np.empty(0, np.float64)
    query_square = float(squared_norms(query[None, :])[0])
    if len(places) > count:
        dots = _dots(rows, query, places)
        keys, tolerance = _approximate(metric, dots, squares[places], query_square, len(query))
        places = places[_candidates(keys, tolerance, count)]
    keys = _exact(metric, rows, squares, query.astype(np.float64), query_square, places)
    order = np.argsort(keys, kind="stable")[:count]
    return places[order], _scores(metric, keys[order])


def _dots(rows: NDArray[np.float32], query: NDArray[np.float32], places: NDArray[np.intp]) -> NDArray[np.float64]:
    with np.errstate(over="ignore", invalid="ignore"):
        if 2 * len(places) < len(rows):
            parts = [places[at : at + _BLOCK_ROWS] for at in range(0, len(places), _BLOCK_ROWS)]
            return np.concatenate([rows[part] @ query for part in parts]).astype(np.float64)
        return (rows @ query).astype(np.float64)[places]


def _approximate(
    metric: str, dots: NDArray[np.float64], squares: NDArray[np.float64], query_square: float, width: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ascending sort keys, and how far each may be off by the rounding of the float32 products."""
    lengths = np.sqrt(squares * query_square)
    error = width * (2 * _FLOAT32_ERROR * lengths + _FLOAT32_UNDERFLOW)
    if metric == "cosine":
        return -_ratio(dots, lengths), _ratio(error, lengths)
    if metric == "euclidean":
        return squares - 2 * dots + query_square, 2 * error + 2**-40 * (squares + query_square)
    return -dots, error


def _candidates(keys: NDArray[np.float64], tolerance: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    # What overflowed float32 is not ranked by it: such rows are always candidates.
    known = np.isfinite(keys)
    worst = np.where(known, keys + tolerance, np.inf)
    bound = np.partition(worst, count - 1)[count - 1]
    return np.flatnonzero((keys - tolerance <= bound) | ~known)


def _exact(
    metric: str,
    rows: NDArray[np.float32],
    squares: NDArray[np.float64],
    query: NDArray[np.float64],
    query_square: float,
    places: NDArray[np.intp],
) -> NDArray[np.float64]:
    keys = np.empty(len(places), np.float64)
    for start in range(0, len(places), _BLOCK_ROWS):
        part = places[start : start + _BLOCK_ROWS]
        block = rows[part].astype(np.float64)
        if metric == "euclidean":
            difference = block - query
            keys[start : start + len(part)] = np.sqrt((difference * difference).sum(axis=1))
            continue
        dots = (block * query).sum(axis=1)
        if metric == "cosine":
            dots = np.clip(_ratio(dots, np.sqrt(squares[part] * query_square)), -1.0, 1.0)
        keys[start : start + len(part)] = -dots
    return keys


def _ratio(dots: NDArray[np.float64], lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cosines; that of a vector of zeros is 0."""
    return np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0)


def _scores(metric: str, keys: NDArray[np.float64]) -> NDArray[np.float64]:
    return keys if metric == "euclidean" else 0.0 - keys
