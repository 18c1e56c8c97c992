"""A process that writes vectors without end and says which are acknowledged. The tests kill it."""

from __future__ import annotations

import resource
import signal
import sys
from pathlib import Path

import numpy as np

from edgecli.errors import StateError
from edgecli.vectorize.batches import batch_of_arrays
from edgecli.vectorize.store import VectorStore

WIDTH = 16
BATCH = 25


def values_of(number: int, version: int) -> np.ndarray:
    """The values of vector `number` in its `version`: each of them says which it is."""
    return np.full(WIDTH, number + version / 256, np.float32)


def write(directory: Path, start: int) -> None:
    store = VectorStore(directory)
    if not store.records():
        store.create("written", WIDTH, "euclidean", "")
    batch_number = start
    while True:
        # Each second batch writes the one before again: an upsert in place.
        first, version = (batch_number // 2) * BATCH, batch_number % 2
        numbers = range(first, first + BATCH)
        values = np.stack([values_of(number, version) for number in numbers])
        metadata = [{"version": version, "文": "字" * 200} for _ in numbers]
        batch = batch_of_arrays([f"v{number}" for number in numbers], values, metadata, None, WIDTH)
        try:
            store.write("written", batch, replace=True)
        except StateError as error:
            sys.stdout.write(f"error {error.code}\n")
            store.close()
            return
        sys.stdout.write(f"{batch_number}\n")
        sys.stdout.flush()
        batch_number += 1


if __name__ == "__main__":
    if len(sys.argv) > 3:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
    write(Path(sys.argv[1]), int(sys.argv[2]))
