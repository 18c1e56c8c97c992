"""The mirror: a copy of what Chroma holds, laid out so that reads are exact, quick, and need no chromadb.

Per index there are two flat files by slot, the values and the codes that searches read first (`codes.py`); a
SQLite database holds ids, namespaces and metadata by slot. Slots are given out in the order of insertion and
not reused until the mirror packs itself. Before each write to Chroma the mirror notes what is about to change
(an intent); afterwards it applies the change and notes Chroma's mark in the same transaction. So a mirror
without intents whose mark is Chroma's is known to be current, and after a crash only the rows of the intent
are read again.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edgecli.state import now
from edgecli.vectorize.batches import Batch
from edgecli.vectorize.checksums import checksums
from edgecli.vectorize.codes import coded_row, encode
from edgecli.vectorize.records import IndexRecord, Progress, Row
from edgecli.vectorize.rows_file import DamagedMirrorError, RowsFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

_VERSION = 4
_PART_ROWS = 4096
_LOOKED_UP = 5000
"""Ids of one lookup; SQLite takes 32,766 parameters."""
_SLOTS = 2**40
"""A row's `place` is its index's number times this, plus its slot."""

_SCHEMA = f"""
BEGIN;
CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT);
CREATE TABLE indexes (
    number INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL UNIQUE, record TEXT NOT NULL,
    slots INTEGER NOT NULL DEFAULT 0, count INTEGER NOT NULL DEFAULT 0, packed INTEGER NOT NULL DEFAULT 0,
    ordinal INTEGER NOT NULL DEFAULT 0,
    mutation TEXT, processed_on TEXT
);
CREATE TABLE vectors (
    place INTEGER PRIMARY KEY, number INTEGER NOT NULL, id TEXT NOT NULL, namespace TEXT, metadata TEXT,
    ordinal INTEGER NOT NULL, checksum INTEGER NOT NULL,
    UNIQUE (number, id)
);
CREATE TABLE dead (place INTEGER PRIMARY KEY);
CREATE TABLE intents (number INTEGER PRIMARY KEY, uid TEXT NOT NULL, ids TEXT NOT NULL, mutation TEXT);
PRAGMA user_version = {_VERSION};
COMMIT;
"""


class Intent(NamedTuple):
    """A write that was begun and not finished."""

    uid: str
    ids: list[str]
    mutation: str | None


@dataclass(frozen=True, slots=True)
class _Place:
    number: int
    slots: int
    count: int
    packed: int


class Part(NamedTuple):
    """Some rows in the order of their slots, and the checksums that were noted when they were written."""

    slots: list[int]
    batch: Batch
    checksums: list[int]

    def wrong(self) -> list[int]:
        """Return the places of the rows that are not as they were written."""
        found = enumerate(zip(checksums(self.batch), self.checksums, strict=True))
        return [place for place, (is_now, was) in found if is_now != was]


class Staged(NamedTuple):
    """Rows on their way into the files; `put` may run beside reads, but not beside another write."""

    at: _Place
    put: Callable[[], None]


class Mirror:
    """The mirror in one directory.

    Opening it raises DamagedMirrorError or sqlite3.DatabaseError if it is damaged.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._db = sqlite3.connect(directory / "mirror.db", isolation_level=None, check_same_thread=False)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version == 0:
                self._db.executescript(_SCHEMA)
            elif version != _VERSION:
                raise DamagedMirrorError(f"it has version {version}, not {_VERSION}")
            self._records = {record.uid: record for record in self._read_records()}
            for uid in self._records:
                self._complete_codes(uid)
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    # The proof that the mirror is current.

    @property
    def mark(self) -> str | None:
        """Chroma's mark after the last write that the mirror has."""
        found = self._db.execute("SELECT value FROM state WHERE key = 'mark'").fetchone()
        return found[0] if found else None

    def begin(self, uid: str, ids: Sequence[str], mutation: str | None) -> None:
        """Note durably that these rows are about to change."""
        self._db.execute(
            "INSERT INTO intents (uid, ids, mutation) VALUES (?, ?, ?)",
            (uid, json.dumps(list(ids)), mutation),
        )

    def intents(self) -> list[Intent]:
        """Return the writes that were begun and not finished, oldest first."""
        rows = self._db.execute("SELECT uid, ids, mutation FROM intents ORDER BY number")
        return [Intent(uid, json.loads(ids), mutation) for uid, ids, mutation in rows]

    def settle(self, mark: str) -> None:
        """Note that everything is in step with Chroma at this mark."""
        with self._transaction() as db:
            _settle(db, mark)

    def unsettle(self) -> None:
        """Note that from here on the mirror is not all that Chroma held, until it is settled."""
        self._db.execute("DELETE FROM state WHERE key = 'mark'")

    @property
    def damage(self) -> str | None:
        """What was found wrong with Chroma and not mended since."""
        found = self._db.execute("SELECT value FROM state WHERE key = 'damage'").fetchone()
        return found[0] if found else None

    def set_damage(self, what: str | None) -> None:
        """Note what is wrong with Chroma, None if nothing is any more."""
        with self._transaction() as db:
            db.execute("DELETE FROM state WHERE key = 'damage'")
            if what is not None:
                db.execute("INSERT INTO state VALUES ('damage', ?)", (what,))

    # Indexes.

    def _read_records(self) -> list[IndexRecord]:
        return [
            IndexRecord.from_json(text) for (text,) in self._db.execute("SELECT record FROM indexes ORDER BY number")
        ]

    def records(self) -> list[IndexRecord]:
        """Return the facts of every index, oldest first."""
        return list(self._records.values())

    def add(self, record: IndexRecord, mark: str | None) -> None:
        """Add an empty index."""
        with self._transaction() as db:
            ordinal = max((each.since for each in record.metadata_indexes), default=0)
            values = (record.uid, record.to_json(), ordinal)
            db.execute("INSERT INTO indexes (uid, record, ordinal) VALUES (?, ?, ?)", values)
            _settle(db, mark)
        self._records[record.uid] = record

    def change(self, record: IndexRecord, *, mutation: str | None, mark: str | None) -> None:
        """Replace the facts of an index."""
        with self._transaction() as db:
            db.execute("UPDATE indexes SET record = ? WHERE uid = ?", (record.to_json(), record.uid))
            self._advance(record.uid, slots=0, count=0, mutation=mutation)
            _settle(db, mark)
        self._records[record.uid] = record

    def remove(self, uid: str, mark: str | None) -> None:
        """Remove an index and its rows."""
        at = self._place(uid)
        with self._transaction() as db:
            for table in ("vectors", "dead"):
                db.execute(f"DELETE FROM {table} WHERE place >= ? AND place < ?", _range(at.number))
            db.execute("DELETE FROM indexes WHERE uid = ?", (uid,))
            _settle(db, mark)
        self._unlink(uid, at.packed)
        del self._records[uid]

    def _place(self, uid: str) -> _Place:
        query = "SELECT number, slots, count, packed FROM indexes WHERE uid = ?"
        return _Place(*self._db.execute(query, (uid,)).fetchone())

    def progress(self, uid: str) -> Progress:
        """Return how far an index is."""
        query = "SELECT count, ordinal, mutation, processed_on FROM indexes WHERE uid = ?"
        return Progress(*self._db.execute(query, (uid,)).fetchone())

    def resume(self, uid: str, mutation: str | None, processed_on: str | None) -> None:
        """Note the last write of an index that was copied from elsewhere."""
        query = "UPDATE indexes SET mutation = ?, processed_on = ? WHERE uid = ?"
        self._db.execute(query, (mutation, processed_on, uid))

    # Rows.

    def _values_file(self, uid: str, packed: int) -> RowsFile:
        row = np.dtype(("<f4", (self._records[uid].dimensions,)))
        return RowsFile(self._directory / f"{uid}.{packed}.f32", row)

    def _codes_file(self, uid: str, packed: int) -> RowsFile:
        return RowsFile(self._directory / f"{uid}.{packed}.i8", coded_row(self._records[uid].dimensions))

    def _unlink(self, uid: str, packed: int) -> None:
        for file in (self._values_file(uid, packed), self._codes_file(uid, packed)):
            file.path.unlink(missing_ok=True)

    def slots(self, uid: str) -> int:
        """Return how many slots an index has, those of deleted rows among them."""
        return self._place(uid).slots

    def values(self, uid: str) -> NDArray[np.float32]:
        """Return the values by slot, `(slots, d)` float32; those of dead slots mean nothing."""
        at = self._place(uid)
        return self._values_file(uid, at.packed).map(at.slots)

    def coded(self, uid: str) -> NDArray[Any]:
        """Return the coded rows by slot, `(slots,)`."""
        at = self._place(uid)
        return self._codes_file(uid, at.packed).map(at.slots)

    def _complete_codes(self, uid: str) -> None:
        """Make the codes from the values where they are missing."""
        values = self.values(uid)
        if not self._codes_file(uid, self._place(uid).packed).holds(len(values)):
            self.make_codes(uid)

    def make_codes(self, uid: str) -> None:
        """Make the codes that searches read first from the values."""
        values = self.values(uid)
        codes = self._codes_file(uid, self._place(uid).packed)
        for start in range(0, len(values), _PART_ROWS):
            part = values[start : start + _PART_ROWS]
            codes.write(range(start, start + len(part)), encode(part))

    def dead_slots(self, uid: str) -> list[int]:
        """Return the slots whose row was deleted."""
        low, high = _range(self._place(uid).number)
        found = self._db.execute("SELECT place FROM dead WHERE place >= ? AND place < ?", (low, high))
        return [place - low for (place,) in found]

    def slots_of(self, uid: str, ids: Iterable[str]) -> dict[str, int]:
        """Return the slot of each id that is stored."""
        return {vector_id: slot for vector_id, (slot, _) in self.checksums_of(uid, ids).items()}

    def rows(self, uid: str, slots: Iterable[int]) -> dict[int, Row]:
        """Return the live rows at these slots."""
        low = self._place(uid).number * _SLOTS
        places = json.dumps([low + int(slot) for slot in slots])
        wanted = "SELECT value FROM json_each(?)"
        query = f"SELECT place, id, namespace, metadata, ordinal, checksum FROM vectors WHERE place IN ({wanted})"
        return {place - low: Row(place - low, *rest) for place, *rest in self._db.execute(query, (places,))}

    def column(self, uid: str, name: str) -> Iterator[tuple[int, Any]]:
        """Yield slot and `id`, `namespace`, `metadata` (JSON text) or `ordinal` of each row, by slot."""
        low, high = _range(self._place(uid).number)
        query = f"SELECT place, {name} FROM vectors WHERE place >= ? AND place < ? ORDER BY place"
        for place, value in self._db.execute(query, (low, high)):
            yield place - low, value

    def part(self, uid: str, start: int, count: int = _PART_ROWS) -> Part:
        """Return up to `count` rows from slot `start` on; none at the end."""
        return part_of(self._db, self._place(uid).number, self.values(uid), start, count)

    def parts(self, uid: str) -> Iterator[Part]:
        """Yield all rows."""
        start = 0
        while (part := self.part(uid, start)).slots:
            yield part
            start = part.slots[-1] + 1

    def checksums_of(self, uid: str, ids: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Return slot and checksum of each id that is stored."""
        number = self._place(uid).number
        wanted = list(ids)
        found: dict[str, tuple[int, int]] = {}
        for start in range(0, len(wanted), _LOOKED_UP):
            part = wanted[start : start + _LOOKED_UP]
            # A parameter each: `json_each` would cut an id at a NUL, and find another one.
            marks = ",".join("?" * len(part))
            query = f"SELECT id, place, checksum FROM vectors WHERE number = ? AND id IN ({marks})"
            for vector_id, place, checksum in self._db.execute(query, (number, *part)):
                found[vector_id] = place - number * _SLOTS, checksum
        return found

    def wrong_codes(self, uid: str, part: Part) -> bool:
        """Tell whether the codes that searches read first are not those of the values."""
        return self.coded(uid)[part.slots].tobytes() != encode(part.batch.values).tobytes()

    def freeze(self, uid: str) -> Frozen:
        """Return the rows as they are now, to be read while others write; it takes a copy of the values."""
        at = self._place(uid)
        path = self._directory / f"{uid}.frozen"
        database = sqlite3.connect(self._directory / "mirror.db", isolation_level=None, check_same_thread=False)
        try:
            database.execute("BEGIN")
            database.execute("SELECT count(*) FROM state").fetchone()
            if at.slots:
                shutil.copyfile(self._values_file(uid, at.packed).path, path)
            row = np.dtype(("<f4", (self._records[uid].dimensions,)))
            values = RowsFile(path, row).map(at.slots)
        except BaseException:
            database.close()
            raise
        finally:
            path.unlink(missing_ok=True)  # what is mapped stays readable
        return Frozen(database, at.number, values)

    def stage(self, uid: str, batch: Batch) -> Staged:
        """Prepare a write: its `put` places the rows whose ids are new where no read sees them before `write`."""
        at = self._place(uid)
        known = self.slots_of(uid, batch.ids)
        fresh = [row for row, vector_id in enumerate(batch.ids) if vector_id not in known]

        def put() -> None:
            self._write_files(uid, at, range(at.slots, at.slots + len(fresh)), batch.values[fresh])

        return Staged(at, put)

    def _write_files(self, uid: str, at: _Place, slots: Sequence[int], values: NDArray[np.float32]) -> None:
        self._values_file(uid, at.packed).write(slots, values)
        self._codes_file(uid, at.packed).write(slots, encode(values))

    def write(
        self, uid: str, batch: Batch, *, mutation: str | None, mark: str | None, staged: Staged | None = None
    ) -> list[int]:
        """Write rows, replacing those whose id is stored, and return their slots."""
        at = self._place(uid)
        known = self.slots_of(uid, batch.ids)
        fresh = iter(range(at.slots, at.slots + len(batch)))
        slots = [known[vector_id] if vector_id in known else next(fresh) for vector_id in batch.ids]
        # If the mirror was made again since, the staged rows lie in the wrong place.
        in_place = staged is not None and staged.at == at
        rest = [row for row, slot in enumerate(slots) if slot < at.slots or not in_place]
        self._write_files(uid, at, [slots[row] for row in rest], batch.values[rest])
        added = len(batch) - len(known)
        low = at.number * _SLOTS
        rows = zip(slots, batch.ids, batch.namespaces, batch.metadata, batch.ordinals, checksums(batch), strict=True)
        with self._transaction() as db:
            db.executemany(
                "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?, ?, ?, ?)",
                ((low + slot, at.number, *row) for slot, *row in rows),
            )
            self._advance(uid, slots=added, count=added, mutation=mutation, ordinal=max(batch.ordinals, default=0))
            _settle(db, mark)
        return slots

    def erase(self, uid: str, ids: Sequence[str], *, mutation: str | None, mark: str | None) -> list[int]:
        """Delete rows and return the slots that died; unknown ids are ignored."""
        slots = list(self.slots_of(uid, ids).values())
        low = self._place(uid).number * _SLOTS
        with self._transaction() as db:
            places: list[tuple[int]] = [(low + slot,) for slot in slots]
            db.executemany("DELETE FROM vectors WHERE place = ?", places)
            db.executemany("INSERT INTO dead VALUES (?)", places)
            self._advance(uid, slots=0, count=-len(slots), mutation=mutation)
            _settle(db, mark)
        return slots

    def _advance(self, uid: str, *, slots: int, count: int, mutation: str | None, ordinal: int = 0) -> None:
        self._db.execute(
            "UPDATE indexes SET slots = slots + ?, count = count + ?, ordinal = max(ordinal, ?), "
            "mutation = coalesce(?, mutation), "
            "processed_on = CASE WHEN ? IS NULL THEN processed_on ELSE ? END WHERE uid = ?",
            (slots, count, ordinal, mutation, mutation, now(), uid),
        )

    def pack(self, uid: str, *, wholly: bool = False) -> bool:
        """Close the gaps of deleted rows if they are more than the rows, or `wholly`; tell whether slots moved."""
        at = self._place(uid)
        if at.slots - at.count <= (0 if wholly else max(at.count, 1000)):
            return False
        low, high = _range(at.number)
        query = "SELECT place FROM vectors WHERE place >= ? AND place < ? ORDER BY place"
        places: list[int] = [place for (place,) in self._db.execute(query, (low, high))]
        values, coded = self.values(uid), self.coded(uid)
        self._unlink(uid, at.packed + 1)
        new_values, new_codes = self._values_file(uid, at.packed + 1), self._codes_file(uid, at.packed + 1)
        for start in range(0, len(places), _PART_ROWS):
            part = [place - low for place in places[start : start + _PART_ROWS]]
            slots = range(start, start + len(part))
            new_values.write(slots, values[part])
            new_codes.write(slots, coded[part])
        with self._transaction() as db:
            # In ascending order no row moves onto one that is still to move.
            moves = ((low + slot, place) for slot, place in enumerate(places) if low + slot != place)
            db.executemany("UPDATE vectors SET place = ? WHERE place = ?", moves)
            db.execute("DELETE FROM dead WHERE place >= ? AND place < ?", (low, high))
            db.execute("UPDATE indexes SET slots = ?, packed = packed + 1 WHERE uid = ?", (len(places), uid))
        self._unlink(uid, at.packed)
        return True

    def shrink(self) -> None:
        """Give back the disk space of what was deleted, and of what a crash has left."""
        kept = {
            file(uid, self._place(uid).packed).path
            for uid in self._records
            for file in (self._values_file, self._codes_file)
        }
        for path in self._directory.iterdir():
            if path.suffix in {".f32", ".i8", ".frozen"} and path not in kept:
                path.unlink()
        self._db.execute("VACUUM")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


class Frozen:
    """An index's rows as they were at one moment."""

    def __init__(self, database: sqlite3.Connection, number: int, values: NDArray[np.float32]) -> None:
        self._db = database
        self._number = number
        self._values = values

    def part(self, start: int, count: int) -> Part:
        """Return up to `count` rows from slot `start` on; none at the end."""
        return part_of(self._db, self._number, self._values, start, count)

    def close(self) -> None:
        """Give the disk space back."""
        self._db.close()
        self._values = np.empty((0, 0), np.float32)


def part_of(database: sqlite3.Connection, number: int, values: NDArray[np.float32], start: int, count: int) -> Part:
    """Return up to `count` rows of the index `number` from slot `start` on."""
    low, high = _range(number)
    found = database.execute(
        "SELECT place, id, namespace, metadata, ordinal, checksum FROM vectors "
        "WHERE place >= ? AND place < ? ORDER BY place LIMIT ?",
        (low + start, high, count),
    ).fetchall()
    slots = [row[0] - low for row in found]
    _, ids, namespaces, metadata, ordinals, noted = map(list, zip(*found, strict=True)) if found else [[]] * 6
    return Part(slots, Batch(ids, values[slots], namespaces, metadata, ordinals), noted)


def _range(number: int) -> tuple[int, int]:
    return number * _SLOTS, (number + 1) * _SLOTS


def _settle(db: sqlite3.Connection, mark: str | None) -> None:
    """Forget the intents and note the mark; without a mark, a repair is under way and they stay."""
    if mark is not None:
        db.execute("DELETE FROM intents")
        values: tuple[Any, ...] = ("mark", mark)
        db.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", values)
