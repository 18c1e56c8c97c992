"""The databases of one project; each comes into being at its first query."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from edgecli.d1.database import D1Database


class D1Service:
    """Open databases, by their names. To be used in one event loop."""

    def __init__(self, folder: Path, *, seconds: float) -> None:
        """`seconds` is what one call of a database may take."""
        self._folder = folder
        self._seconds = seconds
        self._open: dict[str, D1Database] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def database(self, name: str) -> D1Database:
        """Return a database. Raises StateError if its file is none that SQLite reads."""
        if name not in self._open:
            self._open[name] = D1Database(self.path(name), seconds=self._seconds)
        return self._open[name]

    def path(self, name: str) -> Path:
        """Return a database's file, which SQLite's own tools read too."""
        return self._folder / f"{quote(name, safe=' ')}.sqlite"

    async def close(self) -> None:
        """Finish what is queued and close the files."""
        while self._open:
            self._open.popitem()[1].close()
