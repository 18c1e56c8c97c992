"""Keep keys and values in namespaces. A write that was answered is on the disk."""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecli.byte_keys import after_key, after_prefix, from_cursor, to_cursor
from edgecli.errors import UsageError
from edgecli.kv.limits import MAX_LIST, check_key, check_metadata, check_prefix, check_value, refused
from edgecli.state import Database, Migration

# `value` comes last: SQLite reads the columns before it without touching the pages of a large one.
_MIGRATIONS = (
    Migration(
        "kv-1-entries",
        """
        CREATE TABLE entries (
            namespace TEXT NOT NULL, key BLOB NOT NULL, expiration INTEGER, metadata TEXT, value BLOB NOT NULL,
            PRIMARY KEY (namespace, key)
        );
        CREATE INDEX entries_by_expiration ON entries (expiration) WHERE expiration IS NOT NULL
        """,
    ),
    Migration("kv-2-namespaces", "CREATE TABLE namespaces (id TEXT PRIMARY KEY, title TEXT NOT NULL UNIQUE)"),
)
_LIVES = "(expiration IS NULL OR expiration > ?)"


@dataclass(frozen=True, slots=True)
class Entry:
    """A value and what lies beside it."""

    value: bytes
    metadata: str | None
    """JSON."""
    expiration: int | None
    """Second of the UNIX epoch from which it is gone."""


@dataclass(frozen=True, slots=True)
class Put:
    """A key and what is to be written there."""

    key: str
    value: bytes
    metadata: str | None = None
    """JSON."""
    expiration: int | None = None
    """Second of the UNIX epoch."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some keys of a namespace, in the order of their UTF-8 bytes."""

    keys: list[dict[str, Any]]
    """`name`, and `expiration` and `metadata` (JSON in a string) where there are any."""
    cursor: str | None
    """Where the next page begins; None after the last."""


class KvService:
    """The namespaces of one project; each comes into being with its first key."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path)
        self._database.migrate(_MIGRATIONS)

    async def put(
        self,
        namespace: str,
        key: str,
        value: bytes,
        *,
        metadata: str | None = None,
        expiration: int | None = None,
    ) -> None:
        """Write a value, whatever was there. Raises UsageError for what is too large or no JSON."""
        await self.put_all(namespace, [Put(key, value, metadata, expiration)])

    async def put_all(self, namespace: str, puts: Sequence[Put]) -> None:
        """Write values, all of them or none. Raises UsageError for what is too large or no JSON."""
        rows = [(namespace, check_key(put.key), put.expiration, put.metadata, put.value) for put in puts]
        for put in puts:
            check_value(len(put.value))
            if put.metadata is not None:
                check_metadata(put.metadata)

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM entries WHERE expiration <= ?", (_now(),))
            connection.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?)", rows)

        await self._database.run(write)

    async def get(self, namespace: str, key: str) -> Entry | None:
        """Return what a key has, None where there is nothing."""
        name = check_key(key)
        rows = await self._database.run(
            lambda connection: connection.execute(
                f"SELECT value, metadata, expiration FROM entries WHERE namespace = ? AND key = ? AND {_LIVES}",
                (namespace, name, _now()),
            ).fetchall()
        )
        return Entry(*rows[0]) if rows else None

    async def delete(self, namespace: str, key: str) -> None:
        """Delete a key; one that is not there is no error."""
        await self.delete_all(namespace, [key])

    async def delete_all(self, namespace: str, keys: Sequence[str]) -> None:
        """Delete keys, all of them or none; those that are not there are no error."""
        rows = [(namespace, check_key(key)) for key in keys]
        await self._database.run(
            lambda connection: connection.executemany("DELETE FROM entries WHERE namespace = ? AND key = ?", rows)
        )

    async def list(self, namespace: str, *, prefix: str = "", limit: int = MAX_LIST, cursor: str | None = None) -> Page:
        """Return a page of the keys that start with `prefix`. Raises UsageError for a cursor that is none."""
        first = check_prefix(prefix)
        try:
            start = max(first, from_cursor(cursor)) if cursor else first
        except ValueError as error:
            raise refused(f"Invalid cursor of {cursor}. Use the one that the last page came with.") from error
        rows = await self._database.run(
            lambda connection: connection.execute(
                "SELECT key, expiration, metadata FROM entries "
                f"WHERE namespace = ? AND key >= ? AND key < ? AND {_LIVES} ORDER BY key LIMIT ?",
                (namespace, start, after_prefix(first), _now(), limit + 1),
            ).fetchall()
        )
        more = len(rows) > limit
        return Page([_item(*row) for row in rows[:limit]], to_cursor(after_key(rows[limit - 1][0])) if more else None)

    async def namespaces(self) -> dict[str, str]:
        """Return the titles of namespaces by their ids: of those that were created, and of those that hold a key."""
        rows = await self._database.run(
            lambda connection: connection.execute(
                "SELECT id, title FROM namespaces UNION ALL SELECT DISTINCT namespace, namespace FROM entries "
                "WHERE namespace NOT IN (SELECT id FROM namespaces)"
            ).fetchall()
        )
        return dict(rows)

    async def create(self, title: str) -> str:
        """Give a new namespace a title, and return its id. Raises UsageError where another one has it."""
        identifier = uuid.uuid4().hex
        await self.rename(identifier, title)
        return identifier

    async def rename(self, namespace: str, title: str) -> None:
        """Give a namespace, there or not, a title. Raises UsageError where another one has it."""

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO namespaces VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET title = excluded.title",
                (namespace, title),
            )

        try:
            await self._database.run(write)
        except sqlite3.IntegrityError as error:
            raise UsageError(
                f"There is a namespace with the title `{title}`.", code="namespace_exists", cf_code=10014
            ) from error

    async def drop(self, namespace: str) -> None:
        """Delete a namespace with its keys."""

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM entries WHERE namespace = ?", (namespace,))
            connection.execute("DELETE FROM namespaces WHERE id = ?", (namespace,))

        await self._database.run(write)

    async def close(self) -> None:
        """Finish what is queued and close the file."""
        self._database.close()


def _item(key: bytes, expiration: int | None, metadata: str | None) -> dict[str, Any]:
    item: dict[str, Any] = {"name": key.decode()}
    if expiration is not None:
        item["expiration"] = expiration
    if metadata is not None:
        item["metadata"] = metadata
    return item


def _now() -> int:
    return int(time.time())
