"""A checksum for each row, over all that was written: it says which of two copies is the right one."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

from edgecli.vectorize.batches import Batch

if TYPE_CHECKING:
    from numpy.typing import NDArray


def checksum(values: NDArray[np.float32], one: str, namespace: str | None, metadata: str | None, ordinal: int) -> int:
    """Return the CRC-32 of a row: of its values, contiguous `(d,)` float32, and of its id, texts and ordinal."""
    return zlib.crc32("\0".join((one, namespace or "", metadata or "", str(ordinal))).encode(), zlib.crc32(values.data))


def checksums(batch: Batch) -> list[int]:
    """Return the checksum of each row."""
    values = np.ascontiguousarray(batch.values, "<f4")
    rows = zip(values, batch.ids, batch.namespaces, batch.metadata, batch.ordinals, strict=True)
    return [checksum(*row) for row in rows]
