"""The store of all indexes: each write goes to Chroma and then to the mirror, each read to the mirror.

One thread may write while others read: a read holds the lock for as long as it lasts, a write only while it is
applied to the mirror, not while Chroma works. So a read sees a write whole or not at all.
"""

from __future__ import annotations

import math
import shutil
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from edgecli.errors import ConfigError, LimitError, StateError, UpstreamError
from edgecli.space import full_disk
from edgecli.state import now
from edgecli.vectorize import limits, rebuild, recovery, scoring
from edgecli.vectorize.batches import Batch
from edgecli.vectorize.checksums import checksum
from edgecli.vectorize.chroma import ABSENT, Chroma, damaged, state_mark
from edgecli.vectorize.chroma_reader import Reading, read_apart, readings
from edgecli.vectorize.filters import Filter
from edgecli.vectorize.mirror import Mirror
from edgecli.vectorize.places import REPAIR, Directory, Place, Server
from edgecli.vectorize.records import IndexRecord, MetadataIndex, Progress, Row
from edgecli.vectorize.rows_file import DamagedMirrorError
from edgecli.vectorize.snapshot import Snapshot

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T")


_LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Hit:
    """A row that a search found; `values` is `(d,)` float32."""

    row: Row
    score: float
    values: NDArray[np.float32]


class _Change(NamedTuple):
    """What a write does: to the rows of these ids, apart from the reads, and then to the mirror."""

    ids: Sequence[str]
    apart: Callable[[Chroma], None]
    apply: Callable[[Mirror, str, str], None]


class VectorStore:
    """The indexes below one directory, which this process owns."""

    def __init__(self, directory: Path, server: Server | None = None) -> None:
        self._place: Place = server or Directory(directory / "chroma")
        self._mirror_directory = directory / f"mirror{self._place.suffix}"
        self._lock = threading.RLock()
        self._chroma_or_none: Chroma | None = None
        self._mirror_or_none: Mirror | None = None
        self._snapshots: dict[str, Snapshot] = {}
        self._looked = -math.inf
        """When the server was last asked for what others have written, by the monotonic clock."""
        self._writer: int | None = None
        """The thread that is writing, now and then without the lock."""

    # Opening, and what to do when a part is damaged or behind.

    def _chroma(self) -> Chroma:
        if self._chroma_or_none is None:
            proven = self._mirror_or_none is not None and not self._mirror_or_none.intents()
            self._chroma_or_none = Chroma(self._place)
            if proven and self._mirror_or_none is not None and isinstance(self._place, Directory):
                # Opening writes to Chroma's database, so the mark has moved on.
                self._mirror_or_none.settle(self._chroma_or_none.mark())
        return self._chroma_or_none

    def _close_chroma(self) -> None:
        if self._chroma_or_none is not None:
            self._chroma_or_none.close()
            self._chroma_or_none = None

    @contextmanager
    def _writing(self) -> Generator[None]:
        """Let a block give up the lock between the steps of a write: until its end others leave the mirror open.

        Opening it finishes what was left undone, which must not be what this thread is doing.
        """
        self._writer = threading.get_ident()
        try:
            yield
        finally:
            self._writer = None

    @property
    def _others_write(self) -> bool:
        return self._writer not in {None, threading.get_ident()}

    def _mirror(self) -> Mirror:
        if self._mirror_or_none is None:
            try:
                self._mirror_or_none = self._open_mirror()
            except (sqlite3.DatabaseError, DamagedMirrorError):
                # The mirror is a copy: what is damaged is made again from Chroma.
                self._set_mirror_aside()
                self._mirror_or_none = self._open_mirror()
            if self._mirror_or_none.records():
                shutil.rmtree(self._damaged_mirror, ignore_errors=True)
        return self._mirror_or_none

    def _open_mirror(self) -> Mirror:
        mirror = Mirror(self._mirror_directory)
        try:
            if isinstance(self._place, Directory):
                rebuild.finish(self._place.path)
                if state_mark(self._place.path) == ABSENT and any(self._damaged_mirror.glob("*.f32")):
                    raise damaged(self._place, "its database is gone, and the copy cannot be read")
                recovery.bring_up_to_date(mirror, self._chroma, self._place.path, self._readings)
        except BaseException:
            mirror.close()
            raise
        return mirror

    def _readings(self, uids: Sequence[str] | None = None) -> AbstractContextManager[Iterator[Reading]]:
        """Give what Chroma holds, read apart from this process unless it is open here already."""
        if self._chroma_or_none is not None or isinstance(self._place, Server):
            return nullcontext(readings(self._chroma(), uids))
        return read_apart(self._place.path, uids)

    def _look(self, mirror: Mirror, *, fresh: bool) -> None:
        """See what others have written to the server: before each write, and for reads once a second."""
        if self._others_write:
            return
        if isinstance(self._place, Server) and (fresh or time.monotonic() - self._looked >= _LOOK_SECONDS):
            for uid in recovery.follow(mirror, self._chroma()):
                self._snapshots.pop(uid, None)
            self._looked = time.monotonic()

    @property
    def _damaged_mirror(self) -> Path:
        """Where a damaged mirror stays until a new one is made: Chroma may be damaged too."""
        return self._mirror_directory.with_name(f"{self._mirror_directory.name}-damaged")

    def _set_mirror_aside(self) -> None:
        self._forget()
        shutil.rmtree(self._damaged_mirror, ignore_errors=True)
        self._mirror_directory.rename(self._damaged_mirror)

    def _forget(self) -> None:
        """Drop what is in memory, so that the next call looks at the disk again."""
        with self._lock:
            self._snapshots.clear()
            self._looked = -math.inf
            if self._mirror_or_none is not None and not self._others_write:
                self._mirror_or_none.close()
                self._mirror_or_none = None

    @contextmanager
    def _guarded(self, *, fresh: bool = False) -> Generator[Mirror]:
        """Give the mirror to a block; if the block fails on the disk, look at the disk again next time."""
        with self._lock, self._careful():
            mirror = self._mirror()
            self._look(mirror, fresh=fresh)
            yield mirror

    @contextmanager
    def _careful(self) -> Generator[None]:
        try:
            yield
        except (StateError, LimitError, UpstreamError, ConfigError):
            self._forget()
            raise
        except (sqlite3.OperationalError, OSError) as error:
            self._forget()
            raise full_disk(error, self._mirror_directory) or StateError(
                f"Cannot use the vectors in `{self._mirror_directory}`: {error}.",
                hint="Check the disk's free space and the directory's rights, then run the command again.",
                code="vector_store",
            ) from error
        except (sqlite3.DatabaseError, DamagedMirrorError) as error:
            if not self._others_write:
                self._set_mirror_aside()
            raise StateError(
                f"The copy of the vectors in `{self._mirror_directory}` is damaged: {error}.",
                hint="Run the command again: the copy is made again from Chroma.",
                code="vector_store",
            ) from error

    def close(self) -> None:
        """Give everything back."""
        with self._lock:
            self._forget()
        self._close_chroma()

    # Indexes.

    def records(self) -> list[IndexRecord]:
        """Return the facts of every index, oldest first."""
        with self._guarded() as mirror:
            return mirror.records()

    def record(self, name: str) -> IndexRecord:
        """Return the facts of one index. Raises NotFoundError."""
        with self._guarded() as mirror:
            return named(mirror, name)

    def create(self, name: str, dimensions: int, metric: str, description: str) -> IndexRecord:
        """Add an empty index. Raises EdgeError, code `index_exists`, if the name is taken."""
        created = now()
        record = IndexRecord(uuid.uuid4().hex, name, description, dimensions, metric, created, created)
        with self._guarded(fresh=True) as mirror:
            if any(each.name == name for each in mirror.records()):
                raise limits.duplicate_name(name)
            mirror.begin(record.uid, [], None)
            self._chroma().create(record)
            mirror.add(record, self._chroma().mark())
        return record

    def set_metadata_indexes(self, name: str, indexes: Sequence[MetadataIndex], *, mutation: str | None = None) -> str:
        """Replace an index's metadata indexes and return the mutation's id. Raises NotFoundError."""
        with self._guarded(fresh=True) as mirror:
            record = replace(named(mirror, name), metadata_indexes=tuple(indexes), modified_on=now())
            mutation = mutation or str(uuid.uuid4())
            mirror.begin(record.uid, [], mutation)
            self._chroma().change(record)
            mirror.change(record, mutation=mutation, mark=self._chroma().note(record.uid, mutation))
        return mutation

    def drop(self, name: str) -> None:
        """Delete an index and all that is in it. Raises NotFoundError."""
        with self._guarded(fresh=True) as mirror:
            uid = named(mirror, name).uid
            mirror.begin(uid, [], None)
            self._chroma().drop(uid)
            self._snapshots.pop(uid, None)
            mirror.remove(uid, self._chroma().mark())

    def progress(self, name: str) -> Progress:
        """Return how far an index is. Raises NotFoundError."""
        with self._guarded() as mirror:
            return mirror.progress(named(mirror, name).uid)

    # Rows.

    def write(self, name: str, batch: Batch, *, replace: bool, mutation: str | None = None) -> str:
        """Write rows and return the mutation's id, a new one unless it is given, when they are durable.

        An id that is stored or comes twice: with `replace` the last row wins, else the first.
        """
        single = batch.without_duplicates(last_wins=replace)

        def plan(mirror: Mirror, uid: str) -> _Change:
            rows = single
            if not replace:
                known = mirror.slots_of(uid, rows.ids)
                rows = rows.take([place for place, each in enumerate(rows.ids) if each not in known])
            rows.ordinals = [mirror.progress(uid).ordinal + 1] * len(rows)
            staged = mirror.stage(uid, rows)

            def apart(chroma: Chroma) -> None:
                chroma.upsert(uid, rows)
                staged.put()

            def apply(mirror: Mirror, mutation: str, mark: str) -> None:
                slots = mirror.write(uid, rows, mutation=mutation, mark=mark, staged=staged)
                if uid in self._snapshots:
                    self._snapshots[uid].wrote(slots, rows)

            return _Change(rows.ids, apart, apply)

        return self._mutate(name, plan, mutation)

    def erase(self, name: str, ids: Iterable[str], *, mutation: str | None = None) -> str:
        """Delete rows and return the mutation's id when that is durable; unknown ids are ignored."""

        def plan(mirror: Mirror, uid: str) -> _Change:
            known = list(mirror.slots_of(uid, ids))

            def apart(chroma: Chroma) -> None:
                chroma.delete(uid, known)

            def apply(mirror: Mirror, mutation: str, mark: str) -> None:
                slots = mirror.erase(uid, known, mutation=mutation, mark=mark)
                if uid in self._snapshots:
                    self._snapshots[uid].erased(slots)
                if mirror.pack(uid):
                    self._snapshots.pop(uid, None)

            return _Change(known, apart, apply)

        return self._mutate(name, plan, mutation)

    def _mutate(self, name: str, plan: Callable[[Mirror, str], _Change], mutation: str | None) -> str:
        mutation = mutation or str(uuid.uuid4())
        with self._writing():
            with self._guarded(fresh=True) as mirror:
                uid = named(mirror, name).uid
                change = plan(mirror, uid)
                mirror.begin(uid, change.ids, mutation)
                chroma = self._chroma()
            with self._careful():
                if change.ids:
                    change.apart(chroma)
                mark = chroma.note(uid, mutation)
            with self._lock, self._careful():
                change.apply(self._mirror(), mutation, mark)
        return mutation

    def ids(self, name: str, take: Callable[[IndexRecord, Progress, Iterator[str]], T]) -> T:
        """Return what `take` makes of an index's facts and its ids in the order of insertion. Raises NotFoundError."""
        with self._guarded() as mirror:
            record = named(mirror, name)
            ids = (vector_id for _, vector_id in mirror.column(record.uid, "id"))
            return take(record, mirror.progress(record.uid), ids)

    def rows(self, name: str, ids: Sequence[str]) -> list[tuple[Row, NDArray[np.float32]]]:
        """Return the stored rows with these ids and their values `(d,)` float32, in the order asked."""
        with self._guarded() as mirror:
            uid = named(mirror, name).uid
            slots = mirror.slots_of(uid, ids)
            found = [slots[each] for each in dict.fromkeys(ids) if each in slots]
            return self._whole_rows(mirror, uid, found, mirror.values(uid))

    def metadata(self, name: str, ids: Sequence[str]) -> dict[str, str | None]:
        """Return the metadata, JSON text, of each id that is stored."""
        with self._guarded() as mirror:
            uid = named(mirror, name).uid
            rows = mirror.rows(uid, mirror.slots_of(uid, ids).values())
            return {row.id: row.metadata for row in rows.values()}

    def search(
        self,
        name: str,
        query: NDArray[np.float32],
        count: int,
        *,
        namespace: str | None,
        criterion: Filter | None,
    ) -> list[Hit]:
        """Return the `count` best rows, best first, ties in the order of insertion.

        Raises UsageError for a query that is not as wide as the index, NotFoundError.
        """
        with self._guarded() as mirror:
            record = named(mirror, name)
            if len(query) != record.dimensions:
                raise limits.wrong_query_width(record.dimensions, len(query))
            snapshot = self._snapshots.get(record.uid)
            if snapshot is None:
                snapshot = self._snapshots[record.uid] = Snapshot(mirror, record.uid)
            selected = snapshot.selected(namespace, criterion)
            slots, scores = scoring.best(
                record.metric, snapshot.values, snapshot.coded, query, count, selected=selected
            )
            found = self._whole_rows(mirror, record.uid, slots.tolist(), snapshot.values)
            return [Hit(row, score, values) for (row, values), score in zip(found, scores.tolist(), strict=True)]

    def _whole_rows(
        self, mirror: Mirror, uid: str, slots: Sequence[int], values: NDArray[np.float32]
    ) -> list[tuple[Row, NDArray[np.float32]]]:
        """Return the rows at these slots with their values. Raises StateError if one is not as it was written."""
        rows = mirror.rows(uid, slots)
        found = [(rows[slot], values[slot].copy()) for slot in slots]
        for row, own in found:
            if checksum(own, row.id, row.namespace, row.metadata, row.ordinal) != row.checksum:
                raise StateError(
                    f"The copy of vector `{row.id}` in `{self._mirror_directory}` is not what was written.",
                    hint=f"`{REPAIR}` restores it from Chroma.",
                    code="vector_store_damaged",
                )
        return found


def named(mirror: Mirror, name: str) -> IndexRecord:
    """Return the facts of the index of this name. Raises NotFoundError."""
    records = mirror.records()
    for record in records:
        if record.name == name:
            return record
    raise limits.index_not_found(name, [record.name for record in records])
