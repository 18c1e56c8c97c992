"""The KV binding, with the requests that workerd's `kv.c++` makes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from edgecli.workers.spec import Binding
from tests.binding import Bound, serve


@pytest.fixture(scope="module")
def bound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bound]:
    with serve(tmp_path_factory.mktemp("kv"), [Binding("KV", "kv", "one"), Binding("MORE", "kv", "another")]) as bound:
        yield bound


@pytest.fixture
def kv(bound: Bound) -> Iterator[httpx.Client]:
    client = bound.binding("KV")
    yield client
    for item in client.get("/").json()["keys"]:
        client.delete(path(item["name"])).raise_for_status()


def path(key: str, **query: Any) -> str:
    return f"/{quote(key, safe='')}?" + str(httpx.QueryParams({"urlencoded": "true", **query}))


@pytest.mark.parametrize("key", ["a", "a/b", "a%2Fb", "键/甲 乙", "line\nbreak", "😀", "bulk/get", "a?b#c", "\0", "/"])
def test_a_value_comes_back_under_its_key(kv: httpx.Client, key: str) -> None:
    value = f"值 of {key}".encode() + bytes(range(256))
    kv.put(path(key), content=value).raise_for_status()
    answer = kv.get(path(key))
    assert (answer.content, answer.headers["content-type"]) == (value, "application/octet-stream")
    assert [item["name"] for item in kv.get("/").json()["keys"]] == [key]
    assert kv.delete(path(key)).status_code == 200
    assert kv.get(path(key)).status_code == 404
    assert kv.delete(path(key)).status_code == 200


def test_without_urlencoded_a_key_is_the_path_as_it_is(kv: httpx.Client) -> None:
    kv.put("/a%2Fb", content=b"raw").raise_for_status()
    assert kv.get(path("a%2Fb")).content == b"raw"


def test_metadata_and_expiration_lie_beside_the_value(kv: httpx.Client) -> None:
    metadata = json.dumps({"名": "甲"}, ensure_ascii=False).encode()
    kv.put(path("a", expiration_ttl=60), content=b"", headers={b"cf-kv-metadata": metadata}).raise_for_status()
    answer = kv.get(path("a"))
    assert (answer.content, json.loads(answer.headers["cf-kv-metadata"])) == (b"", {"名": "甲"})
    expiration = int(answer.headers["cf-expiration"])
    assert 0 <= expiration - time.time() <= 60
    listed = kv.get("/").json()
    assert listed["list_complete"] is True
    assert listed["keys"] == [{"name": "a", "expiration": expiration, "metadata": metadata.decode()}]
    kv.put(path("a"), content=b"again").raise_for_status()
    assert kv.get("/").json()["keys"] == [{"name": "a"}]


def test_what_has_expired_is_gone(kv: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    kv.put(path("short", expiration_ttl=60), content=b"1").raise_for_status()
    kv.put(path("long", expiration_ttl=120), content=b"2").raise_for_status()
    now = time.time()
    monkeypatch.setattr("edgecli.kv.service.time.time", lambda: now + 61)
    assert kv.get(path("short")).status_code == 404
    assert kv.get(path("long")).content == b"2"
    assert [item["name"] for item in kv.get("/").json()["keys"]] == ["long"]


def test_namespaces_do_not_see_each_other(bound: Bound, kv: httpx.Client) -> None:
    kv.put(path("a"), content=b"1").raise_for_status()
    assert bound.binding("MORE").get(path("a")).status_code == 404
    assert bound.binding("MORE").get("/").json() == {"keys": [], "list_complete": True}


@pytest.mark.parametrize(
    ("target", "headers", "status", "text"),
    [
        (path("k" * 513), {}, 414, "UTF-8 encoded length of 513 exceeds key length limit of 512."),
        (path("键" * 171), {}, 414, "UTF-8 encoded length of 513 exceeds key length limit of 512."),
        ("/%2E?urlencoded=true", {}, 400, 'Illegal key name ".". Please use a different name.'),
        ("/%FF?urlencoded=true", {}, 400, "Could not URL-decode key name"),
        (path("a", expiration_ttl=59), {}, 400, "Invalid expiration_ttl of 59. Expiration TTL must be at least 60."),
        (path("a", expiration_ttl="x"), {}, 400, "Invalid expiration_ttl of x. Please specify integer greater than 0."),
        (path("a", expiration=7), {}, 400, "Invalid expiration of 7. Please specify integer greater than the current"),
        (path("a"), {"cf-kv-metadata": f'"{"x" * 1023}"'}, 413, "Metadata length of 1025 exceeds limit of 1024."),
        (path("a"), {"cf-kv-metadata": "{"}, 400, "Metadata must be valid JSON."),
    ],
)
def test_a_write_that_is_refused(
    kv: httpx.Client, target: str, headers: dict[str, str], status: int, text: str
) -> None:
    answer = kv.put(target, content=b"1", headers=headers)
    assert (answer.status_code, answer.text[: len(text)]) == (status, text)
    assert kv.get("/").json()["keys"] == []


def test_a_value_has_25_mib_at_most(kv: httpx.Client) -> None:
    most = b"x" * (25 << 20)
    assert kv.put(path("a"), content=most).status_code == 200
    answer = kv.put(path("a"), content=iter([most, b"yz"]))
    assert (answer.status_code, answer.text) == (413, "Value length of 26214402 exceeds limit of 26214400.")
    assert kv.get(path("a")).content == most


def test_a_page_ends_where_the_next_begins(kv: httpx.Client) -> None:
    names = ["a", "a/", "a/b", "é", "甲", "甲/乙"]
    for name in reversed(names):
        kv.put(path(name), content=b"1").raise_for_status()
    found: list[str] = []
    page: dict[str, Any] = {"cursor": ""}
    while "cursor" in page:
        query = {"key_count_limit": 4} | ({"cursor": page["cursor"]} if page["cursor"] else {})
        page = kv.get("/", params=query).json()
        assert page["list_complete"] is ("cursor" not in page)
        found += [item["name"] for item in page["keys"]]
    assert found == names
    assert [item["name"] for item in kv.get("/", params={"prefix": "a/"}).json()["keys"]] == ["a/", "a/b"]


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"key_count_limit": 0}, "Invalid key_count_limit of 0. Please specify an integer greater than 0."),
        ({"key_count_limit": 1001}, "Invalid key_count_limit of 1001. Please specify an integer less than 1000."),
        ({"cursor": "~"}, "Invalid cursor of ~. Use the one that the last page came with."),
    ],
)
def test_a_listing_that_is_refused(kv: httpx.Client, query: dict[str, Any], text: str) -> None:
    answer = kv.get("/", params=query)
    assert (answer.status_code, answer.text) == (400, text)


def test_many_keys_at_once(kv: httpx.Client) -> None:
    kv.put(path("文"), content='{"数": 1}'.encode(), headers={"cf-kv-metadata": "[1]"}).raise_for_status()

    def ask(**body: Any) -> httpx.Response:
        return kv.post("/bulk/get", json=body)

    assert ask(keys=["文", "no"]).json() == {"文": '{"数": 1}', "no": None}
    assert ask(keys=["文"], type="json").json() == {"文": {"数": 1}}
    assert ask(keys=["文"], type="json", withMetadata=True).json() == {"文": {"value": {"数": 1}, "metadata": [1]}}
    kv.put(path("text"), content=b"no json").raise_for_status()
    for body, text in (
        ({"keys": ["text"], "type": "json"}, "At least one of the requested keys corresponds to a non-json value"),
        ({"keys": ["a"], "type": "stream"}, '"stream" is not a valid type. Use "json" or "text"'),
        ({"keys": []}, "You must request a minimum of 1 key"),
        ({"keys": ["a"] * 101}, "You can request a maximum of 100 keys"),
        ({"keys": [1]}, "`keys` must be an array of strings"),
    ):
        answer = ask(**body)
        assert (answer.status_code, answer.text) == (400, text)
