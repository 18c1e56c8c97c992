"""R2's REST API, driven by Cloudflare's SDK, and by requests where wrangler's differ."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import cloudflare
import httpx
import pytest

from edgecli.workers.spec import Binding
from tests.binding import Bound, serve
from tests.workers.sdk import ANY, client

SETTINGS = '[[r2_buckets]]\nbinding = "CONFIGURED"\nbucket_name = "configured"\n[[r2_buckets]]\nbinding = "BARE"'


@pytest.fixture(scope="module")
def bound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bound]:
    with serve(tmp_path_factory.mktemp("r2"), [Binding("R2", "r2", "configured")], SETTINGS) as bound:
        yield bound


@pytest.fixture
def r2(bound: Bound) -> Iterator[Any]:
    with client(bound.address) as sdk:
        yield sdk.r2.buckets


@pytest.fixture
def http(bound: Bound) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{bound.address}/client/v4/accounts/any/r2", timeout=60) as http:
        yield http


def names(r2: Any) -> list[str]:
    return [each.name for each in r2.list(account_id=ANY).buckets]


def code(error: cloudflare.APIStatusError) -> tuple[int, int]:
    return error.status_code, error.body["errors"][0]["code"]  # pyright: ignore


def test_a_bucket_is_created_listed_and_deleted_when_it_is_empty(r2: Any, http: httpx.Client) -> None:
    made = r2.create(account_id=ANY, name="made")
    assert (made.name, made.creation_date[:2]) == ("made", "20")
    assert set(names(r2)) >= {"bare", "configured", "made"}
    with pytest.raises(cloudflare.ConflictError) as twice:
        r2.create(account_id=ANY, name="made")
    assert code(twice.value) == (409, 10004)
    assert r2.get("made", account_id=ANY).creation_date == made.creation_date
    http.put("/buckets/made/objects/a/b", content=b"x").raise_for_status()
    with pytest.raises(cloudflare.ConflictError) as full:
        r2.delete("made", account_id=ANY)
    assert code(full.value) == (409, 10008)
    http.delete("/buckets/made/objects/a/b").raise_for_status()
    r2.delete("made", account_id=ANY)
    assert "made" not in names(r2)
    with pytest.raises(cloudflare.NotFoundError) as gone:
        r2.delete("made", account_id=ANY)
    assert code(gone.value) == (404, 10006)


@pytest.mark.parametrize("name", [None, 1, "", "ab", "UPPER", "a_b", "-ab", "x" * 64, "a/b"])
def test_a_bucket_needs_a_name(http: httpx.Client, name: Any) -> None:
    answer = http.post("/buckets", json={"name": name})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, 10005)


@pytest.mark.parametrize("key", ["a", "dir/文 件.txt", "a%2Fb?c", "100%"])
def test_an_object_goes_from_the_sdk_to_a_worker_and_back(bound: Bound, r2: Any, key: str) -> None:
    value = bytes(range(256)) * 2000
    r2.objects.upload(key, body=value, account_id=ANY, bucket_name="configured")
    listed = next(each for each in r2.objects.list("configured", account_id=ANY) if each.key == key)
    assert (listed.size, len(listed.etag), listed.storage_class) == (len(value), 32, "Standard")
    head = json.dumps({"version": 1, "method": "head", "object": key})
    bound.binding("R2").get("/", headers={"cf-r2-request": head}).raise_for_status()
    assert r2.objects.get(key, account_id=ANY, bucket_name="configured").read() == value
    r2.objects.delete(key, account_id=ANY, bucket_name="configured")
    with pytest.raises(cloudflare.NotFoundError) as gone:
        r2.objects.get(key, account_id=ANY, bucket_name="configured")
    assert code(gone.value) == (404, 10007)


def test_headers_come_back(r2: Any, http: httpx.Client) -> None:
    headers = {"content-type": "text/html; charset=utf-8", "cache-control": "max-age=7", "content-language": "zh"}
    http.put("/buckets/headers/objects/k", content=b"<p>", headers=headers).raise_for_status()
    answer = http.get("/buckets/headers/objects/k")
    assert {name: answer.headers[name] for name in headers} == headers
    found = next(iter(r2.objects.list("headers", account_id=ANY)))
    assert (found.http_metadata.content_type, found.http_metadata.cache_control) == (
        "text/html; charset=utf-8",
        "max-age=7",
    )


def test_objects_come_in_pages(r2: Any, http: httpx.Client) -> None:
    for number in range(7):
        http.put(f"/buckets/pages/objects/p/{number}", content=b"x").raise_for_status()
    http.put("/buckets/pages/objects/q", content=b"x").raise_for_status()
    keys = [each.key for each in r2.objects.list("pages", account_id=ANY, prefix="p/", per_page=3)]
    assert keys == [f"p/{number}" for number in range(7)]
    page = http.get("/buckets/pages/objects", params={"delimiter": "/"}).json()
    assert ([each["key"] for each in page["result"]], page["result_info"]["delimited"]) == (["q"], ["p/"])
    assert http.get("/buckets/pages/objects", params={"start_after": "p/6"}).json()["result"][0]["key"] == "q"
    for bad in ({"per_page": "x"}, {"per_page": 0}, {"cursor": "§"}):
        assert http.get("/buckets/pages/objects", params=bad).status_code == 400
