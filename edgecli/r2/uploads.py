"""Uploads in parts: each part is a file, and the object that they become has all of them, unmoved."""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
from collections.abc import AsyncIterable, Sequence
from typing import NamedTuple

from edgecli.r2 import catalog, errors
from edgecli.r2.files import Files
from edgecli.r2.schema import (
    MAX_PARTS,
    MIN_PART,
    Attributes,
    Piece,
    StoredObject,
    check_attributes,
    check_key,
    milliseconds,
    new_version,
)
from edgecli.state import Database


class Part(NamedTuple):
    """A part as a caller names it."""

    number: int
    etag: str


class _Stored(NamedTuple):
    file: str
    size: int
    etag: str
    md5: bytes


class Uploads:
    """The uploads of one bucket. An upload that has ended is kept in mind, so that it can be aborted again."""

    def __init__(self, database: Database, files: Files, bucket: str) -> None:
        self._database = database
        self._files = files
        self._bucket = bucket

    async def create(self, key: str, attributes: Attributes) -> str:
        """Begin an upload and return its id."""
        name = check_key(key)
        check_attributes(attributes)
        upload = secrets.token_urlsafe(48)
        values = (
            upload,
            self._bucket,
            name,
            json.dumps(attributes.http),
            json.dumps(attributes.custom),
            attributes.storage_class,
        )
        await self._database.run(
            lambda connection: connection.execute(
                "INSERT INTO uploads (id, bucket, key, http, custom, storage_class) VALUES (?, ?, ?, ?, ?, ?)", values
            )
        )
        return upload

    async def put_part(self, key: str, upload: str, number: int, source: AsyncIterable[bytes]) -> str:
        """Write a part, whatever was there under its number, and return its etag. Raises R2Error."""
        name = check_key(key)
        if not 1 <= number <= MAX_PARTS:
            raise errors.invalid_part()
        await self._database.run(lambda connection: self._running(connection, name, upload))
        written = await self._files.write(source)
        part = _Stored(*written.piece, secrets.token_urlsafe(48), written.digests["md5"])

        def store(connection: sqlite3.Connection) -> list[str]:
            self._running(connection, name, upload)
            which = (upload, number)
            before = connection.execute("SELECT file FROM parts WHERE upload = ? AND number = ?", which).fetchall()
            connection.execute("INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?)", (*which, *part))
            return [file for (file,) in before]

        try:
            replaced = await self._database.run(store)
        except Exception:  # a call that is given up may be written all the same
            self._files.delete([part.file])
            raise
        self._files.delete(replaced)
        return part.etag

    async def complete(self, key: str, upload: str, parts: Sequence[Part]) -> StoredObject:
        """Make an object of the parts, in the order of their numbers. Raises R2Error."""
        name = check_key(key)

        def finish(connection: sqlite3.Connection) -> tuple[StoredObject, list[str]]:
            attributes = self._running(connection, name, upload)
            stored = {
                number: _Stored(*part)
                for number, *part in connection.execute(
                    "SELECT number, file, size, etag, md5 FROM parts WHERE upload = ?", (upload,)
                )
            }
            chosen = _choose(stored, parts)
            found = _assemble(key, chosen, attributes)
            replaced = catalog.put(connection, self._bucket, found)
            kept = {part.file for part in chosen}
            self._end(connection, upload)
            return found, replaced + [part.file for part in stored.values() if part.file not in kept]

        found, unused = await self._database.run(finish)
        self._files.delete(unused)
        return found

    async def abort(self, key: str, upload: str) -> None:
        """Forget the parts; an upload that has ended stays as it is. Raises R2Error for one that never was."""
        name = check_key(key)

        def forget(connection: sqlite3.Connection) -> list[str]:
            self._attributes(connection, name, upload)
            files = connection.execute("SELECT file FROM parts WHERE upload = ?", (upload,)).fetchall()
            self._end(connection, upload)
            return [file for (file,) in files]

        self._files.delete(await self._database.run(forget))

    def _running(self, connection: sqlite3.Connection, key: bytes, upload: str) -> Attributes:
        ended, attributes = self._attributes(connection, key, upload)
        if ended:
            raise errors.no_such_upload()
        return attributes

    def _attributes(self, connection: sqlite3.Connection, key: bytes, upload: str) -> tuple[bool, Attributes]:
        row = connection.execute(
            "SELECT ended, http, custom, storage_class FROM uploads WHERE id = ? AND bucket = ? AND key = ?",
            (upload, self._bucket, key),
        ).fetchone()
        if row is None:
            raise errors.no_such_upload()
        return bool(row[0]), Attributes(json.loads(row[1]), json.loads(row[2]), row[3])

    @staticmethod
    def _end(connection: sqlite3.Connection, upload: str) -> None:
        connection.execute("DELETE FROM parts WHERE upload = ?", (upload,))
        connection.execute("UPDATE uploads SET ended = 1 WHERE id = ?", (upload,))


def _choose(stored: dict[int, _Stored], parts: Sequence[Part]) -> list[_Stored]:
    """Return the parts that the caller names, in their order. Raises R2Error for those that no object is made of."""
    wanted = {part.number: part.etag for part in parts}
    if not parts or len(wanted) < len(parts):
        raise errors.invalid_part()
    if any(number not in stored or stored[number].etag != etag for number, etag in wanted.items()):
        raise errors.invalid_part()
    chosen = [stored[number] for number in sorted(wanted)]
    *others, last = chosen
    if any(part.size < MIN_PART for part in others):
        raise errors.entity_too_small()
    # As in the cloud: all parts but the last have one size, and the last is not larger.
    if others and (len({part.size for part in others}) > 1 or last.size > others[0].size):
        raise errors.bad_upload()
    return chosen


def _assemble(key: str, parts: Sequence[_Stored], attributes: Attributes) -> StoredObject:
    digest = hashlib.md5(b"".join(part.md5 for part in parts), usedforsecurity=False).hexdigest()
    return StoredObject(
        key,
        new_version(),
        sum(part.size for part in parts),
        f"{digest}-{len(parts)}",
        milliseconds(),
        {},
        attributes,
        tuple(Piece(part.file, part.size) for part in parts),
    )
