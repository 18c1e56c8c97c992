import asyncio
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgecli.errors import LimitError, StateError
from edgecli.state import (
    Database,
    Migration,
    Owner,
    ServerInfo,
    State,
    StatePaths,
    now,
    read_owner,
    read_server,
    write_atomically,
)

HOLD = """
import sys, time
from pathlib import Path
from edgecli.state import State
state = State(Path(sys.argv[1])); state.acquire(); print("held", flush=True); sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path: Path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "state")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_process_is_told_who_holds_the_state(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(StateError, match=f"process {holder.pid}") as caught:
        State(tmp_path / "state").acquire(wait=0.1)
    assert caught.value.code == "state_locked"


def test_the_owner_file_holds_no_values_of_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["edgecli", "--env", "live", "serve", "--token", "hush", "--host=::1"])
    state = State(tmp_path / "state")
    state.acquire()
    assert "hush" not in state.paths.owner.read_text(encoding="utf-8")
    owner = read_owner(state.paths)
    assert owner is not None
    assert owner.command == "edgecli serve"
    state.close()


def test_a_killed_holder_leaves_the_state_free(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    state = State(tmp_path / "state")
    state.acquire(wait=5)
    owner = read_owner(state.paths)
    assert owner is not None
    assert owner.pid == os.getpid()
    state.close()
    assert read_owner(state.paths) is None


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(StateError, match="file/state"):
        State(tmp_path / "file" / "state").acquire(wait=0)


def test_migrations_run_once_and_in_one_piece(tmp_path: Path) -> None:
    path = tmp_path / "edge.db"
    good = Migration("t-1", "CREATE TABLE t (x)")
    for _ in range(2):
        database = Database(path)
        database.migrate([good])
        database.close()
    database = Database(path)
    with pytest.raises(sqlite3.DatabaseError):
        database.migrate([good, Migration("t-2", "CREATE TABLE u (x); CREATE TABLE broken (")])
    database.close()
    names = {name for (name,) in sqlite3.connect(path).execute("SELECT name FROM sqlite_master WHERE type='table'")}
    assert names == {"migrations", "t"}


async def _insert_and_fail(database: Database) -> None:
    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO t VALUES (1)")
        raise ValueError("stop")

    await database.run(work)


def test_a_failing_transaction_leaves_nothing(tmp_path: Path) -> None:
    import asyncio

    database = Database(tmp_path / "edge.db")
    database.migrate([Migration("t-1", "CREATE TABLE t (x)")])
    with pytest.raises(ValueError, match="stop"):
        asyncio.run(_insert_and_fail(database))
    assert database.run_sync(lambda connection: connection.execute("SELECT count(*) FROM t").fetchone()) == (0,)
    database.close()


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "edge.db"
    path.write_bytes(b"this is no database, but long enough to be read as one" * 100)
    with pytest.raises(StateError, match=r"edge\.db") as caught:
        Database(path)
    assert caught.value.code == "state_damaged"


def test_a_dead_server_is_not_believed(tmp_path: Path) -> None:
    paths = StatePaths(tmp_path)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    paths.server.write_text(json.dumps({"address": "http://127.0.0.1:1", "pid": dead.pid}), encoding="utf-8")
    assert read_server(paths) is None
    info = {"address": "http://127.0.0.1:1", "pid": dead.pid, "token": "t", "version": "0", "env": None}
    write_atomically(paths.server, json.dumps(info))
    assert read_server(paths) is None
    write_atomically(paths.server, json.dumps(info | {"pid": 1}))
    assert read_server(paths) == ServerInfo("http://127.0.0.1:1", 1, "t", "0", None)
    assert paths.server.stat().st_mode & 0o777 == 0o600


def test_a_full_disk_is_named_with_what_is_free(tmp_path: Path) -> None:
    database = Database(tmp_path / "edge.db")

    def limit(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE words (word TEXT)")
        connection.execute("PRAGMA max_page_count = 5")

    def fill(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO words SELECT hex(zeroblob(100000))")

    database.run_sync(limit)
    with pytest.raises(LimitError, match=r"No space left on the disk of `.*`: [\d,]+ bytes are free") as caught:
        asyncio.run(database.run(fill))
    database.close()
    assert (caught.value.code, int(caught.value.exit_code)) == ("no_space", 7)


def test_who_holds_the_state_is_said_in_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        assert Owner(7, "edgecli ingest", "2024-02-29T22:30:00.123456Z").describe() == (
            "process 7 (`edgecli ingest`, since 2024-03-01 06:30)"
        )
        assert re.fullmatch(r"process 7 \(`x`, since \d\d:\d\d:\d\d\)", Owner(7, "x", now()).describe())
    finally:
        monkeypatch.undo()
        time.tzset()
