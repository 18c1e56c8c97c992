from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from edgecli.config.settings import VectorizeSettings
from edgecli.d1.database import Query
from edgecli.d1.service import D1Service
from edgecli.doctor import state as checks
from edgecli.doctor.check import Status
from edgecli.kv.service import KvService
from edgecli.r2.service import R2Service
from edgecli.state import State, StatePaths
from edgecli.vectorize.mirror import Mirror
from edgecli.vectorize.store import VectorStore


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a state directory as an ingest leaves it: a database with rows, closed."""
    state = State(tmp_path_factory.mktemp("whole") / ".edgecli")
    state.database.run_sync(fill)
    state.close()
    return state.paths.directory


@pytest.fixture
def paths(whole: Path, tmp_path: Path) -> StatePaths:
    return StatePaths(Path(shutil.copytree(whole, tmp_path / ".edgecli")))


def fill(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("CREATE TABLE words (word TEXT)")
    connection.executemany("INSERT INTO words VALUES (?)", [(f"灯笼 {number}" * 20,) for number in range(2000)])


def write_server(paths: StatePaths, address: str, pid: int) -> None:
    record = {"address": address, "pid": pid, "token": "t", "version": "0", "env": None}
    paths.server.write_text(json.dumps(record))


def test_a_whole_state_is_ok(paths: StatePaths) -> None:
    found = [
        checks.directory(paths),
        checks.lock(paths),
        checks.server(paths),
        checks.database(paths),
        checks.vectors(paths),
    ]
    assert [check.status for check in found] == [Status.OK] * 5
    assert checks.database(paths).summary == "whole"
    assert checks.vectors(paths).summary == "not there yet"


def test_looking_at_a_project_without_state_makes_nothing(tmp_path: Path) -> None:
    paths = StatePaths(tmp_path / "deep" / ".edgecli")
    assert "not there yet" in checks.directory(paths).summary
    for check in (checks.lock, checks.server, checks.database, checks.vectors):
        assert check(paths).status is Status.OK
    assert list(tmp_path.iterdir()) == []


def test_a_state_directory_that_cannot_be_made_is_essential(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    check = checks.directory(StatePaths(tmp_path / "file" / ".edgecli"))
    assert (check.status, check.essential) == (Status.FAIL, True)
    assert "state_dir" in (check.hint or "")


@pytest.mark.parametrize("damage", [b"junk" * 2000, b"", None], ids=["no database", "empty", "pages"])
def test_a_broken_database_is_found(paths: StatePaths, damage: bytes | None) -> None:
    whole = paths.database.read_bytes()
    pages = bytearray(whole)
    pages[2 * 4096 : 2 * 4096 + 1000] = b"\xff" * 1000
    paths.database.write_bytes(bytes(pages) if damage is None else damage)
    check = checks.database(paths)
    if damage == b"":
        assert check.status is Status.OK  # SQLite takes an empty file for a new database
        return
    assert (check.status, check.essential) == (Status.FAIL, True)
    assert check.summary.startswith("damaged: ")
    assert str(paths.database) in (check.hint or "")


def test_a_database_that_someone_writes_is_not_called_damaged(tmp_path: Path) -> None:
    paths = StatePaths(tmp_path)
    paths.vectorize.mkdir()
    (paths.vectorize / "chroma").mkdir(parents=True)
    with closing(sqlite3.connect(paths.vectorize / "chroma" / "chroma.sqlite3", isolation_level=None)) as writer:
        fill(writer)
        writer.execute("BEGIN EXCLUSIVE")
        check = checks.vectors(paths)
    assert check.status is Status.WARN
    assert "locked" in check.summary


def test_a_large_database_is_checked_for_a_while_only(paths: StatePaths) -> None:
    assert checks.quick_check(paths.database, seconds=None) == []
    with closing(sqlite3.connect(paths.database)) as connection:
        connection.executescript("INSERT INTO words SELECT a.word FROM words a, (SELECT 1 FROM words LIMIT 40)")
    assert checks.quick_check(paths.database, seconds=0.0) is None


def test_who_holds_the_state_is_said(paths: StatePaths) -> None:
    owner = State(paths.directory)
    owner.acquire()
    try:
        code = (
            "import sys; from pathlib import Path; from edgecli.doctor import state; "
            "from edgecli.state import StatePaths; check = state.lock(StatePaths(Path(sys.argv[1]))); "
            "print(check.status, check.data['pid'])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, paths.directory],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    finally:
        owner.close()
    assert done.stdout.split() == ["warn", str(os.getpid())]
    assert checks.lock(paths).data == {"held": False}


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        del format, args


def test_a_server_that_answers_is_ok(paths: StatePaths) -> None:
    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            write_server(paths, f"http://127.0.0.1:{server.server_port}", os.getpid())
            check = checks.server(paths)
        finally:
            server.shutdown()
            thread.join()
    assert check.status is Status.OK
    assert check.data["running"] is True


def test_a_server_that_does_not_answer_is_a_failure_but_not_an_essential_one(paths: StatePaths) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can answer there
        write_server(paths, f"http://127.0.0.1:{taken.getsockname()[1]}", os.getpid())
        check = checks.server(paths)
    assert (check.status, check.essential) == (Status.FAIL, False)
    assert "does not answer" in check.summary


def test_a_server_whose_process_has_gone_is_not_running(paths: StatePaths) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    write_server(paths, "http://127.0.0.1:9", gone.pid)
    assert checks.server(paths).summary == "not running"


def test_a_write_that_was_cut_off_is_not_called_whole(tmp_path: Path) -> None:
    """A full disk leaves the copy behind Chroma, and queries fail until there is space again."""
    store = VectorStore(StatePaths(tmp_path).vectorize)
    store.create("some", 2, "cosine", "")
    store.close()
    assert checks.vectors(StatePaths(tmp_path)).summary == "whole"
    mirror = Mirror(StatePaths(tmp_path).vectorize / "mirror")
    mirror.begin(mirror.records()[0].uid, ["a"], None)
    mirror.close()
    check = checks.vectors(StatePaths(tmp_path))
    assert (check.status, check.summary) == (
        Status.WARN,
        "whole, but the last write was cut off before queries could see all of it",
    )


def test_a_chroma_that_is_damaged_or_gone_is_a_failure(tmp_path: Path) -> None:
    paths = StatePaths(tmp_path)
    store = VectorStore(paths.vectorize)
    store.create("some", 2, "cosine", "")
    store.close()
    catalog = paths.vectorize / "chroma" / "chroma.sqlite3"
    whole = catalog.read_bytes()
    for damage in (b"junk" * 5000, b"", None):
        catalog.unlink() if damage is None else catalog.write_bytes(damage)
        check = checks.vectors(paths)
        assert (check.status, check.essential) == (Status.FAIL, True)
        assert "`edgecli vectorize verify --repair`" in (check.hint or "")
    catalog.write_bytes(whole)
    check = checks.vectors(paths)
    assert check.status is Status.WARN
    assert "have changed since the last command" in check.summary
    mirror = Mirror(paths.vectorize / "mirror")
    mirror.set_damage("rows are wrong")
    mirror.close()
    assert (checks.vectors(paths).status, checks.vectors(paths).summary) == (Status.FAIL, "damaged: rows are wrong")


def test_a_chroma_server_that_does_not_answer_is_a_failure() -> None:
    check = checks.vectors_on_server(VectorizeSettings(url="http://127.0.0.1:9", token="not-to-be-shown"))
    assert (check.status, check.essential) == (Status.FAIL, True)
    assert "http://127.0.0.1:9" in check.summary
    assert "not-to-be-shown" not in str(check)


def _keep(paths: StatePaths) -> None:
    """Leave behind what bindings keep: KV, R2 and a D1 database with a name that needs quoting."""

    async def use() -> None:
        kv, r2 = KvService(paths.kv), R2Service(paths.r2)
        d1 = D1Service(paths.d1, seconds=5)
        await kv.put("n", "k", b"v" * 100_000)
        await d1.database("a/b").run([Query("CREATE TABLE t AS SELECT 1 AS a")])
        for each in (kv, r2, d1):
            await each.close()

    asyncio.run(use())


def test_what_bindings_keep_is_checked_where_there_is_any(paths: StatePaths) -> None:
    assert checks.stores(paths) == []
    _keep(paths)
    found = checks.stores(paths)
    assert [(each.name, each.status, each.essential) for each in found] == [
        ("kv.db", Status.OK, False),
        ("r2.db", Status.OK, False),
        ("d1 a/b", Status.OK, False),
    ]
    assert found[0].summary.startswith("whole, ") and found[0].data["bytes"] > 100_000


@pytest.mark.parametrize("name", ["kv.db", "r2/r2.db", "d1/a%2Fb.sqlite"])
def test_a_damaged_store_is_named_with_its_file(paths: StatePaths, name: str) -> None:
    _keep(paths)
    file = paths.directory / name
    file.write_bytes(b"junk" * 2000)
    (failed,) = [each for each in checks.stores(paths) if each.status is not Status.OK]
    assert (failed.status, str(file) in (failed.hint or "")) == (Status.FAIL, True)
    assert file.read_bytes() == b"junk" * 2000, "nothing is changed"
