"""edgecli's own routes for the care of indexes, on the whole app."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from edgecli import config
from edgecli.runtime import Runtime
from edgecli.server.api import create_app

INDEXES = "/client/v4/accounts/local/vectorize/v2/indexes"
CARE = "/edge/vectorize/indexes/docs-index"
VALUES = np.random.default_rng(8).standard_normal((600, 3)).astype(np.float32)


@pytest.mark.slow
def test_an_index_is_exported_verified_and_compacted(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"id": f"v{number}", "values": [float(one) for one in values], "metadata": {"文": [number, {"b": None}]}}
        for number, values in enumerate(VALUES)
    ]
    rows[1]["namespace"] = "空间"
    del rows[2]["metadata"]

    async def work(http: httpx.AsyncClient) -> None:
        wanted = {"dimensions": 3, "metric": "cosine"}
        await http.post(INDEXES, json={"name": "docs-index", "description": "d", "config": wanted})
        await http.post(f"{INDEXES}/docs-index/upsert", json={"vectors": rows})
        async with http.stream("GET", f"{CARE}/export") as answer:
            assert answer.status_code == 200, await answer.aread()
            assert answer.headers["content-type"] == "application/x-ndjson"
            text = (await answer.aread()).decode()
        header, *found = [json.loads(line) for line in text.splitlines()]
        facts = {"name": "docs-index", "description": "d", "config": wanted, "metadataIndexes": [], "vectorCount": 600}
        assert header == {"index": facts}
        for row, expected in zip(found, rows, strict=True):
            assert np.float32(row.pop("values")).tobytes() == np.float32(expected.pop("values")).tobytes()
        assert found == rows
        # The shortest decimals of float32, not the longer ones of the doubles that they became.
        assert len(text) < 600 * 100
        answer = (await http.post("/edge/vectorize/verify", json={"index": None, "repair": True})).json()
        assert answer["result"] == {"ok": True, "indexes": [{"name": "docs-index", "vectors": 600, "problems": []}]}
        answer = (await http.post(f"{CARE}/compact")).json()
        assert list(answer["result"]) == ["vectors", "bytesBefore", "bytesAfter"]
        answer = (await http.post(f"{CARE}/migrate", json={"to": "server"})).json()
        assert answer["errors"][0]["edge"]["code"] == "no_chroma_server"
        for method, path in (("GET", "export"), ("POST", "compact")):
            answer = await http.request(method, f"/edge/vectorize/indexes/nobody/{path}")
            assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, 3000)
        answer = await http.post("/edge/vectorize/verify", json={"index": "nobody"})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, 3000)
        answer = await http.post(f"{CARE}/migrate", json={"to": "moon"})
        assert answer.status_code == 400

    async def run() -> None:
        (tmp_path / "wrangler.toml").write_text('name = "test"\n', encoding="utf-8")
        runtime = Runtime(config.load_project(cwd=tmp_path, config=None, env=None))
        transport = httpx.ASGITransport(create_app(runtime))
        headers = {"Authorization": f"Bearer {runtime.token}"}
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as http:
                await work(http)
        finally:
            await runtime.close()

    asyncio.run(run())
