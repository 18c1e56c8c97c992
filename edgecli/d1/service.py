"""The databases of one project; each comes into being at its first query."""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from edgecli.d1.database import D1Database
from edgecli.errors import StateError, UsageError
from edgecli.state import now, write_atomically

_SUFFIX = ".sqlite"


@dataclass(frozen=True, slots=True)
class DatabaseInfo:
    """A database as it is listed."""

    id: str
    """What bindings name it by, and its file is called."""
    name: str
    created_at: str | None = None
    """ISO 8601, UTC; None for one that was there at its first query."""


class D1Service:
    """Open databases, by their ids. To be used in one event loop."""

    def __init__(self, folder: Path, *, seconds: float) -> None:
        """`seconds` is what one call of a database may take."""
        self._folder = folder
        self._names = folder / "names.json"
        self._seconds = seconds
        self._open: dict[str, D1Database] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def database(self, name: str) -> D1Database:
        """Return a database, which is opened by its first query."""
        if name not in self._open:
            self._open[name] = D1Database(self.path(name), seconds=self._seconds)
        return self._open[name]

    def path(self, name: str) -> Path:
        """Return a database's file, which SQLite's own tools read too."""
        return self._folder / f"{quote(name, safe=' ')}{_SUFFIX}"

    def list(self) -> dict[str, DatabaseInfo]:
        """Return those that were created, and those that have a file, by their ids."""
        files = [unquote(path.name.removesuffix(_SUFFIX)) for path in sorted(self._folder.glob(f"*{_SUFFIX}"))]
        return {name: DatabaseInfo(name, name) for name in files} | self._created()

    def _created(self) -> dict[str, DatabaseInfo]:
        try:
            records = json.loads(self._names.read_text(encoding="utf-8"))
            return {record["id"]: DatabaseInfo(**record) for record in records}
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, KeyError) as error:
            raise StateError(
                f"The names of the D1 databases in `{self._names}` cannot be read: {error}.",
                hint="Move the file away; the databases stay, and go by their ids.",
                code="state_damaged",
            ) from error

    def create(self, name: str) -> DatabaseInfo:
        """Name a new database. Raises UsageError where another one has the name."""
        if any(name in (each.id, each.name) for each in self.list().values()):
            raise UsageError(f"A database with the name `{name}` exists.", code="database_exists", cf_code=7502)
        made = DatabaseInfo(str(uuid.uuid4()), name, now())
        self._write([*self._created().values(), made])
        return made

    def _write(self, infos: list[DatabaseInfo]) -> None:
        write_atomically(self._names, json.dumps([asdict(info) for info in infos], ensure_ascii=False, indent=1))

    async def delete(self, name: str) -> None:
        """Delete a database and what it holds; the id may be used again, and is another one then."""
        opened = self._open.pop(name, None)
        if opened is not None:
            await asyncio.to_thread(opened.close)
        path = self.path(name)
        for end in ("", "-wal", "-shm"):
            path.with_name(path.name + end).unlink(missing_ok=True)
        self._write([info for info in self._created().values() if info.id != name])

    async def close(self) -> None:
        """Finish what is queued and close the files."""
        while self._open:
            self._open.popitem()[1].close()
