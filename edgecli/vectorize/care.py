"""What keeps the indexes whole: verify, compact, export, and the move to another place."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from itertools import groupby
from pathlib import Path

import numpy as np
import orjson
from pydantic import BaseModel

from edgecli.errors import StateError, UsageError
from edgecli.vectorize import limits, rebuild
from edgecli.vectorize.batches import Batch
from edgecli.vectorize.checksums import checksums
from edgecli.vectorize.chroma import ABSENT, Draft, database_of, shrink, state_mark
from edgecli.vectorize.chroma_reader import UnreadableError
from edgecli.vectorize.comparison import Differences, compare
from edgecli.vectorize.mirror import Frozen, Mirror, Part
from edgecli.vectorize.places import REPAIR, Directory
from edgecli.vectorize.records import IndexRecord
from edgecli.vectorize.rows_file import DamagedMirrorError
from edgecli.vectorize.schema import Wire
from edgecli.vectorize.store import VectorStore, named

_EXPORT_ROWS = 256


class Problem(BaseModel):
    """Something that is not as it was written."""

    what: str
    where: str
    repaired: bool


class IndexReport(BaseModel):
    """What `verify` found in one index."""

    name: str
    vectors: int
    problems: list[Problem]


class Report(BaseModel):
    """What `verify` found; `ok` if nothing is wrong any more."""

    ok: bool
    indexes: list[IndexReport]


class Compacted(Wire):
    """The bytes that all indexes take on the disk, before and after."""

    vectors: int
    bytes_before: int
    bytes_after: int


class Migrated(BaseModel):
    """Where an index was and is."""

    vectors: int
    origin: str
    target: str


class CareStore(VectorStore):
    """The store, and what keeps it whole. All but `freeze` is called where writes are, one after the other."""

    @contextmanager
    def _alone(self) -> Generator[Mirror]:
        """Give the mirror as it lies there, with Chroma closed and without a look at what it says."""
        with self._lock:
            self._forget()
            self._close_chroma()
            mirror = Mirror(self._mirror_directory)
            try:
                yield mirror
            finally:
                mirror.close()

    # Verify.

    def verify(self, name: str | None, *, repair: bool) -> Report:
        """Compare each row of the mirror and of Chroma with its checksum, and with `repair` mend what is wrong.

        Raises NotFoundError if there is no index of this name.
        """
        with self._careful():
            remade = self._make_readable()
            with self._alone() as mirror:
                one = name if mirror.damage is None else None
                wanted = mirror.records() if one is None else [named(mirror, one)]
                reports = self._verify(mirror, wanted, repair=repair)
        if remade is not None:
            for report in reports:
                report.problems.insert(0, Problem(what=remade, where="mirror", repaired=True))
        return Report(ok=all(each.repaired for report in reports for each in report.problems), indexes=reports)

    def _make_readable(self) -> str | None:
        """Finish what a crash cut off, and make a mirror again that cannot be read; return what was wrong with it."""
        wrong = None
        with self._lock:
            self._forget()
            self._close_chroma()
            try:
                Mirror(self._mirror_directory).close()
            except (sqlite3.DatabaseError, DamagedMirrorError) as error:
                wrong = f"the copy could not be read: {error}"
            try:
                self._look(self._mirror(), fresh=True)
            except StateError as error:
                if error.code != "vector_store_damaged":
                    raise
        return wrong

    def _verify(self, mirror: Mirror, wanted: list[IndexRecord], *, repair: bool) -> list[IndexReport]:
        reports = {each.uid: IndexReport(name=each.name, vectors=0, problems=[]) for each in wanted}
        copies = {uid: _own_faults(mirror, uid) for uid in reports}
        failure, differences = self._compare(mirror, set(reports))
        if failure and mirror.mark is None:
            raise self._both_damaged(failure)
        for uid, report in reports.items():
            report.vectors = mirror.progress(uid).count
            chroma = differences.get(uid, Differences())
            wrong = {*chroma.wrong, *chroma.missing}
            lost = copies[uid].rows if failure else [each for each in copies[uid].rows if each in wrong]
            mendable = [each for each in copies[uid].rows if each not in set(lost)]
            report.problems += _problems("the copy's values or texts changed", "mirror", mendable, repaired=repair)
            if copies[uid].codes:
                report.problems.append(Problem(what="search codes changed", where="mirror", repaired=repair))
            if repair:
                if mendable:
                    mirror.write(uid, self._chroma().read(uid, mendable), mutation=None, mark=None)
                    self._close_chroma()
                if copies[uid].codes:
                    mirror.make_codes(uid)
            if failure:
                report.problems.append(Problem(what=failure, where="chroma", repaired=repair and not lost))
            chroma.wrong = [each for each in chroma.wrong if each not in set(lost)]
            report.problems += _problems("values or texts changed", "chroma", chroma.wrong, repaired=repair)
            report.problems += _problems("missing", "chroma", chroma.missing, repaired=repair)
            report.problems += _problems("deleted and still there", "chroma", chroma.extra, repaired=repair)
            report.problems += _problems(
                "neither copy is as it was written; delete it or write it again", "both", lost, repaired=False
            )
        wrong = failure or "; ".join(map(str, differences.values()))
        if wrong and repair:
            self._mend(mirror, wrong, differences)
        # Looking at Chroma has moved its mark; what is wrong must not be taken for another process's writes.
        mirror.set_damage(wrong if wrong and not repair else None)
        if isinstance(self._place, Directory) and not (wrong and not repair):
            mirror.settle(state_mark(self._place.path))
        return list(reports.values())

    def _compare(self, mirror: Mirror, uids: set[str]) -> tuple[str | None, dict[str, Differences]]:
        """Return why Chroma cannot be read, None if it can, and what differs in each index."""
        if self._nothing_was_written(mirror):
            return None, {}
        found = {uid: Differences(missing=[each for _, each in mirror.column(uid, "id")]) for uid in uids}
        try:
            self._check_pages()
            with self._readings(None) as readings:
                for uid, rows in groupby(readings, lambda reading: reading.record.uid):
                    if uid in found:
                        found[uid] = compare(mirror, uid, rows)
        except UnreadableError as error:
            return str(error), {}
        return None, {uid: each for uid, each in found.items() if each}

    def _nothing_was_written(self, mirror: Mirror) -> bool:
        if not isinstance(self._place, Directory) or (mirror.mark or ABSENT) != ABSENT:
            return False
        return not self._place.path.exists() and not self._damaged_mirror.exists()

    def _check_pages(self) -> None:
        if not isinstance(self._place, Directory):
            return
        path = database_of(self._place.path)
        if not path.exists():
            raise UnreadableError("its database `chroma.sqlite3` is missing")
        try:
            with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
                for (problem,) in database.execute("PRAGMA quick_check(1)"):
                    if problem != "ok":
                        raise UnreadableError(f"`chroma.sqlite3`: {problem}")
        except sqlite3.DatabaseError as error:
            raise UnreadableError(f"`chroma.sqlite3`: {error}") from error

    def _mend(self, mirror: Mirror, wrong: str, differences: dict[str, Differences]) -> None:
        if isinstance(self._place, Directory):
            self._close_chroma()
            mirror.set_damage(wrong)
            rebuild.rebuild(mirror, self._place.path)
            return
        chroma = self._chroma()
        for uid, each in differences.items():
            bad = {*each.wrong, *each.missing}
            for part in mirror.parts(uid):
                places = [place for place, one in enumerate(part.batch.ids) if one in bad]
                chroma.upsert(uid, part.batch.take(places))
            chroma.delete(uid, each.extra)
            mirror.settle(chroma.note(uid, mirror.progress(uid).mutation))

    def _both_damaged(self, failure: str) -> StateError:
        return StateError(
            f"The vectors in {self._place} are damaged ({failure}), and there is no whole copy.",
            hint=f"Restore `{self._mirror_directory.parent}` from a backup, or move it away and start anew.",
            code="vector_store_damaged",
        )

    # Compact.

    def compact(self, name: str) -> Compacted:
        """Move an index into a fresh collection and give the disk space of all that was deleted back.

        Raises NotFoundError, and UsageError on a server, whose disk this process does not see.
        """
        if not isinstance(self._place, Directory):
            raise UsageError(
                f"The index `{name}` is on a Chroma server, which alone can give its disk space back.",
                hint="Run `chroma vacuum --path DIRECTORY` where the server runs.",
                code="compact_on_server",
            )
        with self._writing():
            return self._compact(self._place.path, name)

    def _compact(self, directory: Path, name: str) -> Compacted:
        with self._guarded() as mirror:
            record = named(mirror, name)
            before = self._bytes()
            mirror.begin(record.uid, [], None)
            chroma = self._chroma()
        with self._careful():
            draft = chroma.draft(record)
            self._fill(draft, record.uid, self._part)
            draft.publish()
        with self._lock, self._careful():
            self._close_chroma()
            shrink(directory)
            mirror = self._mirror()
            mirror.pack(record.uid, wholly=True)
            mirror.shrink()
            self._snapshots.pop(record.uid, None)
            mirror.settle(state_mark(directory))
            return Compacted(vectors=mirror.progress(record.uid).count, bytes_before=before, bytes_after=self._bytes())

    def _bytes(self) -> int:
        return sum(one.stat().st_size for one in self._mirror_directory.parent.rglob("*") if one.is_file())

    def _part(self, uid: str, start: int) -> Part:
        with self._guarded() as mirror:
            return mirror.part(uid, start)

    def _fill(self, draft: Draft, uid: str, read: Callable[[str, int], Part]) -> None:
        """Write all rows into a draft and read them back. Raises StateError if one is not as it was written."""
        noted: dict[str, int] = {}
        start = 0
        while (part := read(uid, start)).slots:
            if part.wrong():
                raise _wrong_row(part.batch.ids[part.wrong()[0]], "the copy that answers queries")
            draft.put(part.batch)
            noted.update(zip(part.batch.ids, part.checksums, strict=True))
            start = part.slots[-1] + 1
        for batch in draft.rows():
            for vector_id, checksum in zip(batch.ids, checksums(batch), strict=True):
                if noted.pop(vector_id, None) != checksum:
                    raise _wrong_row(vector_id, "what was written just now")
        if noted:
            raise _wrong_row(next(iter(noted)), "what was written just now")

    # Export.

    def export(self, name: str) -> Generator[bytes]:
        """Yield an index as lines of JSON, as it is at the call: its facts, then each vector. Raises NotFoundError."""
        with self._guarded() as mirror:
            record = named(mirror, name)
            count = mirror.progress(record.uid).count
            frozen = mirror.freeze(record.uid)
        return _lines(record, count, frozen)

    # Migrate.

    def move_to(self, other: CareStore, name: str) -> Migrated:
        """Copy an index to the other place, read it back there, and only then drop it here. Raises NotFoundError."""
        with self._guarded(fresh=True) as mirror:
            record, progress = named(mirror, name), mirror.progress(named(mirror, name).uid)
        other.receive(record, self._part, mutation=progress.mutation, processed_on=progress.processed_on)
        with self._guarded(fresh=True) as mirror:
            if mirror.progress(record.uid) != progress:
                raise StateError(
                    f"The index `{name}` was written while it was copied to {other._place}.",
                    hint="Delete the copy there, end the other writer, and migrate again.",
                    code="vector_index_changed",
                )
            self.drop(name)
        return Migrated(vectors=progress.count, origin=str(self._place), target=str(other._place))

    def receive(
        self, record: IndexRecord, read: Callable[[str, int], Part], *, mutation: str | None, processed_on: str | None
    ) -> None:
        """Take over an index whose rows `read` gives, with its uid.

        Raises EdgeError, code `index_exists`, if another index has the name.
        """
        with self._writing():
            with self._guarded(fresh=True) as mirror:
                for each in mirror.records():
                    if each.uid == record.uid:
                        _check_same(mirror, record, read)
                        return
                    if each.name == record.name:
                        raise limits.duplicate_name(record.name)
                mirror.begin(record.uid, [], None)
                draft = self._chroma().draft(record)
            with self._careful():
                self._fill(draft, record.uid, read)
                draft.publish(mutation, processed_on)
            self._forget()
        with self._guarded(fresh=True) as mirror:
            mirror.resume(record.uid, mutation, processed_on)


def _check_same(mirror: Mirror, record: IndexRecord, read: Callable[[str, int], Part]) -> None:
    """Check that the index, which a move that was cut off has copied, is what it was copied from."""
    count = start = 0
    while (part := read(record.uid, start)).slots:
        here = mirror.checksums_of(record.uid, part.batch.ids)
        for vector_id, checksum in zip(part.batch.ids, part.checksums, strict=True):
            if here.get(vector_id, (0, -1))[1] != checksum:
                raise _both_differ(record, f"in the vector `{vector_id}`")
        count += len(part.slots)
        start = part.slots[-1] + 1
    if count != mirror.progress(record.uid).count:
        raise _both_differ(record, "in their number of vectors")


def _both_differ(record: IndexRecord, what: str) -> StateError:
    return StateError(
        f"The index `{record.name}` is in both places, and they differ {what}.",
        hint="Delete the one that is out of date, then migrate again.",
        code="vector_index_changed",
    )


def _wrong_row(vector_id: str, where: str) -> StateError:
    return StateError(
        f"The vector `{vector_id}` in {where} is not as it was written.",
        hint=f"`{REPAIR}` looks at all vectors and mends.",
        code="vector_store_damaged",
    )


class _OwnFaults(BaseModel):
    rows: list[str] = []
    codes: bool = False


def _own_faults(mirror: Mirror, uid: str) -> _OwnFaults:
    """Return the ids whose rows in the mirror are not as they were written."""
    found = _OwnFaults()
    for part in mirror.parts(uid):
        wrong = part.wrong()
        found.rows += [part.batch.ids[place] for place in wrong]
        found.codes |= not wrong and mirror.wrong_codes(uid, part)
    return found


def _problems(what: str, where: str, ids: list[str], *, repaired: bool) -> list[Problem]:
    if not ids:
        return []
    more = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
    return [Problem(what=f"vector `{ids[0]}`{more}: {what}", where=where, repaired=repaired)]


def _lines(record: IndexRecord, count: int, frozen: Frozen) -> Generator[bytes]:
    with closing(frozen):
        yield _header(record, count)
        start = 0
        while (part := frozen.part(start, _EXPORT_ROWS)).slots:
            yield b"".join(_line(part.batch, place) for place in range(len(part.slots)))
            start = part.slots[-1] + 1


def _header(record: IndexRecord, count: int) -> bytes:
    index = {
        "name": record.name,
        "description": record.description,
        "config": {"dimensions": record.dimensions, "metric": record.metric},
        "metadataIndexes": [
            {"propertyName": each.property_name, "indexType": each.index_type} for each in record.metadata_indexes
        ],
        "vectorCount": count,
    }
    return orjson.dumps({"index": index}, option=orjson.OPT_APPEND_NEWLINE)


def _line(batch: Batch, place: int) -> bytes:
    namespace, metadata = batch.namespaces[place], batch.metadata[place]
    row: dict[str, object] = {"id": batch.ids[place], "values": np.ascontiguousarray(batch.values[place])}
    if namespace is not None:
        row["namespace"] = namespace
    if metadata is not None:
        row["metadata"] = orjson.Fragment(metadata)
    return orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE)
