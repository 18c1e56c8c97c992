"""Which object has which files: the tables in SQLite. Each function runs inside one transaction."""

from __future__ import annotations

import json
import sqlite3
from typing import Any, NamedTuple

from edgecli.byte_keys import after_key, after_prefix
from edgecli.r2 import errors
from edgecli.r2.schema import Attributes, Condition, Piece, StoredObject
from edgecli.state import Migration

MIGRATIONS = (
    Migration(
        "r2-1-objects",
        """
        CREATE TABLE objects (
            bucket TEXT NOT NULL, key BLOB NOT NULL, version TEXT NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
            uploaded INTEGER NOT NULL, checksums TEXT NOT NULL, http TEXT NOT NULL, custom TEXT NOT NULL,
            storage_class TEXT NOT NULL, pieces TEXT NOT NULL,
            PRIMARY KEY (bucket, key)
        );
        CREATE TABLE uploads (
            id TEXT PRIMARY KEY, bucket TEXT NOT NULL, key BLOB NOT NULL, http TEXT NOT NULL, custom TEXT NOT NULL,
            storage_class TEXT NOT NULL, ended INTEGER NOT NULL DEFAULT 0
        );
        CREATE TABLE parts (
            upload TEXT NOT NULL REFERENCES uploads (id), number INTEGER NOT NULL, file TEXT NOT NULL,
            size INTEGER NOT NULL, etag TEXT NOT NULL, md5 BLOB NOT NULL,
            PRIMARY KEY (upload, number)
        )
        """,
    ),
    Migration("r2-2-buckets", "CREATE TABLE buckets (name TEXT PRIMARY KEY, created TEXT NOT NULL)"),
)
_BARE = 400
"""Bytes of an object on the wire without its key and what its caller gave."""
_COLUMNS = "key, version, size, etag, uploaded, checksums, http, custom, storage_class, pieces"


class Page(NamedTuple):
    """What a listing found."""

    objects: list[StoredObject]
    prefixes: list[str]
    """What several keys have in common up to the delimiter."""
    next: bytes | None
    """Where the next page begins; None after the last."""


def known_files(connection: sqlite3.Connection) -> set[str]:
    """Return the files of all objects and parts."""
    known = {file for (file,) in connection.execute("SELECT file FROM parts")}
    for (pieces,) in connection.execute("SELECT pieces FROM objects"):
        known.update(file for file, _ in json.loads(pieces))
    return known


def buckets(connection: sqlite3.Connection) -> dict[str, str | None]:
    """Return the buckets that were created or hold an object, each with the time of its creation, if it was."""
    return dict(
        connection.execute(
            "SELECT name, created FROM buckets UNION ALL "
            "SELECT DISTINCT bucket, NULL FROM objects WHERE bucket NOT IN (SELECT name FROM buckets)"
        )
    )


def create_bucket(connection: sqlite3.Connection, name: str, created: str) -> None:
    """Note that a bucket was created. Raises R2Error where there is one."""
    if name in buckets(connection):
        raise errors.bucket_exists()
    connection.execute("INSERT INTO buckets VALUES (?, ?)", (name, created))


def delete_bucket(connection: sqlite3.Connection, name: str) -> None:
    """Forget a bucket. Raises R2Error where it holds an object."""
    if connection.execute("SELECT 1 FROM objects WHERE bucket = ? LIMIT 1", (name,)).fetchone():
        raise errors.bucket_not_empty()
    connection.execute("DELETE FROM buckets WHERE name = ?", (name,))


def find(connection: sqlite3.Connection, bucket: str, key: bytes) -> StoredObject | None:
    """Return an object."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM objects WHERE bucket = ? AND key = ?", (bucket, key)).fetchone()
    return _object(*row) if row else None


def put(
    connection: sqlite3.Connection, bucket: str, found: StoredObject, condition: Condition | None = None
) -> list[str]:
    """Write an object; return the files of the one that it replaces. Raises R2Error unless the condition holds."""
    key = found.key.encode()
    before = find(connection, bucket, key)
    if condition is not None:
        condition.check(before)
    attributes = found.attributes
    connection.execute(
        f"INSERT OR REPLACE INTO objects (bucket, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            bucket,
            key,
            found.version,
            found.size,
            found.etag,
            found.uploaded,
            json.dumps(found.checksums),
            json.dumps(attributes.http),
            json.dumps(attributes.custom),
            attributes.storage_class,
            json.dumps(found.pieces),
        ),
    )
    return [piece.file for piece in before.pieces] if before else []


def delete(connection: sqlite3.Connection, bucket: str, keys: list[bytes]) -> list[str]:
    """Delete objects; return their files."""
    files: list[str] = []
    for key in keys:
        rows = connection.execute("DELETE FROM objects WHERE bucket = ? AND key = ? RETURNING pieces", (bucket, key))
        files += [file for (pieces,) in rows.fetchall() for file, _ in json.loads(pieces)]
    return files


def page(
    connection: sqlite3.Connection,
    bucket: str,
    *,
    prefix: bytes,
    start: bytes,
    delimiter: bytes,
    limit: int,
    most_bytes: int,
    metadata: bool,
) -> Page:
    """List objects from `start` on; those that share what precedes the delimiter count as one.

    A page has at most `limit` objects and prefixes, and ends early where they are longer than `most_bytes`; `metadata`
    says whether what callers gave counts.
    """
    objects: list[StoredObject] = []
    prefixes: list[str] = []
    end, size = after_prefix(prefix), 0
    while True:
        row = connection.execute(
            f"SELECT {_COLUMNS} FROM objects WHERE bucket = ? AND key >= ? AND key < ? ORDER BY key LIMIT 1",
            (bucket, start, end),
        ).fetchone()
        if row is None:
            return Page(objects, prefixes, None)
        if len(objects) + len(prefixes) == limit or size > most_bytes:
            return Page(objects, prefixes, start)
        key: bytes = row[0]
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        if cut < 0:
            objects.append(_object(*row))
            size += len(key) + _BARE + (len(row[6]) + len(row[7]) if metadata else 0)
            start = after_key(key)
        else:
            shared = key[: cut + len(delimiter)]
            prefixes.append(shared.decode())
            size += len(shared)
            start = after_prefix(shared)


def _object(
    key: bytes,
    version: str,
    size: int,
    etag: str,
    uploaded: int,
    checksums: str,
    http: str,
    custom: str,
    storage_class: str,
    pieces: str,
) -> StoredObject:
    attributes = Attributes(json.loads(http), json.loads(custom), storage_class)
    listed: list[Any] = json.loads(pieces)
    return StoredObject(
        key.decode(),
        version,
        size,
        etag,
        uploaded,
        json.loads(checksums),
        attributes,
        tuple(Piece(*piece) for piece in listed),
    )
