"""Mutations on the disk that are not applied yet: what `simulate_delay` acknowledges and shows later.

Each is one file, a line of JSON and then the values as float32, named by its number; they are applied in this order. A
file goes when its mutation has been applied. After a crash between the two it is applied once more, which changes
nothing: all that came after it waits still.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import orjson

from edgecli.errors import StateError
from edgecli.space import full_disk
from edgecli.vectorize.batches import Batch
from edgecli.vectorize.schema import MetadataIndexType

Action = Literal["insert", "upsert", "delete", "create_metadata_index", "delete_metadata_index"]


@dataclass(frozen=True, slots=True)
class Mutation:
    """One change of the index `uid`: rows to write, ids to delete, or a metadata index."""

    id: str
    uid: str
    action: Action
    batch: Batch | None = None
    ids: tuple[str, ...] = ()
    property_name: str = ""
    index_type: MetadataIndexType = "string"


class _Waiting(NamedTuple):
    number: int
    written: float
    mutation: Mutation
    """Without its batch and ids."""


class Pending:
    """The mutations that wait in one directory, at most `delay` seconds each."""

    def __init__(self, directory: Path, delay: float) -> None:
        self._directory = directory
        self._delay = delay
        self._waiting = deque(self._read())

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:012d}.mutation"

    def _read(self) -> Iterator[_Waiting]:
        for path in sorted(self._directory.glob("*.mutation")):
            with path.open("rb") as file:
                header = _header(path, file.readline())
            yield _Waiting(int(path.stem), header["written"], _mutation(header, None, ()))

    def put(self, mutation: Mutation) -> None:
        """Add a mutation; when this returns, it is durable."""
        number = self._waiting[-1].number + 1 if self._waiting else 1
        written = time.time()
        path = self._path(number)
        temporary = path.with_suffix(".new")
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(orjson.dumps(_to_header(mutation, written)) + b"\n")
                if mutation.batch is not None:
                    file.write(np.ascontiguousarray(mutation.batch.values, "<f4").data.cast("B"))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            _sync(self._directory)
        except OSError as error:
            raise full_disk(error, self._directory) or StateError(
                f"Cannot write `{path}`: {error.strerror or error}.",
                hint="Check the directory's rights and the disk.",
                code="vector_store",
            ) from error
        short = Mutation(
            mutation.id,
            mutation.uid,
            mutation.action,
            property_name=mutation.property_name,
            index_type=mutation.index_type,
        )
        self._waiting.append(_Waiting(number, written, short))

    def is_due(self) -> bool:
        """Tell whether a mutation has waited long enough; from any thread."""
        try:
            first = self._waiting[0]
        except IndexError:
            return False
        # A mutation of the future is one of a clock that was wrong.
        return not 0 <= time.time() - first.written < self._delay

    def take(self, *, early: bool = False) -> Iterator[Mutation]:
        """Yield the mutations that have waited long enough, or all; each is forgotten when the next is asked for."""
        while self._waiting and (early or self.is_due()):
            path = self._path(self._waiting[0].number)
            if path.exists():  # a damaged one may have been deleted, as its error says
                with path.open("rb") as file:
                    header = _header(path, file.readline())
                    values = file.read()
                yield _mutation(header, _batch(path, header, values), tuple(header["ids"]))
                path.unlink()
            self._waiting.popleft()

    def of_index(self, uid: str) -> Iterator[Mutation]:
        """Yield what waits for an index, oldest first, without rows and ids."""
        return (each.mutation for each in self._waiting if each.mutation.uid == uid)


def _to_header(mutation: Mutation, written: float) -> dict[str, Any]:
    batch = mutation.batch
    rows = None if batch is None else {"ids": batch.ids, "namespaces": batch.namespaces, "metadata": batch.metadata}
    return {
        "id": mutation.id,
        "uid": mutation.uid,
        "action": mutation.action,
        "ids": mutation.ids,
        "property_name": mutation.property_name,
        "index_type": mutation.index_type,
        "written": written,
        "rows": rows,
    }


def _header(path: Path, line: bytes) -> dict[str, Any]:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise _damaged(path) from error


def _mutation(header: dict[str, Any], batch: Batch | None, ids: tuple[str, ...]) -> Mutation:
    facts = (header["id"], header["uid"], header["action"])
    return Mutation(*facts, batch, ids, header["property_name"], header["index_type"])


def _batch(path: Path, header: dict[str, Any], values: bytes) -> Batch | None:
    rows = header["rows"]
    if rows is None:
        return None
    count = len(rows["ids"])
    if count and (not values or len(values) % (4 * count)):
        raise _damaged(path)
    matrix = np.frombuffer(values, "<f4").reshape(count, -1 if count else 0)
    return Batch(rows["ids"], matrix, rows["namespaces"], rows["metadata"])


def _damaged(path: Path) -> StateError:
    return StateError(
        f"`{path}`, a write that waits to be applied, is damaged.",
        hint="Delete the file to go on without that write.",
        code="vector_store",
    )


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
