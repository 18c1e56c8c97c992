"""The REST paths with raw requests, on the whole app in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from edgecli import config
from edgecli.runtime import Runtime
from edgecli.server.api import create_app

INDEXES = "/client/v4/accounts/local/vectorize/v2/indexes"


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


def test_the_legacy_paths_answer_as_v1_did(tmp_path: Path) -> None:
    async def work(client: httpx.AsyncClient) -> None:
        indexes = "/client/v4/accounts/any/vectorize/indexes"

        async def result(method: str, path: str, **options: Any) -> Any:
            answer = await client.request(method, indexes + path, **options)
            assert answer.json()["success"], answer.text
            return answer.json()["result"]

        config_ = {"dimensions": 2, "metric": "cosine"}
        made = await result("POST", "", json={"name": "older", "config": config_})
        assert await result("GET", "") == [made]
        assert await result("GET", "/older") == made
        rows = b'{"id":"a","values":[3,4],"metadata":{"n":1}}\n{"id":"b","values":[4,-3]}'
        assert await result("POST", "/older/insert", content=rows[:45]) == {"ids": ["a"], "count": 1}
        assert await result("POST", "/older/insert", content=rows) == {"ids": ["b"], "count": 1}
        assert await result("POST", "/older/upsert", content=rows) == {"ids": ["a", "b"], "count": 2}
        asked = {"vector": [3, 4], "topK": 1, "returnMetadata": True}
        match = {"id": "a", "score": 1.0, "metadata": {"n": 1}}
        assert await result("POST", "/older/query", json=asked) == {"count": 1, "matches": [match]}
        ids = {"ids": ["b", "no"]}
        assert await result("POST", "/older/get-by-ids", json=ids) == [{"id": "b", "values": [4.0, -3.0]}]
        assert await result("POST", "/older/delete-by-ids", json=ids) == {"ids": ["b"], "count": 1}
        await result("DELETE", "/older")

    drive(tmp_path, work)
