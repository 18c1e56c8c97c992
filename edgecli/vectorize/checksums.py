"""A checksum for each row, over all that was written: it says which of two copies is the right one."""

from __future__ import annotations

import zlib

import numpy as np

from edgecli.vectorize.batches import Batch


def checksums(batch: Batch) -> list[int]:
    """Return the CRC-32 of each row's values and of its id, namespace, metadata and ordinal."""
    values = np.ascontiguousarray(batch.values, "<f4")
    rows = zip(values, batch.ids, batch.namespaces, batch.metadata, batch.ordinals, strict=True)
    return [
        zlib.crc32("\0".join((one, space or "", text or "", str(at))).encode(), zlib.crc32(row))
        for row, one, space, text, at in rows
    ]
