"""One database: a SQLite file, one connection, one thread."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from edgecli.d1 import rules, statements
from edgecli.errors import StateError, UsageError
from edgecli.space import full_disk

_STEPS = 10_000
"""SQLite's instructions between two looks at the clock."""
_CELL = 8
"""Bytes that a number is counted as."""

Value = None | int | float | str | bytes


class D1Error(UsageError):
    """SQL that failed; the message is D1's: `no such table: t: SQLITE_ERROR`."""

    default_code = "d1_error"
    default_cf_code = 7500
    query = 0
    """Which query of the call it was, from 0."""


@dataclass(frozen=True, slots=True)
class Query:
    """SQL and the values of its parameters. Of several statements the last one takes them."""

    sql: str
    params: Sequence[Value] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What a query found and did."""

    columns: list[str]
    rows: list[tuple[Value, ...]]
    seconds: float
    changes: int
    """Rows that were written."""
    last_row_id: int
    changed: bool
    """Whether the database is another one than before."""
    size_after: int
    """Bytes."""


class D1Database:
    """A database; its file comes into being at the first query, in the database's own thread."""

    def __init__(self, path: Path, *, seconds: float) -> None:
        """`seconds` is what all queries of one call may take together."""
        self.path = path
        self._seconds = seconds
        self._deadline = 0.0
        self._closing = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=path.name)
        self._opened: sqlite3.Connection | None = None

    @property
    def _connection(self) -> sqlite3.Connection:
        assert self._opened is not None
        return self._opened

    def _open(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(self.path, isolation_level=None, timeout=30)
            connection.text_factory = _text
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
        except sqlite3.DatabaseError as error:
            raise full_disk(error, self.path.parent) or StateError(
                f"Cannot open the D1 database `{self.path}`: {error}.",
                hint="If it is damaged, move it away: the next query makes it anew, empty.",
                code="state_damaged",
            ) from error
        for limit, value in rules.LIMITS.items():
            connection.setlimit(limit, value)
        connection.set_progress_handler(lambda: self._closing or time.monotonic() > self._deadline, _STEPS)
        return connection

    async def run(self, queries: Sequence[Query]) -> list[Result]:
        """Run queries in one transaction: all of them, or none. What was answered is on the disk.

        Raises D1Error, and StateError if the file is none that SQLite reads.
        """
        return await asyncio.wrap_future(self._thread.submit(self._transaction, queries))

    def _transaction(self, queries: Sequence[Query]) -> list[Result]:
        connection = self._opened = self._opened or self._open()
        self._deadline = time.monotonic() + self._seconds
        try:
            connection.execute("BEGIN")
            connection.set_authorizer(rules.authorize)
            try:
                results = self._run_all(queries)
            finally:
                connection.set_authorizer(None)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise full_disk(error, self.path.parent) or _error(error) from error
        else:
            return results
        finally:
            self._deadline = float("inf")
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _run_all(self, queries: Sequence[Query]) -> list[Result]:
        room = rules.MAX_RESULT
        results: list[Result] = []
        for number, query in enumerate(queries):
            try:
                result, room = self._run(query, room)
            except D1Error as error:
                error.query = number
                raise
            results.append(result)
        return results

    def _run(self, query: Query, room: int) -> tuple[Result, int]:
        connection, begun = self._connection, time.perf_counter()
        before = connection.total_changes, self._schema_version()
        columns: list[str] = []
        rows: list[tuple[Value, ...]] = []
        try:
            *others, last = statements.split(query.sql) or [""]
            for statement in others:
                for _ in connection.execute(statement):
                    pass
            cursor = connection.execute(last, query.params)
            columns = [description[0] for description in cursor.description or ()]
            for row in cursor:
                room -= sum(_size(value) for value in row)
                if room < 0:
                    raise _too_large()
                rows.append(row)
        except (sqlite3.Error, ValueError) as error:  # ValueError: a NUL in the SQL
            raise full_disk(error, self.path.parent) or _error(error) from error
        seconds = time.perf_counter() - begun
        changes = connection.total_changes - before[0]
        changed = (connection.total_changes, self._schema_version()) != before
        last_row_id = int(connection.execute("SELECT last_insert_rowid()").fetchone()[0])
        return Result(columns, rows, seconds, changes, last_row_id, changed, self._size()), room

    def _schema_version(self) -> int:
        return self._connection.execute("PRAGMA schema_version").fetchone()[0]

    def _size(self) -> int:
        pages = self._connection.execute("PRAGMA page_count").fetchone()[0]
        return pages * self._connection.execute("PRAGMA page_size").fetchone()[0]

    def close(self) -> None:
        """End the query that runs and close the file."""
        self._closing = True
        if self._opened is not None:
            self._thread.submit(self._opened.close).result()
        self._thread.shutdown()


def _too_large() -> D1Error:
    return D1Error(f"The answer is larger than {rules.MAX_RESULT} bytes; ask for fewer rows with LIMIT: SQLITE_TOOBIG")


def _text(data: bytes) -> str:
    """Read a text, which a CAST may have made of any bytes."""
    return data.decode("utf-8", "replace")


def _size(value: Value) -> int:
    if isinstance(value, str):
        return len(value) + 2
    return 4 * len(value) if isinstance(value, bytes) else _CELL


def _error(error: Exception) -> D1Error:
    """Return the error as D1 words it."""
    if isinstance(error, sqlite3.ProgrammingError) and "binding" in str(error):
        return D1Error("Wrong number of parameter bindings for SQL query.")
    name = getattr(error, "sqlite_errorname", None) or "SQLITE_ERROR"
    if name == "SQLITE_INTERRUPT":
        return D1Error("D1 DB exceeded its CPU time limit and was reset.")
    primary = "_".join(name.split("_")[:2])
    extended = f" (extended: {name})" if name != primary else ""
    return D1Error(f"{error}: {primary}{extended}")
