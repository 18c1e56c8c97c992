"""Vectors in whole numbers of one byte, a quarter of their size: what the first pass of a search reads.

A row `v` is held as its `codes` c, from -127 to 127, and its `scale` s, so that s·c is near v. Beside them stand
|v| (`norm`) and a bound on |v - s·c| (`error`); both hold for any float32, also the smallest and the largest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST = 127
_BLOCK_ROWS = 512
# More than the rounding of all sums in float64 that search and encoding make of one row.
ROUNDING = 2.0**-40


def coded_row(width: int) -> np.dtype[Any]:
    """Return the type of the coded row of `width` numbers; zeros follow the codes up to a multiple of 8."""
    return np.dtype([("norm", "<f8"), ("scale", "<f8"), ("error", "<f8"), ("codes", "i1", (-(-width // 8) * 8,))])


def encode(values: NDArray[np.float32]) -> NDArray[Any]:
    """Return the coded rows `(n,)` of `(n, d)` float32."""
    coded = np.zeros(len(values), coded_row(values.shape[1]))
    for start in range(0, len(values), _BLOCK_ROWS):
        part = coded[start : start + _BLOCK_ROWS]
        wide = values[start : start + _BLOCK_ROWS].astype(np.float64)
        scale = np.abs(wide).max(axis=1, initial=0.0) / _MOST
        norm = np.sqrt((wide * wide).sum(axis=1))
        codes = np.rint(wide * np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)[:, None])
        wide -= codes * scale[:, None]
        part["norm"], part["scale"] = norm, scale
        part["codes"][:, : values.shape[1]] = codes
        part["error"] = np.sqrt((wide * wide).sum(axis=1)) * (1 + ROUNDING) + norm * ROUNDING
    return coded
