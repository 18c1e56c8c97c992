"""Checks of a project's state: writable, free or held, its databases whole, its server answering."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from edgecli import console
from edgecli.doctor.check import Check, Status
from edgecli.errors import EdgeError
from edgecli.state import ServerInfo, StatePaths, read_owner, read_server

if TYPE_CHECKING:
    from edgecli.config.settings import VectorizeSettings

QUICK_CHECK_SECONDS = 3.0
SERVER_SECONDS = 2.0
WRITER_SECONDS = 1.0
_STEPS_BETWEEN_LOOKS = 100_000

_check = partial(Check, "state")


def directory(paths: StatePaths) -> Check:
    """Check that the state directory can be written, or made."""
    folder = paths.directory
    place = folder
    while not os.path.lexists(place):
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        return _check(
            "directory",
            Status.FAIL,
            f"`{place}` cannot be written: {error.strerror or error}",
            "Make it writable, or set `state_dir` under [edgecli] to a folder that is.",
            essential=True,
            data={"path": str(folder)},
        )
    summary = f"{folder}, writable" if place == folder else f"{folder}, not there yet"
    return _check("directory", Status.OK, summary, essential=True, data={"path": str(folder)})


def lock(paths: StatePaths) -> Check:
    """Say whether another process owns the state."""
    if not paths.lock.exists():
        return _check("lock", Status.OK, "free", data={"held": False})
    from filelock import FileLock, Timeout

    try:
        with FileLock(paths.lock, timeout=0):
            return _check("lock", Status.OK, "free", data={"held": False})
    except Timeout:
        return _held(paths)
    except OSError as error:
        hint = f"Make `{paths.lock}` writable, or delete it while no edgecli runs."
        return _check("lock", Status.FAIL, f"cannot be taken: {error.strerror}", hint, essential=True)


def _held(paths: StatePaths) -> Check:
    owner, server = read_owner(paths), read_server(paths)
    data = {"held": True, "pid": owner.pid if owner else None, "command": owner.command if owner else None}
    who = owner.describe() if owner else "another process"
    if server is not None and (owner is None or owner.pid == server.pid):
        return _check("lock", Status.OK, f"held by the running server, process {server.pid}", data=data)
    hint = "Other commands wait for it. `edgecli serve` lets all commands share one process."
    return _check("lock", Status.WARN, f"held by {who}", hint, data=data)


def server(paths: StatePaths) -> Check:
    """Check that the server which says it runs also answers."""
    info = read_server(paths)
    if info is None:
        return _check("server", Status.OK, "not running", data={"running": False})
    data = {
        "running": True,
        "address": info.address,
        "pid": info.pid,
        "version": info.version,
        "env": info.env,
    }
    failure = _failure_of(info)
    if failure is None:
        return _check("server", Status.OK, f"answers at {info.public or info.address} (process {info.pid})", data=data)
    return _check(
        "server",
        Status.FAIL,
        f"process {info.pid} is there, and {info.address} does not answer: {failure}",
        f"End it and start `edgecli serve` again; if it is another program, delete `{paths.server}`.",
        data=data,
    )


def _failure_of(info: ServerInfo) -> str | None:
    address = urlsplit(info.address)
    host = address.hostname or "127.0.0.1"
    with closing(HTTPConnection(host, address.port or 80, timeout=SERVER_SECONDS)) as connection:
        try:
            connection.request("GET", "/healthz")
            status = connection.getresponse().status
        except (OSError, HTTPException) as error:
            return str(error) or type(error).__name__
    return None if status == 200 else f"status {status}"


def database(paths: StatePaths, *, deep: bool = False) -> Check:
    """Check the pages of edge.db."""
    hint = f"Move `{paths.database}` and its `-wal` and `-shm` away, then ingest the documents again."
    return _sqlite_file("edge.db", paths.database, hint, deep=deep)


def stores(paths: StatePaths, *, deep: bool = False) -> list[Check]:
    """Check the pages of what Workers' bindings keep: KV, R2's catalog, and each D1 database."""
    files = [("kv.db", paths.kv), ("r2.db", paths.r2 / "r2.db")]
    files += [(f"d1 {unquote(path.stem)}", path) for path in sorted(paths.d1.glob("*.sqlite"))]
    return [_store(name, path, deep=deep) for name, path in files if path.exists()]


def _store(name: str, path: Path, *, deep: bool) -> Check:
    hint = f"Move `{path}` and its `-wal` and `-shm` away: it is made anew, empty. SQLite's `.recover` saves rows."
    found = _sqlite_file(name, path, hint, deep=deep)
    summary = f"{found.summary}, {console.human_bytes(path.stat().st_size)}"
    return replace(found, summary=summary, essential=False)


def vectors(paths: StatePaths, *, deep: bool = False) -> Check:
    """Check the pages of Chroma's catalog, and that queries can be answered; the vectors themselves are not read."""
    hint = "`edgecli vectorize verify --repair` makes it again from the copy that answers queries."
    catalog, mirror = paths.vectorize / "chroma" / "chroma.sqlite3", paths.vectorize / "mirror" / "mirror.db"
    found = _sqlite_file("vector indexes", catalog, hint, deep=deep)
    if found.status is not Status.OK or not mirror.exists():
        return found
    try:
        with closing(sqlite3.connect(f"{mirror.resolve().as_uri()}?mode=ro", uri=True, timeout=WRITER_SECONDS)) as copy:
            damage = _damage(copy, paths.vectorize / "chroma")
            behind = _behind(copy, paths.vectorize / "chroma")
    except sqlite3.Error as error:
        damage, behind = None, f"the copy that answers queries cannot be read: {error}"
    if damage is not None:
        summary = f"damaged: {damage}"
        return _check("vector indexes", Status.FAIL, summary, hint, essential=True, data=found.data)
    if behind is None:
        return found
    hint = "The next command that uses an index mends this; it needs some free space on the disk."
    return _check("vector indexes", Status.WARN, f"{found.summary}, but {behind}", hint, data=found.data)


def _damage(copy: sqlite3.Connection, chroma: Path) -> str | None:
    """Say what a command has found wrong with Chroma and nobody has mended."""
    from edgecli.vectorize.chroma import ABSENT, state_mark

    noted = copy.execute("SELECT value FROM state WHERE key = 'damage'").fetchone()
    (indexes,) = copy.execute("SELECT count(*) FROM indexes").fetchone()
    if noted is None and indexes and state_mark(chroma) == ABSENT:
        return f"`{chroma / 'chroma.sqlite3'}` is missing or empty"
    return noted[0] if noted else None


def _behind(copy: sqlite3.Connection, chroma: Path) -> str | None:
    """Say why the copy that answers queries has to be mended first, None if it has not."""
    from edgecli.vectorize.chroma import state_mark

    (unfinished,) = copy.execute("SELECT count(*) FROM intents").fetchone()
    if unfinished:
        return "the last write was cut off before queries could see all of it"
    mark = copy.execute("SELECT value FROM state WHERE key = 'mark'").fetchone()
    if mark is not None and mark[0] != state_mark(chroma):
        return "Chroma's files have changed since the last command, which the next one looks into"
    return None


def vectors_on_server(settings: VectorizeSettings) -> Check:
    """Check that the Chroma server which holds the indexes answers and has the tenant and the database."""
    from edgecli.vectorize.places import configured_server

    server = configured_server(settings)
    data: dict[str, object] = {"tenant": settings.tenant, "database": settings.database}
    try:
        if server is not None:
            server.check()
    except EdgeError as error:
        return _check("vector indexes", Status.FAIL, error.message, error.hint, essential=True, data=data)
    data["url"] = settings.url
    return _check("vector indexes", Status.OK, f"on {server}", essential=True, data=data)


def _sqlite_file(name: str, path: Path, hint: str, *, deep: bool) -> Check:
    data: dict[str, object] = {"path": str(path)}
    if not path.exists():
        return _check(name, Status.OK, "not there yet", essential=True, data=data)
    data["bytes"] = path.stat().st_size
    try:
        problems = quick_check(path, None if deep else QUICK_CHECK_SECONDS)
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_READONLY")):
            # Another process writes, or a crash left a journal that the next writer rolls back.
            return _check(name, Status.WARN, f"not checked: {error}", "Run `edgecli doctor` again later.", data=data)
        problems = [str(error)]
    if problems is None:
        return _check(
            name,
            Status.OK,
            f"no damage found in {QUICK_CHECK_SECONDS:.0f} s; too large to check whole (--deep does)",
            essential=True,
            data=data,
        )
    if problems:
        return _check(
            name,
            Status.FAIL,
            f"damaged: {problems[0]}",
            hint,
            essential=True,
            data=data | {"problems": problems},
        )
    return _check(name, Status.OK, "whole", essential=True, data=data)


def quick_check(path: Path, seconds: float | None) -> list[str] | None:
    """Return what SQLite's quick_check finds wrong, empty if nothing; None if `seconds` were not enough.

    Raises sqlite3.Error if the file cannot be read as a database.
    """
    uri = f"{path.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=WRITER_SECONDS)) as connection:
        deadline = time.monotonic() + seconds if seconds is not None else None
        if deadline is not None:
            connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_LOOKS)
        try:
            rows = [str(row[0]) for row in connection.execute("PRAGMA quick_check(5)")]
        except sqlite3.OperationalError as error:
            if deadline is not None and "interrupted" in str(error):
                return None
            raise
    return [] if rows == ["ok"] else rows
