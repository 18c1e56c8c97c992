"""The project's state on disk, `.edgecli/`: who owns it, its database, and where the running server is.

One process owns the state at a time, by a lock that the operating system frees when the process dies. A second
process talks to the owner if that is a server, or says who holds it.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from edgecli.errors import StateError
from edgecli.outline import COMMANDS
from edgecli.space import full_disk

T = TypeVar("T")

LOCK_WAIT_SECONDS = 10.0
LOCK_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that holds the state."""

    pid: int
    command: str
    since: str
    """ISO 8601, UTC."""

    def describe(self) -> str:
        """Return who it is, with the time as clocks here show it: the date too, unless it is today's."""
        try:
            since = datetime.fromisoformat(self.since).astimezone()
        except ValueError:
            return f"process {self.pid} (`{self.command}`)"
        today = since.date() == datetime.now().astimezone().date()
        return f"process {self.pid} (`{self.command}`, since {since:{'%H:%M:%S' if today else '%Y-%m-%d %H:%M'}})"


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """Where the running server of a project listens, as `.edgecli/server.json` says."""

    address: str
    pid: int
    token: str
    version: str
    env: str | None
    config: str | None = None
    """The configuration file that it has read."""
    public: str | None = None
    """Where its Worker answers, if that is another address."""


class StatePaths:
    """Where each part of the state lies below the state directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.lock = directory / "lock"
        self.owner = directory / "owner.json"
        self.server = directory / "server.json"
        self.database = directory / "edge.db"
        self.vectorize = directory / "vectorize"
        self.workers = directory / "workers"
        self.kv = directory / "kv.db"
        self.r2 = directory / "r2"
        self.d1 = directory / "d1"


def write_atomically(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write a small file so that a reader sees the old text or the new one, never a part."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_owner(paths: StatePaths) -> Owner | None:
    """Return who wrote the owner file last, or None."""
    try:
        return Owner(**json.loads(paths.owner.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def read_server(paths: StatePaths) -> ServerInfo | None:
    """Return the server that says it runs for this state, if its process is alive."""
    try:
        info = ServerInfo(**json.loads(paths.server.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return info if process_alive(info.pid) else None


def process_alive(pid: int) -> bool:
    """Tell whether a process of this id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _command(arguments: Sequence[str]) -> str:
    """Return `edgecli COMMAND` without what was given to it: a token, or a question, is nobody else's business."""
    return " ".join(["edgecli", *(word for word in arguments if word in COMMANDS)][:2])


class State:
    """The state directory, owned by this process from `acquire` to `close`."""

    def __init__(self, directory: Path) -> None:
        self.paths = StatePaths(directory)
        self._lock: Any = None
        self._database: Database | None = None

    def acquire(self, *, wait: float = LOCK_WAIT_SECONDS, give_up: threading.Event | None = None) -> None:
        """Become the owner, waiting up to `wait` seconds, or until `give_up` is set, for another process to finish.

        Raises StateError, code `state_locked`, that names the owner; code `state_unwritable` if the
        directory cannot be written.
        """
        if self._lock is not None:
            return
        from filelock import FileLock, Timeout

        try:
            self.paths.directory.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.paths.lock)
            give_up = give_up or threading.Event()
            deadline = time.monotonic() + wait
            while True:
                try:
                    lock.acquire(timeout=0)
                    break
                except Timeout as error:
                    if time.monotonic() >= deadline or give_up.wait(LOCK_POLL_SECONDS):
                        raise self._locked() from error
        except OSError as error:
            raise full_disk(error, self.paths.directory) or self._unwritable(error) from error
        self._lock = lock
        owner = Owner(os.getpid(), _command(sys.argv[1:]), now())
        try:
            write_atomically(self.paths.owner, json.dumps(asdict(owner)))
        except OSError as error:
            self.close()
            raise full_disk(error, self.paths.directory) or self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> StateError:
        return StateError(
            f"Cannot write the state directory `{self.paths.directory}`: {error.strerror or error}.",
            hint="Make it writable, or set `state_dir` under [edgecli] to a place that is.",
            code="state_unwritable",
        )

    def _locked(self) -> StateError:
        owner = read_owner(self.paths)
        who = owner.describe() if owner else "another process"
        return StateError(
            f"The state directory `{self.paths.directory}` is in use by {who}.",
            hint="Wait for it to finish, or run `edgecli serve`: then all commands share one server.",
            code="state_locked",
            details={"pid": owner.pid} if owner else None,
        )

    @property
    def database(self) -> Database:
        """The project's SQLite database; opening it makes this process the owner."""
        if self._database is None:
            self.acquire()
            self._database = Database(self.paths.database)
        return self._database

    def close(self) -> None:
        """Close the database and give the state back."""
        if self._database is not None:
            self._database.close()
            self._database = None
        if self._lock is not None:
            self.paths.owner.unlink(missing_ok=True)
            self._lock.release()
            self._lock = None


@dataclass(frozen=True, slots=True)
class Migration:
    """A named change of the database's tables, applied once. `name` starts with the room it belongs to."""

    name: str
    sql: str


class Database:
    """A SQLite file of the state: one connection in one thread, write-ahead log, named migrations.

    What `run` has returned from is on the disk.
    """

    def __init__(self, path: Path) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self.path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=path.name)
        self._connection = self._thread.submit(self._open).result()

    def _open(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = None
        try:
            connection = sqlite3.connect(self.path, isolation_level=None, timeout=30)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, applied_at TEXT NOT NULL)"
            )
        except sqlite3.DatabaseError as error:
            if connection is not None:
                connection.close()
            raise full_disk(error, self.path.parent) or self._damaged(error) from error
        return connection

    def _damaged(self, error: sqlite3.DatabaseError) -> StateError:
        return StateError(
            f"The project's database `{self.path}` cannot be read: {error}.",
            hint="`edgecli doctor` checks the state. After moving the file away it is made anew, empty: documents "
            "can be ingested again.",
            code="state_damaged",
        )

    def migrate(self, migrations: Sequence[Migration]) -> None:
        """Apply those of the migrations that this database has not seen, each in a transaction."""

        def apply(connection: sqlite3.Connection) -> None:
            seen = {name for (name,) in connection.execute("SELECT name FROM migrations")}
            for migration in migrations:
                if migration.name in seen:
                    continue
                connection.executescript(
                    f"BEGIN; {migration.sql}; INSERT INTO migrations VALUES ('{migration.name}', '{now()}'); COMMIT;"
                )

        self.run_sync(apply)

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in the database's thread, inside one transaction; an exception rolls it back."""
        import asyncio

        return await asyncio.wrap_future(self._thread.submit(self._transaction, work))

    def run_sync(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in the database's thread and wait for it; each statement commits by itself."""
        return self._thread.submit(work, self._connection).result()

    def _transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._connection
        try:
            connection.execute("BEGIN")
            result = work(connection)
            connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise full_disk(error, self.path.parent) or StateError(
                f"The project's database `{self.path}` cannot be used: {error}.",
                hint="Look for free space on its disk and for its permissions; nothing was changed.",
                code="state_unwritable",
            ) from error
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorname", "").startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
                raise self._damaged(error) from error
            raise
        else:
            return result
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def close(self) -> None:
        """Finish what is queued and close the connection."""
        self._thread.submit(self._connection.close).result()
        self._thread.shutdown()


def now() -> str:
    """Return the time as the API writes it: ISO 8601, UTC, microseconds."""
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
