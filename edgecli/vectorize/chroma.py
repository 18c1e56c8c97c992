"""The door to Chroma, the store of record. Only this module imports chromadb, at first use (0.6 s).

An index is a collection named `edge-` and its uid, with the index's facts as the collection's metadata. The
namespace, metadata and ordinal of a vector are one JSON text: it round-trips exactly, and costs Chroma's SQLite one
row, where each property would cost one of its own. The space is `l2` for cosine too: in a cosine space Chroma
normalises what it stores and would not give the values back bit for bit.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import orjson

from edgecli.errors import LimitError, StateError
from edgecli.space import full_disk
from edgecli.vectorize.batches import Batch
from edgecli.vectorize.records import IndexRecord

if TYPE_CHECKING:
    pass

ABSENT = "absent"
"""The mark of a directory without a database."""

_PREFIX = "edge-"
_RECORD = "edge:record"
_SPACES = {"cosine": "l2", "euclidean": "l2", "dot-product": "ip"}
# Up to the exact limit of the store nothing is searched in this graph, so it is built cheaply.
_GRAPH = {"ef_construction": 40, "max_neighbors": 12, "ef_search": 400}
_READ_ROWS = 5000


def state_mark(directory: Path) -> str:
    """Return a mark that changes with each transaction on Chroma's database, without opening it.

    It is the change counter of the SQLite file format (bytes 24 to 27 of the file) and the file's size.
    """
    path = directory / "chroma.sqlite3"
    try:
        with path.open("rb") as file:
            header = file.read(28)
            size = file.seek(0, os.SEEK_END)
    except FileNotFoundError:
        return ABSENT
    except OSError as error:
        raise _unreadable(directory, error) from error
    journal = path.with_name(path.name + "-journal")
    if journal.exists() and journal.stat().st_size > 0:
        return "unfinished"
    return f"{int.from_bytes(header[24:28], 'big')}-{size}"


class Chroma:
    """The collections of one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._collections: dict[str, Any] = {}
        with self._errors("open"):
            import chromadb
            from chromadb.config import Settings

            directory.mkdir(parents=True, exist_ok=True)
            self._client: Any = chromadb.PersistentClient(str(directory), settings=Settings(anonymized_telemetry=False))
            self._max_rows = int(self._client.get_max_batch_size())

    @contextlib.contextmanager
    def _errors(self, action: str) -> Generator[None]:
        try:
            yield
        except (StateError, LimitError, KeyboardInterrupt, SystemExit):
            raise
        # A panic inside Chroma's Rust core arrives as a BaseException.
        except BaseException as error:
            raise full_disk(error, self._directory) or StateError(
                f"Chroma could not {action} the vectors in `{self._directory}`: {error}",
                hint="Check the disk's free space and the directory's rights; `edgecli doctor` looks closer.",
                code="vector_store",
            ) from error

    def records(self) -> list[IndexRecord]:
        """Return the facts of every index, oldest first."""
        with self._errors("list"):
            collections: list[Any] = list(self._client.list_collections())
        records: list[IndexRecord] = []
        for collection in collections:
            text = (collection.metadata or {}).get(_RECORD)
            if collection.name.startswith(_PREFIX) and isinstance(text, str):
                record = IndexRecord.from_json(text)
                self._collections[record.uid] = collection
                records.append(record)
        return sorted(records, key=lambda record: record.created_on)

    def create(self, record: IndexRecord) -> None:
        """Add an empty collection for an index."""
        with self._errors("create an index among"):
            self._collections[record.uid] = self._client.create_collection(
                _PREFIX + record.uid,
                metadata={_RECORD: record.to_json()},
                configuration={"hnsw": {"space": _SPACES[record.metric], **_GRAPH}},
                embedding_function=None,
            )

    def change(self, record: IndexRecord) -> None:
        """Replace the facts of an index."""
        with self._errors("change an index among"):
            self._collection(record.uid).modify(metadata={_RECORD: record.to_json()})

    def drop(self, uid: str) -> None:
        """Delete the collection of an index, if it is there."""
        with self._errors("delete an index among"):
            names = {collection.name for collection in self._client.list_collections()}
            if _PREFIX + uid in names:
                self._client.delete_collection(_PREFIX + uid)
        self._collections.pop(uid, None)

    def _collection(self, uid: str) -> Any:
        if uid not in self._collections:
            self._collections[uid] = self._client.get_collection(_PREFIX + uid, embedding_function=None)
        return self._collections[uid]

    def upsert(self, uid: str, batch: Batch) -> None:
        """Write the rows; when this returns, they are durable."""
        texts = [
            {_RECORD: _row_text(*row)} for row in zip(batch.namespaces, batch.metadata, batch.ordinals, strict=True)
        ]
        with self._errors("write"):
            for start in range(0, len(batch), self._max_rows):
                part = slice(start, start + self._max_rows)
                self._collection(uid).upsert(ids=batch.ids[part], embeddings=batch.values[part], metadatas=texts[part])

    def delete(self, uid: str, ids: Sequence[str]) -> None:
        """Delete these rows; unknown ids are ignored."""
        with self._errors("delete"):
            for start in range(0, len(ids), self._max_rows):
                self._collection(uid).delete(ids=list(ids[start : start + self._max_rows]))

    def count(self, uid: str) -> int:
        """Return the number of rows."""
        with self._errors("count"):
            return int(self._collection(uid).count())

    def read(self, uid: str, ids: Sequence[str]) -> Batch:
        """Return the rows with these ids; unknown ones are left out."""
        with self._errors("read"):
            found = self._collection(uid).get(ids=list(ids), include=["embeddings", "metadatas"])
        return _batch(found)

    def read_all(self, uid: str) -> Iterator[Batch]:
        """Yield all rows in the order of their insertion."""
        offset = 0
        while True:
            with self._errors("read"):
                found = self._collection(uid).get(limit=_READ_ROWS, offset=offset, include=["embeddings", "metadatas"])
            if not found["ids"]:
                return
            yield _batch(found)
            offset += len(found["ids"])

    def close(self) -> None:
        """Give the directory back."""
        with self._errors("close"):
            self._client.close()


def _row_text(namespace: str | None, metadata: str | None, ordinal: int) -> str:
    return f'{{"namespace":{orjson.dumps(namespace).decode()},"metadata":{metadata or "null"},"ordinal":{ordinal}}}'


def _batch(found: Any) -> Batch:
    ids = cast("list[str]", found["ids"])
    rows = [orjson.loads(item[_RECORD]) for item in found["metadatas"]]
    metadata = [None if row["metadata"] is None else orjson.dumps(row["metadata"]).decode() for row in rows]
    values = np.asarray(found["embeddings"], dtype=np.float32).reshape(len(ids), -1 if ids else 0)
    return Batch(ids, values, [row["namespace"] for row in rows], metadata, [row.get("ordinal", 0) for row in rows])


def _unreadable(directory: Path, error: OSError) -> StateError:
    return StateError(
        f"Cannot read the vectors in `{directory}`: {error.strerror or error}.",
        hint="Make the directory readable for this user.",
        code="vector_store",
    )
