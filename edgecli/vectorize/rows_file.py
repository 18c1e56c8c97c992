"""Flat files with one row a slot, read through a memory map."""

from __future__ import annotations

import os
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class DamagedMirrorError(Exception):
    """The mirror contradicts itself; it can be made again from Chroma."""


class RowsFile:
    """Rows of the type `row` at numbered slots.

    Rows are written with plain writes and never through the map: a full disk is then an OSError, where a map
    would end the process.
    """

    def __init__(self, path: Path, row: np.dtype[Any]) -> None:
        self.path = path
        self._row = row

    def write(self, slots: Sequence[int], rows: NDArray[Any]) -> None:
        """Put `rows[i]` at `slots[i]`; when this returns, the rows are on the disk."""
        if not len(slots):
            return
        data = np.ascontiguousarray(rows, self._row.base).reshape(-1).view(np.uint8).data
        size = self._row.itemsize
        with self.path.open("r+b" if self.path.exists() else "w+b", buffering=0) as file:
            start = 0
            while start < len(slots):
                end = start + 1
                while end < len(slots) and slots[end] == slots[end - 1] + 1:
                    end += 1
                file.seek(slots[start] * size)
                _write_all(file, data[start * size : end * size])
                start = end
            os.fsync(file.fileno())

    def holds(self, count: int) -> bool:
        """Tell whether the file is long enough for this many rows."""
        return count == 0 or (self.path.exists() and self.path.stat().st_size >= count * self._row.itemsize)

    def map(self, count: int) -> NDArray[Any]:
        """Return the first `count` rows, read from the disk as they are used.

        Raises DamagedMirrorError if the file is shorter.
        """
        if count == 0:
            return np.empty(0, self._row)
        if not self.holds(count):
            raise DamagedMirrorError(f"`{self.path.name}` is shorter than its {count} rows")
        return np.memmap(self.path, dtype=self._row, mode="r", shape=(count,)).view(np.ndarray)


def _write_all(file: FileIO, data: memoryview) -> None:
    while data:
        data = data[file.write(data) :]
