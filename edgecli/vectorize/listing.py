"""Pages of an index's ids, all of one moment.

The first page of a list that needs more than one writes all ids to a file, a line of JSON each; the cursor says which
file, and where in it the next page begins. So a list is not touched by later writes, and goes on in another process.
"""

from __future__ import annotations

import base64
import os
import re
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import orjson

from edgecli.errors import UsageError
from edgecli.vectorize.limits import MAX_LIST
from edgecli.vectorize.records import IndexRecord, Progress
from edgecli.vectorize.schema import ListedVector, VectorPage
from edgecli.vectorize.store import VectorStore

LIFE_SECONDS = 3600.0
_TOKEN = re.compile(r"[0-9a-f-]{1,64}")


class _Cursor(NamedTuple):
    uid: str
    token: str
    """The mutation that the list is up to: a state of the index needs one file, however often it is listed."""
    offset: int
    total: int

    def to_text(self) -> str:
        return base64.urlsafe_b64encode(orjson.dumps(list(self))).decode().rstrip("=")


class Listings:
    """The lists of ids below one directory."""

    def __init__(self, store: VectorStore, directory: Path) -> None:
        self._store = store
        self._directory = directory

    def page(self, name: str, count: int, text: str | None) -> VectorPage:
        """Return up to `count` ids, the first ones or those that a cursor points to.

        Raises UsageError for a count that is not 1 to 1000, and for a cursor that is none, has expired, or belongs
        to another index.
        """
        if not 1 <= count <= MAX_LIST:
            hint = "The answer's cursor leads to the next page."
            raise UsageError(f"count is 1 to {MAX_LIST}, not {count}.", hint=hint, code="invalid_count")
        if text is None:
            return self._store.ids(name, partial(self._first, count))
        record = self._store.record(name)
        cursor = _cursor(text)
        if cursor.uid != record.uid:
            raise _wrong(f'The cursor belongs to another index than "{name}".')
        return self._read(cursor, count)

    def forget(self, uid: str) -> None:
        """Delete the lists of an index that was deleted."""
        for path in self._directory.glob(f"{uid}.*"):
            path.unlink(missing_ok=True)

    def _path(self, cursor: _Cursor) -> Path:
        return self._directory / f"{cursor.uid}.{cursor.token}.ids"

    def _first(self, count: int, record: IndexRecord, progress: Progress, ids: Iterator[str]) -> VectorPage:
        if progress.count <= count:
            return _page(list(ids), progress.count)
        cursor = _Cursor(record.uid, progress.mutation or str(uuid.uuid4()), 0, progress.count)
        self._sweep()
        self._write(self._path(cursor), ids)
        return self._read(cursor, count)

    def _write(self, path: Path, ids: Iterator[str]) -> None:
        if path.exists():
            os.utime(path)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".new")
        with temporary.open("wb") as file:
            file.writelines(orjson.dumps(vector_id) + b"\n" for vector_id in ids)
        temporary.replace(path)

    def _sweep(self) -> None:
        for path in self._directory.glob("*.*"):
            if _expires(path) <= time.time():
                path.unlink(missing_ok=True)

    def _read(self, cursor: _Cursor, count: int) -> VectorPage:
        path = self._path(cursor)
        expires = _expires(path)
        if expires <= time.time():
            raise _wrong("The cursor has expired.")
        with path.open("rb") as file:
            file.seek(cursor.offset)
            try:
                ids: list[str] = [orjson.loads(line) for line in islice(file, count)]
            except orjson.JSONDecodeError as error:
                raise _wrong("The cursor is none that a list has given.") from error
            offset = file.tell()
            ended = not file.read(1)
        following = None if ended else cursor._replace(offset=offset).to_text()
        return _page(ids, cursor.total, following, expires)


def _page(ids: list[str], total: int, following: str | None = None, expires: float = 0.0) -> VectorPage:
    stamp = datetime.fromtimestamp(expires, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return VectorPage(
        count=len(ids),
        total_count=total,
        is_truncated=following is not None,
        next_cursor=following,
        cursor_expiration_timestamp=stamp if following is not None else None,
        vectors=[ListedVector(id=vector_id) for vector_id in ids],
    )


def _expires(path: Path) -> float:
    """Return when a list ends, in seconds since 1970; 0 if it has been swept away."""
    try:
        return path.stat().st_mtime + LIFE_SECONDS
    except FileNotFoundError:
        return 0.0


def _cursor(text: str) -> _Cursor:
    try:
        uid, token, offset, total = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, TypeError) as error:
        raise _wrong("The cursor is none that a list has given.") from error
    texts = all(isinstance(each, str) and _TOKEN.fullmatch(each) for each in (uid, token))
    numbers = all(type(each) is int and 0 <= each < 2**62 for each in (offset, total))
    if not texts or not numbers:
        raise _wrong("The cursor is none that a list has given.")
    return _Cursor(uid, token, offset, total)


def _wrong(message: str) -> UsageError:
    return UsageError(message, hint="Begin the list again, without a cursor.", code="invalid_cursor")
