"""Cloudflare's own Python SDK, with and without asyncio, drives every route over a real socket."""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from pathlib import Path
from typing import Any

import cloudflare
import pytest

from tests.vectorize.serving import serve

ROWS = [
    {"id": "甲", "values": [3, 4], "namespace": "x", "metadata": {"n": 1, "lang": "中文"}},
    {"id": "b", "values": [4, -3], "metadata": {"n": 2}},
    {"id": "c", "values": [1, 0]},
]
LINES = "\n".join(json.dumps(row) for row in ROWS).encode()
ANY: dict[str, Any] = {"account_id": "any"}


class Sdk:
    """The SDK's resource `vectorize.indexes`; `go` waits for what is to be awaited."""

    def __init__(self, kind: str, address: str) -> None:
        self._loop = asyncio.new_event_loop()
        client = cloudflare.Cloudflare if kind == "sync" else cloudflare.AsyncCloudflare
        self.client = client(api_token="any", base_url=f"{address}/client/v4", max_retries=0)
        self.indexes: Any = self.client.vectorize.indexes

    def go(self, result: Any) -> Any:
        async def wait() -> Any:
            return await result

        return self._loop.run_until_complete(wait()) if inspect.isawaitable(result) else result

    def close(self) -> None:
        self.go(self.client.close())
        self._loop.close()


@pytest.mark.filterwarnings("ignore:Passing raw bytes:DeprecationWarning")
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_cloudflares_sdk_takes_us_for_cloudflare(tmp_path: Path, kind: str) -> None:
    with serve(tmp_path) as (address, _):
        sdk = Sdk(kind, address)
        try:
            _every_route(sdk)
        finally:
            sdk.close()


def _every_route(sdk: Sdk) -> None:
    go, indexes, properties = sdk.go, sdk.indexes, sdk.indexes.metadata_index
    config = {"dimensions": 2, "metric": "cosine"}
    made = go(indexes.create(**ANY, name="docs-index", config=config, description="d"))
    assert (made.name, made.config.dimensions, made.description) == ("docs-index", 2, "d")
    preset = go(indexes.create(**ANY, name="preset", config={"preset": "@cf/baai/bge-small-en-v1.5"}))
    assert (preset.config.dimensions, preset.config.metric) == (384, "cosine")
    assert [index.name for index in go(indexes.list(**ANY)).result] == ["docs-index", "preset"]
    assert go(indexes.get("docs-index", **ANY)).created_on == made.created_on

    for name, kind in (("n", "number"), ("lang", "string"), ("n", "number")):
        receipt = go(properties.create("docs-index", **ANY, property_name=name, index_type=kind))
        assert go(indexes.info("docs-index", **ANY)).processed_up_to_mutation == receipt.mutation_id
    listed = go(properties.list("docs-index", **ANY)).metadata_indexes
    assert [(index.property_name, index.index_type) for index in listed] == [("n", "number"), ("lang", "string")]

    receipt = go(indexes.upsert("docs-index", **ANY, body=LINES, unparsable_behavior="error"))
    info = go(indexes.info("docs-index", **ANY))
    assert (info.vector_count, info.dimensions, info.processed_up_to_mutation) == (3, 2, receipt.mutation_id)
    assert info.processed_up_to_datetime is not None

    asked: dict[str, Any] = {"vector": [3, 4], "top_k": 2, "return_metadata": "all", "return_values": True}
    found = go(indexes.query("docs-index", **ANY, **asked, filter={"n": {"$lt": 2}}))
    (match,) = found.matches
    assert found.count == 1
    assert (match.id, match.score, match.values, match.namespace) == ("甲", 1.0, [3.0, 4.0], "x")
    assert match.metadata == {"n": 1, "lang": "中文"}

    first = go(indexes.list_vectors("docs-index", **ANY, count=2))
    assert ([vector.id for vector in first.vectors], first.count, first.total_count) == (["甲", "b"], 2, 3)
    assert first.is_truncated and 3500 < first.cursor_expiration_timestamp.timestamp() - time.time() <= 3600
    second = go(indexes.list_vectors("docs-index", **ANY, count=2, cursor=first.next_cursor))
    assert ([vector.id for vector in second.vectors], second.is_truncated, second.next_cursor) == (["c"], False, None)

    got = go(indexes.get_by_ids("docs-index", **ANY, ids=["c", "no"]))
    assert got == [{"id": "c", "values": [1.0, 0.0]}]
    receipt = go(indexes.delete_by_ids("docs-index", **ANY, ids=["c", "no"]))
    assert go(indexes.info("docs-index", **ANY)).processed_up_to_mutation == receipt.mutation_id
    assert go(indexes.insert("docs-index", **ANY, body=LINES + b"\n{", unparsable_behavior="discard")).mutation_id
    assert go(indexes.info("docs-index", **ANY)).vector_count == 3

    go(properties.delete("docs-index", **ANY, property_name="n"))
    assert [index.property_name for index in go(properties.list("docs-index", **ANY)).metadata_indexes] == ["lang"]
    with pytest.raises(cloudflare.NotFoundError) as missing:
        go(properties.delete("docs-index", **ANY, property_name="n"))
    assert missing.value.errors[0].code == 40005
    go(indexes.delete("docs-index", **ANY))
    with pytest.raises(cloudflare.NotFoundError) as caught:
        go(indexes.get("docs-index", **ANY))
    assert caught.value.errors[0].code == 3000
