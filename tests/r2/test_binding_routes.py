"""The R2 binding, with the requests that workerd's `r2-rpc.c++` makes."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from edgecli.workers.channel import BINDING_HEADER, TOKEN_HEADER
from edgecli.workers.spec import Binding
from tests.binding import Bound, serve

UNSET = 2**64 - 1
PART = 5 << 20


class Bucket:
    """A bucket as the binding speaks of it."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def ask(self, method: str, **fields: Any) -> httpx.Response:
        request = json.dumps({"version": 1, "method": method, **fields}, ensure_ascii=False).encode()
        return self._client.get("/", headers={b"cf-r2-request": request})

    def send(self, method: str, body: bytes = b"", **fields: Any) -> httpx.Response:
        request = json.dumps({"version": 1, "method": method, **fields}, ensure_ascii=False).encode()
        return self._client.put("/", content=request + body, headers={"cf-r2-metadata-size": str(len(request))})

    def put(self, key: str, body: bytes, **fields: Any) -> dict[str, Any]:
        answer = self.send("put", body, object=key, **fields)
        assert answer.status_code == 200, answer.headers
        return answer.json()

    def get(self, key: str, **fields: Any) -> tuple[dict[str, Any], bytes]:
        answer = self.ask("get", object=key, **fields)
        assert answer.status_code == 200, answer.headers
        size = int(answer.headers["cf-r2-metadata-size"])
        return json.loads(answer.content[:size]), answer.content[size:]

    def list(self, **fields: Any) -> dict[str, Any]:
        return self.ask("list", newRuntime=True, **fields).json()


def said(answer: httpx.Response) -> tuple[int, int, str]:
    error = json.loads(answer.headers["cf-r2-error"])
    return answer.status_code, error["v4code"], error["message"]


@pytest.fixture(scope="module")
def bound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bound]:
    with serve(tmp_path_factory.mktemp("r2"), [Binding("A", "r2", "a"), Binding("B", "r2", "b")]) as bound:
        yield bound


@pytest.fixture
def bucket(bound: Bound) -> Iterator[Bucket]:
    bucket = Bucket(bound.binding("A"))
    yield bucket
    bucket.send("delete", objects=[found["name"] for found in bucket.list()["objects"]]).raise_for_status()
    objects = bound.root / ".edgecli" / "r2" / "objects"
    assert list(objects.iterdir()) == []


@pytest.mark.parametrize("key", ["a", "键/甲 乙", "a//b/../c", "line\nbreak", "x" * 1024])
def test_an_object_comes_back_with_what_lies_beside_it(bucket: Bucket, key: str) -> None:
    body = "字节".encode() + bytes(range(256))
    http = {"contentType": "text/plain", "cacheControl": "no-store", "cacheExpiry": "1000000000000"}
    custom = [{"k": "名", "v": "值"}]
    stored = bucket.put(key, body, httpFields=http, customFields=custom, storageClass="InfrequentAccess")
    md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()
    assert (stored["name"], stored["size"], stored["etag"], stored["checksums"]) == (key, len(body), md5, {"0": md5})
    assert stored["httpFields"] == http | {"cacheExpiry": 1000000000000}
    assert (stored["customFields"], stored["storageClass"]) == (custom, "InfrequentAccess")
    assert bucket.get(key) == (stored | {"range": {"offset": 0, "length": len(body)}}, body)
    assert bucket.ask("head", object=key).json() == stored | {"range": {"offset": 0, "length": len(body)}}
    replaced = bucket.put(key, b"")
    assert replaced["version"] != stored["version"]
    assert bucket.get(key)[1] == b""


def test_what_is_not_there(bucket: Bucket, bound: Bound) -> None:
    bucket.put("a", b"1")
    missing = (404, 10007, "The specified key does not exist.")
    assert said(bucket.ask("get", object="b")) == said(bucket.ask("head", object="b")) == missing
    assert said(Bucket(bound.binding("B")).ask("get", object="a")) == missing
    assert bucket.send("delete", object="b").status_code == 200


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"range": {"offset": "2", "length": str(UNSET), "suffix": str(UNSET)}}, (2, b"23456789")),
        ({"range": {"offset": "2", "length": "3"}}, (2, b"234")),
        ({"range": {"length": 4}}, (0, b"0123")),
        ({"range": {"suffix": "3"}}, (7, b"789")),
        ({"range": {"suffix": 99}}, (0, b"0123456789")),
        ({"range": {"offset": 8, "length": 99}}, (8, b"89")),
        ({"rangeHeader": "bytes=2-4"}, (2, b"234")),
        ({"rangeHeader": "bytes=7-"}, (7, b"789")),
        ({"rangeHeader": "bytes=-2"}, (8, b"89")),
        ({"rangeHeader": "bytes=1-2,4-5"}, (0, b"0123456789")),
        ({"rangeHeader": "bytes=5-2"}, (0, b"0123456789")),
        ({"rangeHeader": "nonsense"}, (0, b"0123456789")),
    ],
)
def test_a_range(bucket: Bucket, asked: dict[str, Any], expected: tuple[int, bytes]) -> None:
    bucket.put("a", b"0123456789")
    found, body = bucket.get("a", **asked)
    assert (found["size"], found["range"]) == (10, {"offset": expected[0], "length": len(expected[1])})
    assert body == expected[1]


@pytest.mark.parametrize(
    "asked",
    [
        {"range": {"offset": 11}},
        {"range": {"offset": 10}},
        {"range": {"suffix": 0}},
        {"range": {"length": 0}},
        {"rangeHeader": "bytes=10-"},
    ],
)
def test_a_range_that_there_is_none_of(bucket: Bucket, asked: dict[str, Any]) -> None:
    bucket.put("a", b"0123456789")
    assert said(bucket.ask("get", object="a", **asked)) == (416, 10039, "The requested range is not satisfiable")


def test_conditions(bucket: Bucket) -> None:
    stored = bucket.put("a", b"1")
    etag, uploaded = stored["etag"], stored["uploaded"]

    def etags(*values: str, kind: str = "strong") -> list[dict[str, str]]:
        return [{"type": kind, "value": value} for value in values]

    wildcard = [{"type": "wildcard"}]
    second = uploaded // 1000 * 1000
    holds: list[dict[str, Any]] = [
        {"etagMatches": etags("no", etag)},
        {"etagMatches": wildcard},
        {"etagDoesNotMatch": etags("no")},
        {"uploadedAfter": str(uploaded - 1)},
        {"uploadedBefore": uploaded + 1, "uploadedAfter": str(UNSET)},
        {"etagMatches": etags(etag), "uploadedBefore": 1},
        {"uploadedBefore": second + 1000, "secondsGranularity": True},
    ]
    fails: list[dict[str, Any]] = [
        {"etagMatches": etags("no")},
        {"etagMatches": etags(etag, kind="weak")},
        {"etagDoesNotMatch": etags(etag)},
        {"etagDoesNotMatch": etags(etag, kind="weak")},
        {"etagDoesNotMatch": wildcard},
        {"uploadedAfter": uploaded},
        {"uploadedAfter": second, "secondsGranularity": True},
        {"uploadedBefore": uploaded},
    ]
    for condition in holds:
        assert bucket.get("a", onlyIf=condition)[1] == b"1", condition
    for condition in fails:
        answer = bucket.ask("get", object="a", onlyIf=condition)
        assert said(answer)[:2] == (412, 10031), condition
        assert answer.json()["etag"] == etag
        assert said(bucket.send("put", b"2", object="a", onlyIf=condition))[:2] == (412, 10031), condition
    assert bucket.get("a")[1] == b"1"
    assert said(bucket.send("put", b"2", object="new", onlyIf={"etagMatches": wildcard}))[1] == 10031
    assert bucket.put("new", b"2", onlyIf={"etagDoesNotMatch": wildcard})["size"] == 1


def test_a_checksum_is_checked_and_kept(bucket: Bucket) -> None:
    body = b"some bytes"
    right = {name: hashlib.new(name, body).hexdigest() for name in ("sha1", "sha256", "sha384", "sha512")}
    md5 = hashlib.md5(body, usedforsecurity=False)
    stored = bucket.put("a", body, md5=base64.b64encode(md5.digest()).decode(), **right)
    assert list(stored["checksums"].values()) == [md5.hexdigest(), *right.values()]
    status, code, text = said(bucket.send("put", body, object="a", sha256="00" * 32))
    assert (status, code) == (400, 10037)
    assert text.splitlines()[0] == "The SHA-256 checksum you specified did not match what we received."
    assert bucket.get("a")[0]["checksums"] == stored["checksums"]


def test_listing_by_prefix_delimiter_and_cursor(bucket: Bucket) -> None:
    for key in ["a", "dir/1", "dir/2", "dir/sub/3", "é", "目录/甲"]:
        bucket.put(key, b"1", customFields=[{"k": "a", "v": "b"}], httpFields={"contentType": "text/plain"})

    def names(listing: dict[str, Any]) -> list[str]:
        return [found["name"] for found in listing["objects"]]

    whole = bucket.list()
    assert (names(whole), whole["truncated"]) == (["a", "dir/1", "dir/2", "dir/sub/3", "é", "目录/甲"], False)
    assert (whole["objects"][0]["customFields"], whole["objects"][0]["httpFields"]) == ([], {})
    assert bucket.list(include=[0, 1])["objects"][0]["customFields"] == [{"k": "a", "v": "b"}]
    old = bucket.ask("list").json()["objects"][0]
    assert (old["customFields"], old["httpFields"]) == ([{"k": "a", "v": "b"}], {"contentType": "text/plain"})
    folders = bucket.list(delimiter="/")
    assert (names(folders), folders["delimitedPrefixes"]) == (["a", "é"], ["dir/", "目录/"])
    below = bucket.list(delimiter="/", prefix="dir/")
    assert (names(below), below["delimitedPrefixes"]) == (["dir/1", "dir/2"], ["dir/sub/"])
    assert names(bucket.list(startAfter="dir/2")) == ["dir/sub/3", "é", "目录/甲"]
    seen: list[str] = []
    page: dict[str, Any] = {}
    while page.get("truncated", True):
        page = bucket.list(delimiter="/", limit=1, **({"cursor": page["cursor"]} if page else {}))
        seen += names(page) + page["delimitedPrefixes"]
    assert seen == ["a", "dir/", "é", "目录/"]
    assert said(bucket.ask("list", limit=1001))[1] == said(bucket.ask("list", limit=0))[1] == 10022
    assert said(bucket.ask("list", cursor="~"))[1] == 10029


def test_a_page_ends_before_workerd_would_refuse_it(bucket: Bucket) -> None:
    for number in range(120):
        bucket.put(f"{number:03}", b"", customFields=[{"k": "k", "v": "v" * 8000}])
    page = bucket.list(include=[1])
    assert page["truncated"] is True
    assert 80 < len(page["objects"]) < 120
    assert len(bucket.list(include=[1], cursor=page["cursor"])["objects"]) == 120 - len(page["objects"])
    assert len(bucket.list()["objects"]) == 120


def test_an_object_in_parts(bucket: Bucket, bound: Bound) -> None:
    bucket.put("big", b"before")
    upload = bucket.send("createMultipartUpload", object="big", customFields=[{"k": "a", "v": "b"}]).json()["uploadId"]

    def part(number: int, body: bytes) -> dict[str, Any]:
        answer = bucket.send("uploadPart", body, object="big", uploadId=upload, partNumber=number)
        return {"part": number, "etag": answer.json()["etag"]}

    def complete(*parts: dict[str, Any]) -> httpx.Response:
        return bucket.send("completeMultipartUpload", object="big", uploadId=upload, parts=list(parts))

    replaced = part(1, b"x")
    first, second, unused = part(1, b"1" * PART), part(2, b"23456"), part(7, b"7")
    assert said(complete(replaced, second))[1] == said(complete())[1] == said(complete(first, first))[1] == 10025
    assert said(complete(second, unused))[1] == 10011
    assert bucket.get("big")[1] == b"before"
    done = complete(second, first).json()
    digests = b"".join(hashlib.md5(each, usedforsecurity=False).digest() for each in (b"1" * PART, b"23456"))
    assert done["etag"] == hashlib.md5(digests, usedforsecurity=False).hexdigest() + "-2"
    assert (done["size"], done["customFields"]) == (PART + 5, [{"k": "a", "v": "b"}])
    found, body = bucket.get("big", range={"offset": PART - 2, "length": 5})
    assert (found["range"], body) == ({"offset": PART - 2, "length": 5}, b"11234")
    assert hashlib.sha256(bucket.get("big")[1]).digest() == hashlib.sha256(b"1" * PART + b"23456").digest()
    assert said(complete(first, second))[1] == 10024
    assert bucket.send("abortMultipartUpload", object="big", uploadId=upload).status_code == 200
    assert bucket.get("big")[0]["size"] == PART + 5
    assert len(list((bound.root / ".edgecli" / "r2" / "objects").iterdir())) == 2


def test_an_upload_that_is_given_up(bucket: Bucket) -> None:
    upload = bucket.send("createMultipartUpload", object="a").json()["uploadId"]
    bucket.send("uploadPart", b"1", object="a", uploadId=upload, partNumber=1).raise_for_status()
    for _ in range(2):
        assert bucket.send("abortMultipartUpload", object="a", uploadId=upload).status_code == 200
    missing = (400, 10024, "The specified multipart upload does not exist.")
    assert said(bucket.send("uploadPart", b"1", object="a", uploadId=upload, partNumber=1)) == missing
    assert said(bucket.send("abortMultipartUpload", object="a", uploadId="none")) == missing
    assert bucket.list()["objects"] == []


def test_requests_of_another_form(bound: Bound, bucket: Bucket) -> None:
    client = bound.binding("A")
    for answer in (
        client.get("/"),
        client.get("/", headers={"cf-r2-request": "{"}),
        client.put("/", content=b"x"),
        client.put("/", content=b"{}", headers={"cf-r2-metadata-size": "99"}),
        bucket.ask("none"),
        bucket.ask("put", object="a"),
        bucket.send("get", object="a"),
        bucket.send("put", object="a", sha256="zz"),
        bucket.send("put", object="a", ssec={"key": "00" * 32}),
    ):
        assert said(answer)[:2] == (400, 10029)
    for key in ("", "x" * 1025, "键" * 342):
        assert said(bucket.send("put", b"1", object=key))[1] == 10020
    assert said(bucket.send("put", b"1", object="a", customFields=[{"k": "a", "v": "x" * 8192}]))[1] == 10012


def test_a_client_that_leaves_in_the_middle_of_an_upload_changes_nothing(bound: Bound, bucket: Bucket) -> None:
    bucket.put("a", b"whole")
    request = b'{"method": "put", "object": "a"}'
    head = (
        f"PUT / HTTP/1.1\r\nhost: a\r\n{TOKEN_HEADER}: {bound.token}\r\n{BINDING_HEADER}: A\r\n"
        f"cf-r2-metadata-size: {len(request)}\r\ncontent-length: 9000000\r\n\r\n"
    )
    objects = bound.root / ".edgecli" / "r2" / "objects"
    url = httpx.URL(bound.address)
    with socket.create_connection((url.host, url.port or 80)) as connection:
        connection.sendall(head.encode() + request + b"x" * 3_000_000)
        while len(list(objects.iterdir())) < 2:
            time.sleep(0.01)
    deadline = time.monotonic() + 30
    while len(list(objects.iterdir())) > 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(list(objects.iterdir())) == 1
    assert bucket.get("a")[1] == b"whole"
