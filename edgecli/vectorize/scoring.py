"""Scores of the three metrics, and the exact best k.

Cheap passes find the candidates, each with a bound on its error: first over the codes, a quarter of the bytes, then
over float32. What remains is scored in float64, each row by the same sum, so that equal rows have equal scores and
ties fall in the order of the rows. So the result is that of scoring all rows in float64.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecli.vectorize.codes import ROUNDING, encode

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Places = NDArray[np.intp]
    Numbers = NDArray[np.float64]
    Bounds = tuple[Numbers, Numbers]
    """The least and the greatest key that each row may have."""

CODED_ROWS = 1000
"""Above this many competing rows the codes are read first."""
_FEW_ROWS = 256
"""So many are scored in float64 at once: another pass would take longer than it saves."""
_GATHER = 3
"""Rows are picked out one by one if they are less than a part of all rows, this many to the whole."""
_BLOCK_ROWS = 16384
_FLOAT32_ERROR = 2.0**-24
_FLOAT32_UNDERFLOW = 2.0**-126
_NOTHING = 2.0**-600
"""Less than the product of any two lengths but 0; so the cosine with a vector of zeros is 0."""


def best(
    metric: str,
    rows: NDArray[np.float32],
    coded: NDArray[Any],
    query: NDArray[np.float32],
    count: int,
    *,
    selected: Places | None = None,
) -> tuple[Places, Numbers]:
    """Return the places of the `count` best of the rows, best first, and their scores.

    `rows` is `(n, d)` float32, `coded` what `encode` makes of them, `query` `(d,)`. With `selected`, ascending
    places in `rows`, only those compete. Scores: cosine similarity; L2 distance; dot product.
    """
    places = np.arange(len(rows)) if selected is None else selected
    if len(places) == 0 or count <= 0:
        return np.empty(0, np.intp), np.empty(0, np.float64)
    for scan, enough in ((_scan_codes, CODED_ROWS), (_scan_values, _FEW_ROWS)):
        if len(places) > max(count, enough):
            places = places[_candidates(scan(metric, rows, coded, query, places), count)]
    keys = _exact(metric, rows, query, places)
    order = np.argsort(keys, kind="stable")[:count]
    return places[order], keys[order] if metric == "euclidean" else 0.0 - keys[order]


def _candidates(bounds: Bounds, count: int) -> Places:
    """Return which rows may be among those with the `count` smallest keys."""
    least, greatest = bounds
    # The smallest of each of some groups: `count` of these are enough to know that `count` rows are as good.
    groups = 16 * count
    if len(greatest) > 4 * groups:
        whole = len(greatest) // groups * groups
        greatest = greatest[:whole].reshape(-1, groups).min(axis=0)
    limit = np.partition(greatest, count - 1)[count - 1]
    return np.flatnonzero(least <= limit)


def _scan_codes(
    metric: str, rows: NDArray[np.float32], coded: NDArray[Any], query: NDArray[np.float32], places: Places
) -> Bounds:
    """Bound the keys by the codes: |q·v - q'·v'| <= |q| |v - v'| + |q - q'| |v'| for the coded q' and v'."""
    import simsimd

    (asked,) = encode(query[None, :])
    codes = asked["codes"][None, :]
    norm, scale, error = (float(asked[name]) for name in ("norm", "scale", "error"))

    def bound(at: slice | Places) -> Bounds:
        part = _rows_at(coded, at)
        dots = np.array(simsimd.cdist(codes, part["codes"], "dot"))[0]
        # Each number is fetched once: it lies between codes, a line of the cache away from that of the next row.
        norms = np.ascontiguousarray(part["norm"])
        dots *= part["scale"]
        dots *= scale
        # |v'| <= |v| + |v - v'|
        errors = part["error"] * (norm + error)
        errors += norms * error
        return _bounds(metric, dots, errors, norms, norm)

    return _in_blocks(len(coded), places, bound)


def _scan_values(
    metric: str, rows: NDArray[np.float32], coded: NDArray[Any], query: NDArray[np.float32], places: Places
) -> Bounds:
    """Bound the keys by products in float32."""
    norm = float(encode(query[None, :])["norm"][0])

    def bound(at: slice | Places) -> Bounds:
        with np.errstate(over="ignore", invalid="ignore"):
            dots = (_rows_at(rows, at) @ query).astype(np.float64)
        norms = _rows_at(coded, at)["norm"]
        # What overflowed is not ranked by float32: such rows are always candidates.
        errors = len(query) * (2 * _FLOAT32_ERROR * norms * norm + _FLOAT32_UNDERFLOW)
        unknown = ~np.isfinite(dots)
        dots[unknown], errors[unknown] = 0.0, np.inf
        return _bounds(metric, dots, errors, norms, norm)

    return _in_blocks(len(rows), places, bound)


def _rows_at(source: NDArray[Any], at: slice | Places) -> NDArray[Any]:
    return source[at] if isinstance(at, slice) else source.take(at, axis=0)


def _in_blocks(size: int, places: Places, bound: Callable[[slice | Places], Bounds]) -> Bounds:
    """Return the bounds for the rows at `places` out of `size`, found block by block on all cores."""
    gather = _GATHER * len(places) < size

    def block(start: int) -> Bounds:
        end = start + _BLOCK_ROWS
        return bound(places[start:end] if gather else slice(start, end))

    starts = range(0, len(places) if gather else size, _BLOCK_ROWS)
    # To wake another thread takes as long as a block.
    done = list(_cores().map(block, starts) if len(starts) > 2 else map(block, starts))
    least = np.concatenate([each[0] for each in done])
    greatest = np.concatenate([each[1] for each in done])
    return (least, greatest) if gather or len(places) == size else (least[places], greatest[places])


@cache
def _cores() -> ThreadPoolExecutor:
    # The products are made outside the interpreter's lock.
    return ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="vectorize-scan")


def _bounds(metric: str, dots: Numbers, errors: Numbers, norms: Numbers, norm: float) -> Bounds:
    """Return the bounds of the ascending keys that `_exact` would give, by those of the products."""
    if metric == "cosine":
        lengths = norms * -norm
        np.minimum(lengths, -_NOTHING, out=lengths)
        keys = np.divide(dots, lengths, out=dots)
        errors /= lengths
        np.subtract(ROUNDING, errors, out=errors)
    elif metric == "euclidean":
        # The squares of the keys, which have the same order.
        squares = norms * norms + norm * norm
        keys, errors = squares - 2 * dots, 2 * errors + ROUNDING * squares
    else:
        keys, errors = -dots, errors + (ROUNDING * norm) * norms
    return keys - errors, keys + errors


def _exact(metric: str, rows: NDArray[np.float32], query: NDArray[np.float32], places: Places) -> Numbers:
    asked = query.astype(np.float64)
    query_square = float(_sums((asked * asked)[None, :])[0])
    keys = np.empty(len(places), np.float64)
    for start in range(0, len(places), _BLOCK_ROWS):
        part = places[start : start + _BLOCK_ROWS]
        block = rows[part].astype(np.float64)
        if metric == "euclidean":
            difference = block - asked
            keys[start : start + len(part)] = np.sqrt(_sums(difference * difference))
            continue
        dots = _sums(block * asked)
        if metric == "cosine":
            lengths = np.sqrt(_sums(block * block) * query_square)
            dots = np.clip(dots / np.maximum(lengths, _NOTHING), -1.0, 1.0)
        keys[start : start + len(part)] = -dots
    return keys


def _sums(products: Numbers) -> Numbers:
    return products.sum(axis=1)
