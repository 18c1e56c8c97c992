"""Inserts and upserts as clients send them: four encodings, gzip, and bodies that are too much."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson
import pytest

from edgecli.vectorize.batches import BatchBuilder
from edgecli.vectorize.vector_lines import VectorLines
from tests.vectorize.serving import V2, serve

ROWS = [
    {"id": "甲", "values": [3, 4], "namespace": "x", "metadata": {"n": 1}},
    {"id": "b", "values": [4, -3]},
]
LINES = "\n".join(json.dumps(row) for row in ROWS).encode()
UPSERT = f"{V2}/taken/upsert"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with (
        serve(tmp_path_factory.mktemp("uploads")) as (address, _),
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        client.post(V2, json={"name": "taken", "config": {"dimensions": 2, "metric": "cosine"}}).raise_for_status()
        yield client


def typed(kind: str) -> dict[str, str]:
    return {"content-type": kind}


BODIES: list[dict[str, Any]] = [
    {"files": {"vectors": ("vectors.ndjson", LINES, "application/x-ndjson")}},
    {"content": LINES, "headers": typed("application/x-ndjson")},
    {"content": LINES, "headers": typed("application/json; charset=utf-8;")},
    {"json": {"vectors": ROWS}},
    {"content": json.dumps({"vectors": ROWS}), "headers": typed("application/json; charset=utf-8;")},
    {"content": gzip.compress(LINES), "headers": {"content-encoding": "gzip"}},
    {"content": gzip.compress(LINES[:9]) + gzip.compress(LINES[9:]), "headers": {"content-encoding": "gzip"}},
]


@pytest.mark.parametrize("action", ["insert", "upsert"])
@pytest.mark.parametrize("body", BODIES)
def test_vectors_are_taken_in_each_encoding(client: httpx.Client, action: str, body: dict[str, Any]) -> None:
    answer = client.post(f"{V2}/taken/{action}", **body).json()
    assert list(answer["result"]) == ["mutationId"], answer
    assert answer["messages"] == []
    kept = client.post(f"{V2}/taken/get_by_ids", json={"ids": ["甲", "b"]}).json()["result"]
    assert kept == ROWS
    assert client.post(f"{V2}/taken/delete_by_ids", json={"ids": ["甲", "b"]}).json()["success"]


BLANK = (b" " * 1_000_000 + b"\n") * 105


def bomb() -> bytes:
    zeros = b"0" * 10_000_000
    return b"".join(gzip.compress(zeros) for _ in range(30))


def cut(content: bytes) -> bytes:
    return content[:-9]


BAD: list[tuple[str, dict[str, Any], int, str]] = [
    (
        "a gzip bomb",
        {"content": bomb(), "headers": {"content-encoding": "gzip"}},
        400,
        "line 1 is longer than 4,194,304",
    ),
    (
        "a gzip bomb of lines",
        {"content": gzip.compress(BLANK), "headers": {"content-encoding": "gzip"}},
        413,
        "larger than 104,857,600 bytes",
    ),
    ("no gzip", {"content": LINES, "headers": {"content-encoding": "gzip"}}, 400, "no gzip"),
    (
        "cut gzip",
        {"content": cut(gzip.compress(LINES)), "headers": {"content-encoding": "gzip"}},
        400,
        "ends too early",
    ),
    ("brotli", {"content": LINES, "headers": {"content-encoding": "br"}}, 415, "content encoding `br`"),
    ("a line of 100 MB", {"content": b'{"id":"a","values":[' + b"1," * 52_000_000}, 400, "line 1 is longer"),
    ("a long line in a form", {"files": {"vectors": ("v", b"1" * 6_000_000, "x/y")}}, 400, "line 1 is longer"),
    ("more than 100 MB", {"content": BLANK}, 413, "larger than 104,857,600 bytes"),
    ("only newlines", {"content": b"\n" * 3_000_000}, 400, "more than 100,000 lines"),
    ("GBK by name", {"content": LINES, "headers": typed("application/json; charset=gbk")}, 400, "the body is gbk"),
    ("UTF-16", {"content": LINES.decode().encode("utf-16")}, 400, "UTF-16"),
    ("an unfinished line", {"content": LINES[:-1]}, 400, "the last line, 2, is unfinished"),
    (
        "an unfinished form",
        {"content": b"--e\r\n", "headers": typed("multipart/form-data; boundary=e")},
        400,
        "ends before",
    ),
    ("a broken line", {"content": LINES + b"\nbroken\n"}, 400, "line 3 is no JSON"),
    ("NaN", {"content": b'{"id":"a","values":[NaN,1]}'}, 400, "line 1 holds NaN"),
    ("more than 5,000 rows", {"content": (LINES + b"\n") * 2501}, 400, "more than 5000 vectors in one request"),
    ("a wrong option", {"content": LINES, "params": {"unparsable-behavior": "skip"}}, 400, "error or discard"),
]


@pytest.mark.parametrize(("body", "status", "message"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_body_that_is_too_much_or_unreadable(
    client: httpx.Client, body: dict[str, Any], status: int, message: str
) -> None:
    answer = client.post(UPSERT, **body)
    error = answer.json()["errors"][0]
    assert (answer.status_code, error["code"]) == (status, 40023), error
    assert message in error["message"]
    assert client.get(f"{V2}/taken/info").json()["result"]["vectorCount"] == 0


def test_what_was_left_out_is_said(client: httpx.Client) -> None:
    body = LINES + b"\nbroken\n" + LINES
    answer = client.post(UPSERT, content=body, params={"unparsable-behavior": "discard"}).json()
    assert [message["message"] for message in answer["messages"]] == [
        "2 of 4 rows share an id; the last of each was kept",
        "1 unparsable lines were left out: 3",
    ]
    assert client.get(f"{V2}/taken/info").json()["result"]["vectorCount"] == 2
    # An object is no unparsable line: what is wrong with it is an error still.
    wrong = client.post(UPSERT, content=b'{"id": "c"}', params={"unparsable-behavior": "discard"})
    assert wrong.status_code == 400
    client.post(f"{V2}/taken/delete_by_ids", json={"ids": ["甲", "b"]})


def test_an_unknown_index_is_not_found_before_its_vectors_are_read(client: httpx.Client) -> None:
    answer = client.post(f"{V2}/none/upsert", content=b"broken")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, 3000)


@pytest.mark.parametrize("shape", ["lines", "array"])
def test_an_upload_needs_little_more_memory_than_its_float32(shape: str) -> None:
    """500 x 1,536 floats are 3 MB; as Python's numbers they would be 25 MB more."""
    rows = np.random.default_rng(1).standard_normal((500, 1536)).astype(np.float32)
    lines = [orjson.dumps({"id": str(number), "values": row.tolist()}) for number, row in enumerate(rows)]
    body = b"\n".join(lines) if shape == "lines" else b'{"vectors":[' + b",".join(lines) + b"]}"
    tracemalloc.start()
    try:
        builder = BatchBuilder(1536, most=5000)
        reader = VectorLines(builder)
        for start in range(0, len(body), 65536):
            reader.feed(body[start : start + 65536])
        reader.close()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.array_equal(builder.batch().values, rows)
    assert peak < 2 * rows.nbytes


@pytest.mark.slow
def test_many_requests_need_no_more_memory_than_one(tmp_path: Path) -> None:
    """What a file of a million lines is sent as: requests of 5,000 lines, one after the other."""
    width, peaks = 32, list[int]()
    values = np.random.default_rng(1).standard_normal((5000, width)).astype(np.float32).tolist()
    with serve(tmp_path) as (address, _), httpx.Client(base_url=address, timeout=300) as client:
        client.post(V2, json={"name": "many", "config": {"dimensions": width, "metric": "cosine"}}).raise_for_status()
        tracemalloc.start()
        try:
            for request in range(5):
                ids = range(5000 * request, 5000 * (request + 1))
                body = b"\n".join(
                    orjson.dumps({"id": str(n), "values": row}) for n, row in zip(ids, values, strict=True)
                )
                tracemalloc.reset_peak()
                client.post(f"{V2}/many/upsert", content=body).raise_for_status()
                peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    # A body is 3.3 MB, and here the client's is counted too; what stays in memory of each vector is small change.
    assert max(peaks) < 12_000_000, peaks
