"""D1's REST API, driven by Cloudflare's SDK, and by requests where wrangler's differ."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import cloudflare
import httpx
import pytest

from edgecli.workers.spec import Binding
from tests.binding import Bound, serve
from tests.workers.sdk import ANY, client

SETTINGS = """
[[d1_databases]]
binding = "DB"
database_name = "named"
database_id = "1234-ab"
[[d1_databases]]
binding = "BARE"
"""


@pytest.fixture(scope="module")
def bound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bound]:
    with serve(tmp_path_factory.mktemp("d1"), [Binding("DB", "d1", "1234-ab")], SETTINGS) as bound:
        yield bound


@pytest.fixture
def d1(bound: Bound) -> Iterator[Any]:
    with client(bound.address) as sdk:
        yield sdk.d1.database


@pytest.fixture
def http(bound: Bound) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{bound.address}/client/v4/accounts/any/d1", timeout=60) as http:
        yield http


def code(error: cloudflare.APIStatusError) -> tuple[int, int]:
    return error.status_code, error.body["errors"][0]["code"]  # pyright: ignore


def test_a_database_is_created_listed_queried_and_deleted(bound: Bound, d1: Any) -> None:
    made = d1.create(account_id=ANY, name="数据 one")
    assert (len(made.uuid), made.name, made.created_at.year > 2000) == (36, "数据 one", True)
    with pytest.raises(cloudflare.BadRequestError) as twice:
        d1.create(account_id=ANY, name="数据 one")
    assert code(twice.value) == (400, 7502)
    d1.query(made.uuid, account_id=ANY, sql="CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    assert d1.get(made.uuid, account_id=ANY).file_size > 0
    assert d1.get("数据 one", account_id=ANY).uuid == made.uuid
    ids = {each.name: each.uuid for each in d1.list(account_id=ANY)}
    assert (ids["数据 one"], ids["named"], ids["BARE"]) == (made.uuid, "1234-ab", "BARE")
    assert [each.uuid for each in d1.list(account_id=ANY, name="数据")] == [made.uuid]
    d1.delete(made.uuid, account_id=ANY)
    assert made.uuid not in {each.uuid for each in d1.list(account_id=ANY)}
    assert list((bound.root / ".edgecli" / "d1").glob(f"{made.uuid}*")) == []
    with pytest.raises(cloudflare.NotFoundError) as gone:
        d1.get(made.uuid, account_id=ANY)
    assert code(gone.value) == (404, 7404)


def test_a_worker_meets_what_the_sdk_wrote_by_the_id_and_by_the_name(bound: Bound, d1: Any) -> None:
    d1.query("1234-ab", account_id=ANY, sql="CREATE TABLE seen (a); INSERT INTO seen VALUES ('值')")
    d1.query("named", account_id=ANY, sql="INSERT INTO seen VALUES (?)", params=["乙"])
    answer = bound.binding("DB").post("/query", json={"sql": "SELECT * FROM seen", "params": []})
    assert answer.json()["results"] == [{"a": "值"}, {"a": "乙"}]


def test_each_statement_has_its_result(d1: Any) -> None:
    sql = "CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 'x;y'), (2, NULL); SELECT * FROM t WHERE a > ?"
    made, inserted, found = list(d1.query("three", account_id=ANY, sql=sql, params=["1"]))
    assert (made.success, made.meta.changed_db) == (True, True)
    assert (inserted.meta.changes, inserted.meta.last_row_id) == (2, 2)
    assert found.results == []  # the SDK sends parameters as texts, and no number is greater than a text
    assert next(iter(d1.query("three", account_id=ANY, sql="SELECT * FROM t"))).results[0] == {"a": 1, "b": "x;y"}
    rows = next(iter(d1.raw("three", account_id=ANY, sql="SELECT a, a AS a, x'00ff' FROM t LIMIT 1"))).results
    assert (rows.columns, rows.rows) == (["a", "a", "x'00ff'"], [[1, 1, [0, 255]]])


def test_a_batch_is_one_transaction(d1: Any, http: httpx.Client) -> None:
    batch = [{"sql": "CREATE TABLE t (a)"}, {"sql": "INSERT INTO t VALUES (?)", "params": [7]}]
    assert [each["success"] for each in http.post("/database/b/query", json={"batch": batch}).json()["result"]] == [
        True,
        True,
    ]
    with pytest.raises(cloudflare.BadRequestError) as failed:
        d1.query("b", account_id=ANY, sql="INSERT INTO t VALUES (8); INSERT INTO none VALUES (1)")
    assert code(failed.value) == (400, 7500)
    assert "no such table: none" in str(failed.value)
    assert next(iter(d1.query("b", account_id=ANY, sql="SELECT a FROM t"))).results == [{"a": 7}]


@pytest.mark.parametrize(
    "body", [None, [], {}, {"sql": 1}, {"sql": ""}, {"sql": "-- nothing"}, {"batch": {}}, {"batch": [{"sql": "x"}, 1]}]
)
def test_what_is_no_query_is_refused(http: httpx.Client, body: Any) -> None:
    answer = http.post("/database/bad/query", json=body)
    assert (answer.status_code, answer.json()["success"]) == (400, False)


@pytest.mark.parametrize(
    "sql", ["ATTACH '/tmp/other.db' AS o", "PRAGMA journal_mode = OFF", "BEGIN", "SELECT load_extension('x')", "VACUUM"]
)
def test_sql_may_do_what_it_may_over_a_binding(bound: Bound, http: httpx.Client, sql: str) -> None:
    answer = http.post("/database/1234-ab/query", json={"sql": sql})
    assert answer.json()["errors"][0]["code"] == 7500
    assert bound.binding("DB").post("/query", json={"sql": sql}).json()["error"]


@pytest.mark.parametrize("name", [None, "", 1, "x" * 65, "a\nb"])
def test_a_name_is_needed(http: httpx.Client, name: Any) -> None:
    assert http.post("/database", json={"name": name}).json()["errors"][0]["code"] == 7400


@pytest.mark.parametrize("name", ["../out", "..", "/etc/passwd", "a%2F..%2Fb"])
def test_no_name_leads_out_of_the_folder(bound: Bound, http: httpx.Client, name: str) -> None:
    made = http.post("/database", json={"name": name}).json()["result"]
    http.post(f"/database/{made['uuid']}/query", json={"sql": "CREATE TABLE t (a)"}).raise_for_status()
    outside = httpx.URL(f"{bound.address}/client/v4/accounts/any/d1/database/%2e%2e%2fx/query")
    http.post(outside, json={"sql": "CREATE TABLE IF NOT EXISTS t (a)"})
    files = {path for path in bound.root.rglob("*.sqlite")}
    assert {path.parent for path in files} == {bound.root / ".edgecli" / "d1"}


def imported(http: httpx.Client, sql: bytes, *, etag: str | None = None) -> httpx.Response:
    """Import as `wrangler d1 execute --file` does."""
    digest = hashlib.md5(sql).hexdigest()
    begun = http.post("/database/imports/import", json={"action": "init", "etag": digest}).json()["result"]
    uploaded = http.put(begun["upload_url"], content=sql)
    assert (uploaded.status_code, uploaded.headers["etag"]) == (200, f'"{digest}"')
    ingest = {"action": "ingest", "filename": begun["filename"], "etag": etag or digest}
    return http.post("/database/imports/import", json=ingest)


def test_a_file_is_imported_whole_or_not_at_all(d1: Any, http: httpx.Client) -> None:
    rows = "".join(f"INSERT INTO t VALUES ({number}, '第 {number};');\n" for number in range(2000))
    trigger = "CREATE TRIGGER r AFTER INSERT ON t BEGIN UPDATE t SET b = 'x' WHERE a = 0; SELECT 1; END;"
    done = imported(http, f"-- 表\nCREATE TABLE t (a, b);\n{rows}{trigger}".encode()).json()["result"]
    assert (done["status"], done["result"]["num_queries"], done["result"]["meta"]["rows_written"]) == (
        "complete",
        2002,
        2000,
    )
    failed = imported(http, b"INSERT INTO t VALUES (5000, ''); INSERT INTO t VALUES (1);")
    assert (failed.status_code, failed.json()["errors"][0]["code"]) == (400, 7500)
    assert next(iter(d1.query("imports", account_id=ANY, sql="SELECT count(*) AS n FROM t"))).results == [{"n": 2000}]


def test_an_import_that_makes_no_sense_is_refused(http: httpx.Client) -> None:
    assert imported(http, b"SELECT 1", etag="0" * 32).status_code == 400
    assert imported(http, b"").status_code == 400
    assert imported(http, b"SELECT '\xff'").json()["errors"][0]["code"] == 7500
    for body in ({}, {"action": "poll"}, {"action": "ingest", "filename": "none", "etag": "x"}):
        assert http.post("/database/imports/import", json=body).status_code == 400
    assert http.put("/database/imports/import/none.sql", content=b"x").status_code == 404


def test_the_names_outlive_the_server(tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("again")
    with serve(root, []) as bound, client(bound.address) as sdk:
        made = sdk.d1.database.create(account_id=ANY, name="kept")
    with serve(root, []) as bound, client(bound.address) as sdk:
        assert [each.uuid for each in sdk.d1.database.list(account_id=ANY)] == [made.uuid]
        (root / ".edgecli" / "d1" / "names.json").write_text("{")
        with pytest.raises(cloudflare.ConflictError, match="names"):
            sdk.d1.database.get(str(made.uuid), account_id=ANY)
