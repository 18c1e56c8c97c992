"""The door to Chroma, the store of record.

An index is a collection named `edge-` and its uid, with the index's facts as the collection's metadata. The
namespace, metadata and ordinal of a vector are one JSON text: it round-trips exactly, and costs Chroma's SQLite one
row, where each property would cost one of its own. The space is `l2` for cosine too: in a cosine space Chroma
normalises what it stores and would not give the values back bit for bit.

A draft is a collection that nobody reads until it is published, in one transaction of Chroma's: so an index moves
to a fresh collection of a later generation, or comes from another place, whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import time
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import orjson

from edgecli.errors import EdgeError, StateError
from edgecli.space import full_disk
from edgecli.state import now
from edgecli.vectorize.batches import Batch
from edgecli.vectorize.places import REPAIR, Directory, Place
from edgecli.vectorize.records import IndexRecord

ABSENT = "absent"
"""The mark of a directory without a database."""

_PREFIX = "edge-"
_RECORD = "edge:record"
_DRAFT = "edge:draft"
_GENERATION = "edge:generation"
_MUTATION = "edge:mutation"
_SPACES = {"cosine": "l2", "euclidean": "l2", "dot-product": "ip"}
# Nothing is searched in this graph, so it is built as cheaply as Chroma can: a third of the work of (40, 12).
_GRAPH = {"ef_construction": 4, "max_neighbors": 4}
_READ_ROWS = 5000
_RECENT = 8
"""So many mutations are noted: two processes that note theirs at once write one over the other."""
_TRIES = 3
_TRY_SECONDS = 0.05
_PART_BYTES = 16 << 20
"""Of one request to Chroma; its server takes 40 MB."""


def database_of(directory: Path) -> Path:
    """Return Chroma's catalog in its directory."""
    return directory / "chroma.sqlite3"


def state_mark(directory: Path) -> str:
    """Return a mark that changes with each transaction on Chroma's database, without opening it.

    It is the change counter of the SQLite file format (bytes 24 to 27 of the file), the file's size, and a checksum
    over the size and time of each file: Chroma changes none of them after a call has returned.
    """
    path = database_of(directory)
    try:
        with path.open("rb") as file:
            header = file.read(28)
            size = file.seek(0, os.SEEK_END)
        if size == 0:
            return ABSENT
        files = [one for one in directory.rglob("*") if one.is_file() and not one.name.endswith("-journal")]
        facts = sorted((str(one.relative_to(directory)), one.stat().st_size, one.stat().st_mtime_ns) for one in files)
    except FileNotFoundError:
        return ABSENT
    except OSError as error:
        raise _unreadable(directory, error) from error
    journal = path.with_name(path.name + "-journal")
    if journal.exists() and journal.stat().st_size > 0:
        return "unfinished"
    return f"{int.from_bytes(header[24:28], 'big')}-{size}-{zlib.crc32(repr(facts).encode()):08x}"


def same_transactions(mark: str, other: str | None) -> bool:
    """Tell whether nothing was written through Chroma between two marks, whatever its files look like."""
    return mark.rpartition("-")[0] == (other or ABSENT).rpartition("-")[0]


class Chroma:
    """The collections of one place."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._folder = place.path if isinstance(place, Directory) else None
        self._collections: dict[str, Any] = {}
        self._noted: dict[str, str] = {}
        """The last mutation of each index that this process has told others of."""
        with self._errors("open"):
            self._client: Any = place.connect()
            self._max_rows = int(self._client.get_max_batch_size())

    @contextlib.contextmanager
    def _errors(self, action: str) -> Generator[None]:
        try:
            yield
        except (EdgeError, KeyboardInterrupt, SystemExit):
            raise
        # A panic inside Chroma's Rust core arrives as a BaseException.
        except BaseException as error:
            full = full_disk(error, self._folder) if self._folder else None
            raise full or self._place.failed(action, error) from error

    # What another process may have changed.

    def mark(self) -> str:
        """Return what changes with each write: `state_mark`, or each collection's last mutation as JSON.

        Of a server it is what the last call of `records` saw, with this process's own writes.
        """
        if self._folder is not None:
            return state_mark(self._folder)
        return orjson.dumps({uid: _mutation_of(one) for uid, one in sorted(self._collections.items())}).decode()

    def note(self, uid: str, mutation: str | None) -> str:
        """Tell others that this mutation is through, and return the mark. On a directory there are no others."""
        if self._folder is None:
            self._noted[uid] = mutation or ""
            self._modify(uid, lambda last: {_MUTATION: " ".join([_with_time(mutation), *_recent(last)])})
        return self.mark()

    def note_again(self, uid: str) -> str:
        """Tell others of this process's last mutation if one of them has written over it, and return the mark."""
        own = self._noted.get(uid)
        if own is not None and own not in _recent(_mutation_of(self._collection(uid))):
            self._modify(uid, lambda last: {_MUTATION: " ".join([*last.split(" ")[:2], own, *_recent(last)[1:]])})
        return self.mark()

    def _modify(self, uid: str, facts: Callable[[str], dict[str, Any]]) -> None:
        """Change facts of an index; what is written is made of its last mutation."""
        with self._errors("write"):
            found = self._find(uid)
            unchanged = _mutation_of(found) == _mutation_of(self._collection(uid))
            found.modify(metadata=found.metadata | facts(_mutation_of(found)))
        if unchanged:
            self._collections[uid] = found
        # Otherwise another process has written too, and the mark goes on to say so.

    # Indexes.

    def records(self) -> list[IndexRecord]:
        """Return the facts of every index, oldest first, and know their collections from now on."""
        with self._errors("list"):
            found = {}
            for collection in self._published():
                uid = _record_of(collection).uid
                if uid not in found or _generation_of(found[uid]) < _generation_of(collection):
                    found[uid] = collection
        self._collections = found
        return sorted((_record_of(collection) for collection in found.values()), key=lambda record: record.created_on)

    def _ours(self) -> list[Any]:
        collections = self._client.list_collections()
        return [one for one in collections if one.name.startswith(_PREFIX) and _RECORD in (one.metadata or {})]

    def _published(self) -> list[Any]:
        return [collection for collection in self._ours() if _DRAFT not in collection.metadata]

    def create(self, record: IndexRecord) -> None:
        """Add an empty collection for an index."""
        with self._errors("create an index among"):
            self._collections[record.uid] = self._new(record, 0, {_MUTATION: ""})

    def _new(self, record: IndexRecord, generation: int, facts: dict[str, Any]) -> Any:
        return self._client.create_collection(
            f"{_PREFIX}{record.uid}-{generation}" if generation else _PREFIX + record.uid,
            metadata={_RECORD: record.to_json(), _GENERATION: generation, **facts},
            configuration={"hnsw": {"space": _SPACES[record.metric], **_GRAPH}},
            embedding_function=None,
        )

    def change(self, record: IndexRecord) -> None:
        """Replace the facts of an index."""
        self._modify(record.uid, lambda _: {_RECORD: record.to_json()})

    def drop(self, uid: str) -> None:
        """Delete the collections of an index, if any are there."""
        with self._errors("delete an index among"):
            for collection in self._ours():
                if _record_of(collection).uid == uid:
                    self._client.delete_collection(collection.name)
        self._collections.pop(uid, None)

    def _find(self, uid: str) -> Any:
        found = [one for one in self._published() if _record_of(one).uid == uid]
        if not found:
            raise StateError(
                f"The index with the uid `{uid}` is no longer in {self._place}.",
                hint="Another process has deleted it; run the command again.",
                code="vector_store",
            )
        return max(found, key=_generation_of)

    def _collection(self, uid: str) -> Any:
        if uid not in self._collections:
            with self._errors("find an index among"):
                self._collections[uid] = self._find(uid)
        return self._collections[uid]

    # Rows.

    def upsert(self, uid: str, batch: Batch) -> None:
        """Write the rows; when this returns, they are durable."""
        self._upsert(self._collection(uid), batch)

    def _upsert(self, collection: Any, batch: Batch) -> None:
        texts = [_row_text(*row) for row in zip(batch.namespaces, batch.metadata, batch.ordinals, strict=True)]
        with self._errors("write"):
            for part in self._parts(texts, batch.values.shape[1]):
                rows = [{_RECORD: text} for text in texts[part]]
                collection.upsert(ids=batch.ids[part], embeddings=batch.values[part], metadatas=rows)

    def _parts(self, texts: Sequence[str], width: int) -> Iterator[slice]:
        """Cut a batch so that no part has more rows or bytes than Chroma takes."""
        start = size = 0
        for place, text in enumerate(texts):
            # Values travel as base64; a character is at most four bytes.
            row = 4 * len(text) + 6 * width + 200
            if place > start and (size + row > _PART_BYTES or place - start == self._max_rows):
                yield slice(start, place)
                start, size = place, 0
            size += row
        if start < len(texts):
            yield slice(start, len(texts))

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
        return self._get(self._collection(uid), ids=list(ids))

    def _get(self, collection: Any, **asked: Any) -> Batch:
        with self._errors("read"):
            for _ in range(_TRIES if self._folder is None else 0):
                # The server finds an id and then not its values, where another process deletes it in between.
                with contextlib.suppress(Exception):
                    return _batch(collection.get(include=["embeddings", "metadatas"], **asked))
                time.sleep(_TRY_SECONDS)
            return _batch(collection.get(include=["embeddings", "metadatas"], **asked))

    def read_all(self, uid: str) -> Iterator[Batch]:
        """Yield all rows in the order of their insertion."""
        yield from self._read_all(self._collection(uid))

    def _read_all(self, collection: Any) -> Iterator[Batch]:
        offset = 0
        while True:
            batch = self._get(collection, limit=_READ_ROWS, offset=offset)
            if not batch.ids:
                return
            yield batch
            offset += len(batch)

    # Drafts.

    def draft(self, record: IndexRecord) -> Draft:
        """Begin a collection of an index that nobody reads before it is published."""
        with self._errors("write"):
            generations = [0]
            for collection in self._ours():
                if _record_of(collection).uid == record.uid:
                    generations.append(_generation_of(collection) + 1)
                    if _DRAFT in collection.metadata:
                        self._client.delete_collection(collection.name)
            return Draft(self, self._new(record, max(generations), {_DRAFT: True}))

    def put(self, draft: Draft, batch: Batch) -> None:
        """Write rows into a draft."""
        self._upsert(draft.collection, batch)

    def read_draft(self, draft: Draft) -> Iterator[Batch]:
        """Yield all rows of a draft in the order of their insertion."""
        return self._read_all(draft.collection)

    def publish(self, draft: Draft, mutation: str | None, processed_on: str | None) -> None:
        """Let the draft be its index's collection from now on, and delete the one before it."""
        with self._errors("write"):
            facts = {key: value for key, value in draft.collection.metadata.items() if key != _DRAFT}
            draft.collection.modify(metadata=facts | {_MUTATION: _with_time(mutation, processed_on)})
            uid = _record_of(draft.collection).uid
            self._collections[uid] = draft.collection
            self._drop_older(uid, _generation_of(draft.collection))

    def _drop_older(self, uid: str, generation: int) -> None:
        for collection in self._ours():
            if _record_of(collection).uid == uid and _generation_of(collection) < generation:
                self._client.delete_collection(collection.name)

    def tidy(self) -> None:
        """Delete what a crash has left: drafts and earlier generations. Only on a directory, which has one owner."""
        if self._folder is None:
            return
        with self._errors("tidy"):
            for collection in self._ours():
                if _DRAFT in collection.metadata:
                    self._client.delete_collection(collection.name)
            for collection in self._published():
                self._drop_older(_record_of(collection).uid, _generation_of(collection))

    def close(self) -> None:
        """Give the place back."""
        with self._errors("close"):
            self._client.close()


class Draft:
    """A collection that nobody reads yet."""

    def __init__(self, chroma: Chroma, collection: Any) -> None:
        self._chroma = chroma
        self.collection = collection

    def put(self, batch: Batch) -> None:
        """Write rows."""
        self._chroma.put(self, batch)

    def rows(self) -> Iterator[Batch]:
        """Yield all rows in the order of their insertion."""
        return self._chroma.read_draft(self)

    def publish(self, mutation: str | None = None, processed_on: str | None = None) -> None:
        """Let it be its index's collection from now on; tell others of its last mutation."""
        self._chroma.publish(self, mutation, processed_on)


def shrink(directory: Path) -> None:
    """Give back the disk space of what was deleted, while Chroma is closed.

    Chroma leaves the folders of deleted collections where they are, and the free pages in its database.
    """
    path = database_of(directory)
    with contextlib.closing(sqlite3.connect(path)) as database:
        alive = {name for (name,) in database.execute("SELECT id FROM segments")}
        for folder in directory.iterdir():
            if folder.is_dir() and folder.name not in alive:
                shutil.rmtree(folder)
        database.execute("VACUUM")


def damaged(place: Place, what: str) -> StateError:
    """Return the error for a store that is damaged."""
    return StateError(
        f"The vectors in {place} are damaged: {what}.",
        hint=f"`{REPAIR}` restores them from the copy that answers queries.",
        code="vector_store_damaged",
    )


def _record_of(collection: Any) -> IndexRecord:
    return IndexRecord.from_json(collection.metadata[_RECORD])


def _generation_of(collection: Any) -> int:
    return int(collection.metadata.get(_GENERATION, 0))


def _mutation_of(collection: Any) -> str:
    return str(collection.metadata.get(_MUTATION, ""))


def _recent(noted: str) -> list[str]:
    """Return the last mutations of an index, the newest first, by what was noted: it, its time, those before it."""
    newest, *rest = noted.split(" ")
    return [newest, *rest[1:]][:_RECENT]


def _with_time(mutation: str | None, processed_on: str | None = None) -> str:
    return f"{mutation or ''} {processed_on or now()}"


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
