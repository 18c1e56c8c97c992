"""The D1 binding, with the requests that workerd's `d1-api.ts` makes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from edgecli.workers.spec import Binding
from tests.binding import Bound, serve

BINDINGS = [Binding("DB", "d1", "数据 库/一"), Binding("MORE", "d1", "..")]


@pytest.fixture(scope="module")
def bound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bound]:
    with serve(tmp_path_factory.mktemp("d1"), BINDINGS, "[edgecli.workers]\nstall_timeout = 0.5") as bound:
        yield bound


@pytest.fixture
def db(bound: Bound) -> Iterator[httpx.Client]:
    client = bound.binding("DB")
    yield client
    tables = ask(client, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '%\\_%' ESCAPE '\\'")
    for (name,) in tables["results"]["rows"]:
        ask(client, f"DROP TABLE {name}")


def post(db: httpx.Client, body: Any, form: str = "ROWS_AND_COLUMNS", path: str = "/query") -> Any:
    return db.post(path, params={"resultsFormat": form}, json=body).json()


def ask(db: httpx.Client, sql: str, *params: Any, form: str = "ROWS_AND_COLUMNS") -> Any:
    answer = post(db, {"sql": sql, "params": params}, form)
    assert answer["success"], answer
    return answer


def error(db: httpx.Client, sql: str, *params: Any) -> str:
    answer = post(db, {"sql": sql, "params": params})
    assert answer["success"] is False
    return answer["error"]


def test_values_of_all_types_come_back(db: httpx.Client) -> None:
    values = [None, 0, -1, 2**53 + 1, 2**63 - 1, 1.5, 1e300, "", "甲 'a'\0b", [], [0, 255], True, 2**64]
    stored = [None, 0, -1, 2**53 + 1, 2**63 - 1, 1.5, 1e300, "", "甲 'a'\0b", [], [0, 255], 1, float(2**64)]
    ask(db, "CREATE TABLE v (id INTEGER PRIMARY KEY, v)")
    for value in values:
        ask(db, "INSERT INTO v (v) VALUES (?1)", value)
    assert [row for (row,) in ask(db, "SELECT v FROM v ORDER BY id")["results"]["rows"]] == stored


def test_the_three_forms_of_a_result(db: httpx.Client) -> None:
    sql = "SELECT 1 AS a, '二' AS b"
    assert ask(db, sql)["results"] == {"columns": ["a", "b"], "rows": [[1, "二"]]}
    assert ask(db, sql, form="ARRAY_OF_OBJECTS")["results"] == [{"a": 1, "b": "二"}]
    assert "results" not in ask(db, sql, form="NONE")


def test_meta_counts_what_was_done(db: httpx.Client) -> None:
    created = ask(db, "CREATE TABLE t (id INTEGER PRIMARY KEY, a)")["meta"]
    assert (created["changes"], created["changed_db"]) == (0, True)
    added = ask(db, "INSERT INTO t (a) VALUES (1), (2)")["meta"]
    assert (added["changes"], added["last_row_id"], added["changed_db"]) == (2, 2, True)
    read = ask(db, "SELECT * FROM t")["meta"]
    assert (read["changes"], read["rows_read"], read["changed_db"]) == (0, 2, False)
    assert read["size_after"] % 4096 == 0
    assert read["served_by"] == "edgecli"


def test_a_batch_is_one_transaction(db: httpx.Client) -> None:
    ask(db, "CREATE TABLE t (a UNIQUE)")
    first, second = post(db, [{"sql": "INSERT INTO t VALUES (?)", "params": [1]}, {"sql": "SELECT * FROM t"}])
    assert (first["meta"]["changes"], second["results"]["rows"]) == (1, [[1]])
    failed = post(db, [{"sql": "INSERT INTO t VALUES (2)"}, {"sql": "INSERT INTO t VALUES (1)"}])
    said = "UNIQUE constraint failed: t.a: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_UNIQUE)"
    assert failed == {"success": False, "error": said, "meta": {}}
    assert ask(db, "SELECT * FROM t")["results"]["rows"] == [[1]]


def test_exec_names_the_line_that_failed(db: httpx.Client) -> None:
    lines = [
        {"sql": "CREATE TABLE t (a); CREATE TABLE u (a)"},
        {"sql": "-- a comment"},
        {"sql": "INSERT INTO t VALUES (1)"},
    ]
    assert [answer["success"] for answer in post(db, lines, "NONE", "/execute")] == [True, True, True]
    answers = post(db, [{"sql": "DROP TABLE t"}, {"sql": "SELECT * FROM none"}], "NONE", "/execute")
    assert answers[0]["success"]
    assert answers[1]["error"] == "no such table: none: SQLITE_ERROR"
    assert ask(db, "SELECT count(*) FROM t")["results"]["rows"] == [[1]]


@pytest.mark.parametrize(
    ("sql", "params", "said"),
    [
        ("SELEC 1", [], 'near "SELEC": syntax error: SQLITE_ERROR'),
        ("SELECT ?", [], "Wrong number of parameter bindings for SQL query."),
        ("SELECT 1", [1], "Wrong number of parameter bindings for SQL query."),
        ("-- nothing", [], "No SQL statements detected."),
        ("SELECT ?", [[256]], "A blob is an array of numbers from 0 to 255."),
        ("SELECT '\0'", [], "SQLITE_ERROR"),
        ("SELECT " + ", ".join("?" * 101), list(range(101)), "too many SQL variables: SQLITE_ERROR"),
        ("SELECT '" + "x" * 100_001 + "'", [], "query string is too large"),
        ("SELECT zeroblob(2000001)", [], "string or blob too big: SQLITE_TOOBIG"),
    ],
)
def test_sql_that_fails(db: httpx.Client, sql: str, params: list[Any], said: str) -> None:
    assert said in error(db, sql, *params)


@pytest.mark.parametrize(
    "sql",
    [
        "ATTACH DATABASE '/tmp/x.db' AS x",
        "DETACH DATABASE main",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT a",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA writable_schema = ON",
        "PRAGMA foreign_keys = OFF",
        "PRAGMA temp_store_directory = '/tmp'",
        "SELECT load_extension('/tmp/x.so')",
        "CREATE TEMP TABLE t (a)",
        "CREATE VIRTUAL TABLE t USING dbstat",
        "SELECT 1; ATTACH DATABASE '/tmp/x.db' AS x",
    ],
)
def test_sql_does_not_leave_its_database(db: httpx.Client, sql: str) -> None:
    assert "not authorized" in error(db, sql)
    assert ask(db, "SELECT 1")["results"]["rows"] == [[1]]


def test_vacuum_into_another_file_is_refused(db: httpx.Client, tmp_path: Path) -> None:
    assert error(db, f"VACUUM INTO '{tmp_path / 'copy.db'}'")
    assert not (tmp_path / "copy.db").exists()


def test_a_query_has_a_time_limit(db: httpx.Client) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    assert error(db, endless) == "D1 DB exceeded its CPU time limit and was reset."
    assert ask(db, "SELECT 1")["results"]["rows"] == [[1]]


def test_an_answer_has_a_size_limit(db: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecli.d1.rules.MAX_RESULT", 1000)
    assert error(db, "SELECT hex(zeroblob(1000))").endswith("ask for fewer rows with LIMIT: SQLITE_TOOBIG")


def test_full_text_search_and_what_triggers_write_to_it(db: httpx.Client) -> None:
    ask(db, "CREATE TABLE docs (id INTEGER PRIMARY KEY, body)")
    ask(db, "CREATE VIRTUAL TABLE found USING fts5(body, content='docs', content_rowid='id')")
    ask(db, "CREATE TRIGGER t AFTER INSERT ON docs BEGIN INSERT INTO found(rowid, body) VALUES (new.id, new.body); END")
    ask(db, "INSERT INTO docs (body) VALUES ('an edge server'), ('另 一个')")
    assert ask(db, "SELECT rowid FROM found WHERE found MATCH 'edge'")["results"]["rows"] == [[1]]
    assert ask(db, "SELECT name FROM pragma_table_info('docs')")["results"]["rows"] == [["id"], ["body"]]
    assert ask(db, "SELECT value FROM json_each('[1, 2]')")["results"]["rows"] == [[1], [2]]
    ask(db, "DROP TABLE found")


def test_foreign_keys_hold(db: httpx.Client) -> None:
    ask(db, "CREATE TABLE a (id INTEGER PRIMARY KEY)")
    ask(db, "CREATE TABLE b (a REFERENCES a (id))")
    assert error(db, "INSERT INTO b VALUES (1)").startswith("FOREIGN KEY constraint failed: SQLITE_CONSTRAINT")
    deferred = [{"sql": "PRAGMA defer_foreign_keys = ON"}, {"sql": "INSERT INTO b VALUES (1)"}]
    assert post(db, deferred)["error"].startswith("FOREIGN KEY constraint failed: SQLITE_CONSTRAINT")
    ask(db, "DROP TABLE b")


@pytest.mark.parametrize("body", ["[]", "{}", '{"sql": 1}', "null", "{", '{"sql": "SELECT ?", "params": [{}]}'])
def test_a_body_that_is_no_query(db: httpx.Client, body: str) -> None:
    answer = db.post("/query", content=body)
    assert answer.status_code == 400
    assert answer.json()["success"] is False


def test_each_database_is_a_file_in_the_state(bound: Bound, db: httpx.Client) -> None:
    ask(db, "CREATE TABLE t (a)")
    ask(db, "INSERT INTO t VALUES ('甲')")
    assert "no such table" in error(bound.binding("MORE"), "SELECT * FROM t")
    path = bound.root / ".edgecli" / "d1" / "%E6%95%B0%E6%8D%AE %E5%BA%93%2F%E4%B8%80.sqlite"
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT a FROM t").fetchall() == [("甲",)]
    connection.close()


def test_a_file_that_is_no_database_is_named(bound: Bound) -> None:
    (bound.root / ".edgecli" / "d1" / "bad.sqlite").write_bytes(b"no database at all" * 100)
    client = bound.binding("BAD", bound.grant(Binding("BAD", "d1", "bad")))
    said = error(client, "SELECT 1")
    assert "bad.sqlite" in said
    assert "move it away" in said
