"""The REST paths, driven by Cloudflare's own SDK and by raw requests, on the whole app."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import cloudflare
import httpx
import pytest

from edgecli import config
from edgecli.runtime import Runtime
from edgecli.server.api import create_app

INDEXES = "/client/v4/accounts/local/vectorize/v2/indexes"
ROWS = [
    {"id": "甲", "values": [3, 4], "namespace": "x", "metadata": {"n": 1}},
    {"id": "b", "values": [4, -3]},
]
LINES = "\n".join(json.dumps(row) for row in ROWS)


@asynccontextmanager
async def serving(root: Path) -> AsyncIterator[httpx.AsyncClient]:
    (root / "wrangler.toml").write_text('name = "test"\n', encoding="utf-8")
    runtime = Runtime(config.load_project(cwd=root, config=None, env=None))
    transport = httpx.ASGITransport(create_app(runtime))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client
    finally:
        await runtime.close()


def drive(root: Path, work: Callable[[httpx.AsyncClient], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        async with serving(root) as client:
            await work(client)

    asyncio.run(run())


def test_cloudflares_sdk_takes_us_for_cloudflare(tmp_path: Path) -> None:
    async def work(http: httpx.AsyncClient) -> None:
        sdk = cloudflare.AsyncCloudflare(
            api_token="any", base_url="http://localhost/client/v4", http_client=http, max_retries=0
        )
        indexes = sdk.vectorize.indexes
        made = await indexes.create(
            account_id="any", name="docs-index", config={"dimensions": 2, "metric": "cosine"}, description="d"
        )
        assert made is not None and (made.name, made.config.dimensions) == ("docs-index", 2)
        assert [index.name async for index in indexes.list(account_id="any")] == ["docs-index"]
        receipt = await indexes.upsert("docs-index", account_id="any", body=LINES.encode())
        assert receipt is not None
        info = await indexes.info("docs-index", account_id="any")
        assert info is not None
        assert (info.vector_count, info.processed_up_to_mutation) == (2, receipt.mutation_id)
        found = await indexes.query(
            "docs-index", account_id="any", vector=[3, 4], top_k=1, return_metadata="all", return_values=True
        )
        assert found is not None and found.matches is not None
        (match,) = found.matches
        assert (match.id, match.score, match.values, match.metadata) == ("甲", 1.0, [3.0, 4.0], {"n": 1})
        assert await indexes.get_by_ids("docs-index", account_id="any", ids=["b", "no"]) == [
            {"id": "b", "values": [4.0, -3.0]}
        ]
        await indexes.delete_by_ids("docs-index", account_id="any", ids=["b"])
        assert (await indexes.insert("docs-index", account_id="any", body=LINES.encode())) is not None
        await indexes.delete("docs-index", account_id="any")
        with pytest.raises(cloudflare.NotFoundError) as caught:
            await indexes.get("docs-index", account_id="any")
        assert caught.value.errors[0].code == 3000

    drive(tmp_path, work)


def test_vectors_are_taken_in_each_encoding(tmp_path: Path) -> None:
    async def work(client: httpx.AsyncClient) -> None:
        config_ = {"dimensions": 2, "metric": "cosine"}
        made = await client.post(INDEXES, json={"name": "taken", "config": config_})
        assert (made.status_code, made.json()["success"]) == (201, True)
        path = f"{INDEXES}/taken"
        bodies: list[dict[str, Any]] = [
            {"files": {"vectors": ("vectors.ndjson", LINES.encode(), "application/x-ndjson")}},
            {"content": LINES.encode(), "headers": {"content-type": "application/x-ndjson"}},
            {"content": LINES.encode(), "headers": {"content-type": "application/json"}},
            {"json": {"vectors": ROWS}},
        ]
        for action in ("insert", "upsert"):
            for body in bodies:
                answer = await client.post(f"{path}/{action}", **body)
                assert list(answer.json()["result"]) == ["mutationId"]
                gone = await client.post(f"{path}/delete_by_ids", json={"ids": ["甲", "b"]})
                assert gone.json()["success"]
        broken = f"{LINES}\nbroken".encode()
        refused = await client.post(f"{path}/upsert", content=broken)
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, 40023)
        assert (await client.get(f"{path}/info")).json()["result"]["vectorCount"] == 0
        await client.post(f"{path}/upsert?unparsable-behavior=discard", content=broken)
        assert (await client.get(f"{path}/info")).json()["result"]["vectorCount"] == 2

    drive(tmp_path, work)


def test_faults_have_cloudflares_codes(tmp_path: Path) -> None:
    calls: list[tuple[str, str, dict[str, Any], int, int]] = [
        ("GET", "/none", {}, 404, 3000),
        ("POST", "", {"json": {"name": "kept", "config": {"dimensions": 2, "metric": "cosine"}}}, 400, 3002),
        ("POST", "", {"json": {"name": "new", "config": {"dimensions": 2, "metric": "cosin"}}}, 400, 40026),
        ("POST", "", {"content": b"{"}, 400, 40026),
        ("POST", "/kept/query", {"content": b"{"}, 400, 40026),
        ("POST", "/kept/query", {"json": {"vector": [1, 2], "returnMetadata": False}}, 400, 40026),
        ("POST", "/kept/query", {"json": {"vector": []}}, 400, 40006),
        ("POST", "/kept/query", {"json": {"vector": [1, 2], "topK": 100, "returnValues": True}}, 400, 40025),
        ("POST", "/kept/upsert", {"json": {"vectors": [{"id": "a", "values": [1]}]}}, 400, 40012),
        ("POST", "/kept/upsert", {"json": {"vectors": [{"id": "x" * 65, "values": [1, 2]}]}}, 400, 40008),
        ("POST", "/kept/upsert", {"files": {"vectors": ("v", b"{", "text/plain")}}, 400, 40023),
        ("POST", "/kept/upsert", {"json": {"vectors": [1] * 5001}}, 400, 40023),
        ("POST", "/kept/get_by_ids", {"json": {"ids": "a"}}, 400, 40026),
    ]

    async def work(client: httpx.AsyncClient) -> None:
        await client.post(INDEXES, json={"name": "kept", "config": {"dimensions": 2, "metric": "cosine"}})
        for method, path, body, status, code in calls:
            answer = await client.request(method, INDEXES + path, **body)
            found = answer.json()
            assert (answer.status_code, found["errors"][0]["code"]) == (status, code), (path, found)
            assert (found["success"], found["result"]) == (False, None)

    drive(tmp_path, work)
