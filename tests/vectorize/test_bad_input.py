"""Each bad input over the wire: Cloudflare's code and text, where to look, and nothing written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.vectorize.serving import V2, serve

GOOD: dict[str, Any] = {"id": "good", "values": [1.0, 2.0]}
INDEX = f"{V2}/kept"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with (
        serve(tmp_path_factory.mktemp("bad")) as (address, _),
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        for name in ("kept", "other"):
            config = {"dimensions": 2, "metric": "cosine"}
            client.post(V2, json={"name": name, "config": config}).raise_for_status()
        rows = b"\n".join(b'{"id":"%d","values":[1,2]}' % number for number in range(3))
        client.post(f"{V2}/other/upsert", content=rows).raise_for_status()
        yield client


def error_of(answer: httpx.Response, status: int, code: int | None) -> dict[str, Any]:
    body = answer.json()
    assert (answer.status_code, body["success"], body["result"]) == (status, False, None), body
    error = body["errors"][0]
    assert code is None or error["code"] == code, error
    return error


ROWS: list[tuple[str, str, int, str]] = [
    (
        "too narrow",
        '"id":"a","values":[1]',
        40012,
        'invalid vector for id="a", expected 2 dimensions, and got 1 dimensions',
    ),
    ("too wide", '"id":"a","values":[1,2,3]', 40012, "expected 2 dimensions, and got 3 dimensions"),
    ("id of 65 bytes", f'"id":"{"字" * 21}xx","values":[1,2]', 40008, "id too long; max is 64 bytes, got 65 bytes"),
    ("empty id", '"id":"","values":[1,2]', 40023, "a string of 1 to 64 bytes"),
    ("no id", '"values":[1,2]', 40023, "a string of 1 to 64 bytes"),
    ("no values", '"id":"a"', 40023, "are no array"),
    ("a boolean", '"id":"a","values":[1,true]', 40023, "not all numbers: there is a boolean"),
    ("a false", '"id":"a","values":[0,false]', 40023, "not all numbers: there is a boolean"),
    ("a string", '"id":"a","values":[1,"2"]', 40023, "not all numbers"),
    ("a null", '"id":"a","values":[1,null]', 40023, "not all numbers"),
    ("an array", '"id":"a","values":[1,[2]]', 40023, "not all numbers"),
    ("more than float32", '"id":"a","values":[1,1e39]', 40023, "hold NaN, infinity, or more than float32 can"),
    (
        "metadata over 10 KiB",
        f'"id":"a","values":[1,2],"metadata":{{"t":"{"x" * 10_240}"}}',
        40023,
        "max is 10240 bytes",
    ),
    ("key with $", '"id":"a","values":[1,2],"metadata":{"$k":1}', 40023, "metadata key `$k`"),
    ("key with .", '"id":"a","values":[1,2],"metadata":{"o":{"a.b":1}}', 40023, "metadata key `a.b`"),
    ("key with a quote", r'"id":"a","values":[1,2],"metadata":{"a\"b":1}', 40023, 'metadata key `a"b`'),
    ("no key", '"id":"a","values":[1,2],"metadata":{"":1}', 40023, "metadata key ``"),
    ("namespace of 65 bytes", f'"id":"a","values":[1,2],"namespace":"{"n" * 65}"', 40023, "at most 64 bytes"),
]


@pytest.mark.parametrize(("row", "code", "message"), [each[1:] for each in ROWS], ids=[each[0] for each in ROWS])
@pytest.mark.parametrize("shape", ["lines", "array"])
def test_a_bad_row_is_named_and_nothing_written(
    client: httpx.Client, shape: str, row: str, code: int, message: str
) -> None:
    rows = [json.dumps(GOOD), f"{{{row}}}"]
    body = "\n\n".join(rows) if shape == "lines" else f'{{"vectors":[{",".join(rows)}]}}'
    error = error_of(client.post(f"{INDEX}/upsert", content=body.encode()), 400, code)
    assert message in error["message"]
    assert error["edge"]["details"]["row"] == 2
    place = "row 2 (line 3)" if shape == "lines" else "row 2"
    assert error["edge"]["hint"] == f"It is {place} of the batch; nothing of the batch was written."
    assert client.get(f"{INDEX}/info").json()["result"]["vectorCount"] == 0


@pytest.mark.parametrize("spelling", ["NaN", "-Infinity", "Infinity", "nan", "1e999"])
def test_nan_and_infinity_are_no_json(client: httpx.Client, spelling: str) -> None:
    body = f'{json.dumps(GOOD)}\n{{"id":"a","values":[1,{spelling}]}}'
    error = error_of(client.post(f"{INDEX}/upsert", content=body.encode()), 400, 40023)
    assert "line 2" in error["message"]
    asked = f'{{"vector":[1,{spelling}]}}'.encode()
    error_of(client.post(f"{INDEX}/query", content=asked), 400, 40026)


@pytest.mark.parametrize("action", ["insert", "upsert"])
def test_duplicate_ids_are_resolved_and_said(client: httpx.Client, action: str) -> None:
    body = b'{"id":"a","values":[1,1]}\n{"id":"a","values":[2,2]}'
    answer = client.post(f"{INDEX}/{action}", content=body).json()
    kept, values = ("last", [2.0, 2.0]) if action == "upsert" else ("first", [1.0, 1.0])
    assert answer["messages"][0]["message"] == f"1 of 2 rows share an id; the {kept} of each was kept"
    assert client.post(f"{INDEX}/get_by_ids", json={"ids": ["a"]}).json()["result"][0]["values"] == values
    client.post(f"{INDEX}/delete_by_ids", json={"ids": ["a"]})


QUERIES: list[tuple[dict[str, Any], int, str]] = [
    ({"topK": 0}, 40025, "top K is 1 to 100, but got 0"),
    ({"topK": -1}, 40025, "top K is 1 to 100, but got -1"),
    ({"topK": 101}, 40025, "top K is 1 to 100, but got 101"),
    (
        {"topK": 100, "returnMetadata": "all"},
        40025,
        "with returnValues=true or returnMetadata=all, max top K is 50, but got 100; "
        "for a top K up to 100, retry with returnValues=false and returnMetadata=indexed",
    ),
    ({"topK": 51, "returnValues": True}, 40025, "max top K is 50, but got 51"),
    ({"topK": "five"}, 40026, "topK"),
    ({"returnMetadata": False}, 40026, "Failed to parse the request body as JSON: returnMetadata"),
    ({"vector": [1]}, 40006, "invalid query vector, expected 2 dimensions, and got 1 dimensions"),
    ({"vector": []}, 40006, "invalid query vector, expected 2 dimensions, and got 0 dimensions"),
    ({"vector": [1, True]}, 40026, "vector.1"),
    ({"vector": [1, "2"]}, 40026, "vector.1"),
    ({"vector": [1, 1e39]}, 40026, "float32"),
    ({"vectorId": "a"}, 40026, "exactly one of vector and vectorId"),
    ({"filter": {}}, 40026, "at least one property"),
    ({"filter": {"p": "x" * 2040}}, 40026, "2,048"),
    ({"filter": {"p": {"$like": 1}}}, 40026, "unknown operator `$like`"),
    ({"filter": {"$or": []}}, 40026, "`$or`"),
    ({"filter": {"p": {"$in": 1}}}, 40026, "takes an array"),
]


@pytest.mark.parametrize(("asked", "code", "message"), QUERIES)
def test_a_bad_query_is_refused(client: httpx.Client, asked: dict[str, Any], code: int, message: str) -> None:
    error = error_of(client.post(f"{INDEX}/query", json={"vector": [1, 2], **asked}), 400, code)
    assert message in error["message"]


def test_a_filter_is_allowed_2047_bytes(client: httpx.Client) -> None:
    wanted = {"p": "x" * (2047 - len('{"p":""}'))}
    assert client.post(f"{INDEX}/query", json={"vector": [1, 2], "filter": wanted}).status_code == 200


def test_a_cursor_of_another_index(client: httpx.Client) -> None:
    first = client.get(f"{V2}/other/list", params={"count": 1}).json()["result"]
    error = error_of(client.get(f"{INDEX}/list", params={"cursor": first["nextCursor"]}), 400, None)
    assert (error["edge"]["code"], "another index" in error["message"]) == ("invalid_cursor", True)
    for params in ({"cursor": "x"}, {"count": "0"}, {"count": "1001"}, {"count": "ten"}, {"count": "1.5"}):
        error_of(client.get(f"{V2}/other/list", params=params), 400, None)


def test_metadata_indexes_of_bad_types(client: httpx.Client) -> None:
    for body in ({"propertyName": "p", "indexType": "date"}, {"propertyName": 5, "indexType": "string"}, {}, []):
        error_of(client.post(f"{INDEX}/metadata_index/create", json=body), 400, 40026)
    error_of(client.post(f"{INDEX}/metadata_index/delete", json={"propertyName": "none"}), 404, 40005)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b"\xff\xfe{\x00}\x00"])
def test_a_body_that_is_no_request(client: httpx.Client, body: bytes) -> None:
    for path in ("query", "get_by_ids", "delete_by_ids", "metadata_index/create"):
        error = error_of(client.post(f"{INDEX}/{path}", content=body), 400, 40026)
        assert error["message"].startswith("Failed to parse the request body as JSON: ")


def test_a_request_that_is_too_large(client: httpx.Client) -> None:
    error = error_of(client.post(f"{INDEX}/query", content=b"[" * 9_000_000), 413, None)
    assert "8,388,608 bytes" in error["message"]
