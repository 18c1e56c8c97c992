"""The values of an index's vectors in one flat file: row after row of float32, read through a memory map."""

from __future__ import annotations

import os
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class DamagedMirrorError(Exception):
    """The mirror contradicts itself; it can be made again from Chroma."""


class ValuesFile:
    """Rows of `width` float32 at numbered slots.

    Rows are written with plain writes and never through the map: a full disk is then an OSError, where a map
    would end the process.
    """

    def __init__(self, path: Path, width: int) -> None:
        self.path = path
        self._width = width
        self._row_bytes = 4 * width

    def write(self, slots: Sequence[int], values: NDArray[np.float32]) -> None:
        """Put row i of `values` `(n, width)` at `slots[i]`; when this returns, the rows are on the disk."""
        rows = np.ascontiguousarray(values, dtype="<f4")
        with self.path.open("r+b" if self.path.exists() else "w+b", buffering=0) as file:
            start = 0
            while start < len(slots):
                end = start + 1
                while end < len(slots) and slots[end] == slots[end - 1] + 1:
                    end += 1
                file.seek(slots[start] * self._row_bytes)
                _write_all(file, rows[start:end].data.cast("B"))
                start = end
            os.fsync(file.fileno())

    def map(self, count: int) -> NDArray[np.float32]:
        """Return the first `count` rows, `(count, width)` float32, read from the disk as they are used.

        Raises DamagedMirrorError if the file is shorter.
        """
        if count == 0:
            return np.empty((0, self._width), np.float32)
        if not self.path.exists() or self.path.stat().st_size < count * self._row_bytes:
            raise DamagedMirrorError(f"`{self.path.name}` is shorter than its {count} rows")
        return np.memmap(self.path, dtype="<f4", mode="r", shape=(count, self._width)).view(np.ndarray)


def _write_all(file: FileIO, data: memoryview) -> None:
    while data:
        data = data[file.write(data) :]
