"""KV's REST API, driven by Cloudflare's SDK, and by requests where wrangler's differ."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import cloudflare
import httpx
import pytest

from edgecli.workers.spec import Binding
from tests.binding import Bound, serve
from tests.workers.sdk import ANY, client

SETTINGS = '[[kv_namespaces]]\nbinding = "CONFIGURED"\nid = "0123"\n[[kv_namespaces]]\nbinding = "BARE"'


@pytest.fixture(scope="module")
def bound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bound]:
    with serve(tmp_path_factory.mktemp("kv"), [Binding("KV", "kv", "0123")], SETTINGS) as bound:
        yield bound


@pytest.fixture
def kv(bound: Bound) -> Iterator[Any]:
    with client(bound.address) as sdk:
        yield sdk.kv.namespaces


@pytest.fixture
def http(bound: Bound) -> Iterator[httpx.Client]:
    base = f"{bound.address}/client/v4/accounts/any/storage/kv"
    with httpx.Client(base_url=base, timeout=60) as http:
        yield http


def code(error: cloudflare.APIStatusError) -> tuple[int, int]:
    return error.status_code, error.body["errors"][0]["code"]  # pyright: ignore


def test_a_namespace_is_created_listed_renamed_and_deleted(kv: Any) -> None:
    made = kv.create(account_id=ANY, title="标题 one")
    assert (len(made.id), made.title, made.supports_url_encoding) == (32, "标题 one", True)
    assert kv.get(made.id, account_id=ANY).title == "标题 one"
    with pytest.raises(cloudflare.BadRequestError) as twice:
        kv.create(account_id=ANY, title="标题 one")
    assert code(twice.value) == (400, 10014)
    kv.update(made.id, account_id=ANY, title="two")
    titles = {each.id: each.title for each in kv.list(account_id=ANY)}
    assert (titles[made.id], titles["0123"], titles["BARE"]) == ("two", "CONFIGURED", "BARE")
    kv.values.update("k", account_id=ANY, namespace_id=made.id, value=b"v")
    kv.delete(made.id, account_id=ANY)
    assert made.id not in {each.id for each in kv.list(account_id=ANY)}
    with pytest.raises(cloudflare.NotFoundError) as gone:
        kv.delete(made.id, account_id=ANY)
    assert code(gone.value) == (404, 10013)
    with pytest.raises(cloudflare.NotFoundError) as no_value:
        kv.values.get("k", account_id=ANY, namespace_id=made.id)
    assert code(no_value.value) == (404, 10009)


def test_a_title_that_another_has_is_not_taken_from_it(kv: Any) -> None:
    one, two = (kv.create(account_id=ANY, title=title) for title in ("eins", "zwei"))
    with pytest.raises(cloudflare.BadRequestError) as taken:
        kv.update(two.id, account_id=ANY, title="eins")
    assert code(taken.value) == (400, 10014)
    assert [kv.get(each.id, account_id=ANY).title for each in (one, two)] == ["eins", "zwei"]


def test_namespaces_come_in_pages_and_orders(kv: Any, http: httpx.Client) -> None:
    for number in range(5):
        kv.create(account_id=ANY, title=f"page {number}")
    titles = [each.title for each in kv.list(account_id=ANY, per_page=2, order="title", direction="desc")]
    assert titles == sorted(titles, reverse=True)
    assert {f"page {number}" for number in range(5)} <= set(titles)
    page = http.get("/namespaces", params={"per_page": 2, "page": 2}).json()
    assert (len(page["result"]), page["result_info"]["total_count"]) == (2, len(titles))
    assert http.get("/namespaces", params={"per_page": "many"}).status_code == 400


@pytest.mark.parametrize("title", [None, "", 7, "x" * 513])
def test_a_title_is_needed(http: httpx.Client, title: Any) -> None:
    answer = http.post("/namespaces", json={"title": title})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, 10019)


@pytest.mark.parametrize("key", ["a", "a/b", "a%2Fb", "键/甲 乙", "line\nbreak", "😀", "a?b#c", "values/x", "/"])
def test_what_the_sdk_writes_a_worker_reads(bound: Bound, kv: Any, key: str) -> None:
    worker = bound.binding("KV")
    kv.values.update(key, account_id=ANY, namespace_id="0123", value=f"值 {key}".encode(), metadata={"of": "甲"})
    answer = worker.get(f"/{quote(key, safe='')}?urlencoded=true")
    assert (answer.text, json.loads(answer.headers["cf-kv-metadata"])) == (f"值 {key}", {"of": "甲"})
    assert kv.values.get(key, account_id=ANY, namespace_id="0123").read().decode() == f"值 {key}"
    assert kv.metadata.get(key, account_id=ANY, namespace_id="0123") == {"of": "甲"}
    kv.values.delete(key, account_id=ANY, namespace_id="0123")
    assert worker.get(f"/{quote(key, safe='')}?urlencoded=true").status_code == 404


def test_bytes_come_and_go_as_they_are_and_in_a_form_too(kv: Any, http: httpx.Client) -> None:
    value = bytes(range(256)) * 3
    assert http.put("/namespaces/raw/values/k", content=value).json()["success"]
    assert kv.values.get("k", account_id=ANY, namespace_id="raw").read() == value
    form = {"value": ("blob", value), "metadata": (None, '{"n": 1}')}
    until = int(time.time()) + 1000
    assert http.put(f"/namespaces/raw/values/k?expiration={until}", files=form).json()["success"]
    answer = http.get("/namespaces/raw/values/k")
    assert (answer.content, answer.headers["expiration"]) == (value, str(until))
    assert http.get("/namespaces/raw/metadata/k").json()["result"] == {"n": 1}


@pytest.mark.parametrize(
    ("path", "content", "status"),
    [
        ("k?expiration_ttl=5", b"", 400),
        ("k?expiration=5", b"", 400),
        ("x" * 513, b"", 414),
        ("%FF", b"", 400),
        ("..", b"", 404),
        ("%2E%2E", b"", 400),
        ("k", b"x" * (25 * 1024 * 1024 + 1), 413),
    ],
)
def test_what_kv_does_not_take_is_refused(
    bound: Bound, http: httpx.Client, path: str, content: bytes, status: int
) -> None:
    url = httpx.URL(f"{bound.address}/client/v4/accounts/any/storage/kv/namespaces/no/values/{path}")
    answer = http.put(url, content=content)
    assert answer.status_code == status
    assert answer.json()["errors"][0]["message"]
    assert http.get("/namespaces/no/keys").json()["result"] == []


def test_bad_forms_are_refused(http: httpx.Client) -> None:
    boundary = {"content-type": "multipart/form-data; boundary=x"}
    for content in (b"", b"--x\r\nbroken", b"--x--\r\n"):
        assert http.put("/namespaces/no/values/k", content=content, headers=boundary).status_code == 400
    assert http.put("/namespaces/no/values/k", files={"value": b"v", "metadata": b"{"}).status_code == 400
    assert http.get("/namespaces/no/keys").json()["result"] == []


def test_keys_are_listed_in_pages_with_what_lies_beside_them(kv: Any, http: httpx.Client) -> None:
    pairs = [{"key": f"p/{number:04}", "value": "v", "metadata": {"n": number}} for number in range(25)]
    kv.bulk_update("list", account_id=ANY, body=pairs)
    found = list(kv.keys.list("list", account_id=ANY, prefix="p/", limit=10))
    assert [each.name for each in found] == [pair["key"] for pair in pairs]
    assert found[3].metadata == {"n": 3}
    page = http.get("/namespaces/list/keys", params={"prefix": "p/", "limit": 10}).json()
    assert (page["result_info"]["count"], bool(page["result_info"]["cursor"])) == (10, True)
    assert http.get("/namespaces/list/keys", params={"cursor": "§"}).status_code == 400


def test_bulk_calls_write_read_and_delete(kv: Any, http: httpx.Client) -> None:
    until = time.time() + 1000.4
    pairs = [
        {"key": "text", "value": "值"},
        {"key": "bytes", "value": "AP8=", "base64": True, "expiration": until},
        {"key": "json", "value": '{"a": 1}', "metadata": [1], "expiration_ttl": 600},
    ]
    done = kv.bulk_update("bulk", account_id=ANY, body=pairs)
    assert done.successful_key_count == 3
    assert http.get("/namespaces/bulk/values/bytes").content == b"\0\xff"
    assert http.get("/namespaces/bulk/values/bytes").headers["expiration"] == f"{until:.0f}"
    got = kv.bulk_get("bulk", account_id=ANY, keys=["text", "gone"])
    assert got.values == {"text": "值", "gone": None}
    assert http.post("/namespaces/bulk/bulk/get", json={"keys": ["json"], "type": "json"}).json()["result"][
        "values"
    ] == {"json": {"a": 1}}
    kv.bulk_delete("bulk", account_id=ANY, body=["text", "never"])
    assert http.request("DELETE", "/namespaces/bulk/bulk", json=["bytes"]).json()["success"]  # wrangler's way
    assert [each["name"] for each in http.get("/namespaces/bulk/keys").json()["result"]] == ["json"]


@pytest.mark.parametrize(
    "body",
    [
        {"key": "a", "value": "b"},
        [{"key": "good", "value": "v"}, {"key": "a"}],
        [{"key": "good", "value": "v"}, {"key": "a", "value": "!", "base64": True}],
        [{"key": "good", "value": "v"}, {"key": "", "value": "v"}],
        [{"key": "good", "value": "v"}, {"key": "a", "value": "v", "expiration_ttl": 3}],
        [{"key": "good", "value": "v"}, 7],
        [{"key": "k", "value": ""}] * 10_001,
    ],
)
def test_a_bulk_write_is_done_whole_or_not_at_all(http: httpx.Client, body: Any) -> None:
    assert http.put("/namespaces/none/bulk", json=body).status_code == 400
    assert http.get("/namespaces/none/keys").json()["result"] == []


def test_a_page_of_another_origin_may_not_write(http: httpx.Client) -> None:
    assert (
        http.put("/namespaces/x/values/k", content=b"v", headers={"origin": "https://example.com"}).status_code == 403
    )
    assert http.put("/namespaces/x/values/k", content=b"v", headers={"host": "example.com"}).status_code == 403
