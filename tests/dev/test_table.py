"""The table of bindings."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edgecli.ai.engines.hardware import cuda_device_name
from edgecli.config import load_project
from edgecli.dev.table import Row, drawn, rows
from edgecli.runtime import Runtime

CONFIG = """
name = "trial"
main = "worker.py"
compatibility_flags = ["python_workers"]
[ai]
binding = "AI"
[[vectorize]]
binding = "VECTORS"
index_name = "docs"
[[vectorize]]
binding = "MISSING"
index_name = "nothing"
[[kv_namespaces]]
binding = "KV"
id = "one"
[[d1_databases]]
binding = "DB"
database_name = "orders"
database_id = "0123"
[[d1_databases]]
binding = "OTHER"
database_id = "4567"
[browser]
binding = "BROWSER"
[[durable_objects.bindings]]
name = "ROOM"
class_name = "Room"
[vars]
GREETING = "hi"
LONG = "0123456789abcdefghij"
TABLE = { a = 1 }
[edgecli.models."@cf/meta/llama-3.1-8b-instruct"]
use = "@edge/smollm2-135m-instruct"
"""


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Row]:
    """The table of a project on a machine without models."""
    monkeypatch.setenv("EDGECLI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    cuda_device_name.cache_clear()
    (tmp_path / "wrangler.toml").write_text(CONFIG + "[edgecli.generation]\ngpu_layers = 0\n", encoding="utf-8")
    (tmp_path / ".dev.vars").write_text("API_KEY=s3cret\n", encoding="utf-8")
    runtime = Runtime(load_project(cwd=tmp_path))

    async def made() -> list[Row]:
        try:
            await runtime.vectorize.create("docs", 2, "cosine")
            await runtime.vectorize.upsert("docs", [{"id": "1", "values": [1, 2]}])
            return await rows(runtime.project, runtime)
        finally:
            await runtime.close()

    return asyncio.run(made())


def test_what_it_says(table: list[Row]) -> None:
    assert [(row.name, row.resource, row.where) for row in table] == [
        (
            "env.AI",
            "AI",
            [
                "@edge/all-minilm-l6-v2, embedding on cpu, not pulled",
                "@cf/meta/llama-3.1-8b-instruct",
                "  → @edge/smollm2-135m-instruct, llama_cpp on cpu, not pulled",
            ],
        ),
        ("env.VECTORS (docs)", "Vectorize Index", ["2 dimensions, cosine, 1 vector"]),
        ("env.MISSING (nothing)", "Vectorize Index", ["not created"]),
        ("env.KV (one)", "KV Namespace", ["local"]),
        ("env.DB (orders)", "D1 Database", ["local"]),
        ("env.OTHER (4567)", "D1 Database", ["local"]),
        ("env.BROWSER", "Browser Run", ["not available"]),
        ("env.ROOM", "Durable Object", ["not available"]),
        ('env.GREETING ("hi")', "Environment Variable", ["local"]),
        ('env.LONG ("0123456789ab…)', "Environment Variable", ["local"]),
        ('env.TABLE ({"a": 1})', "Environment Variable", ["local"]),
        ("env.API_KEY (hidden)", "Secret", ["local"]),
    ]


def test_what_is_missing_has_its_command(table: list[Row]) -> None:
    missing = [row.missing for row in table if row.missing]
    assert "`edgecli models pull @edge/all-minilm-l6-v2 @edge/smollm2-135m-instruct`" in missing[0]
    assert "`edgecli vectorize create nothing --dimensions 384 --metric cosine`" in missing[1]
    assert "BROWSER" in missing[2]
    assert "`env.ROOM` (Durable Object)" in missing[3]


@pytest.mark.parametrize("width", [200, 100, 80, 60, 40, 20])
def test_it_fits(table: list[Row], width: int) -> None:
    lines = list(drawn(table, width))
    assert max(len(line) for line in lines) <= max(width, 30)
    assert lines[0].startswith("Binding") is (width >= 60)
    assert "s3cret" not in "".join(lines)


def test_what_has_no_room_beside_a_row_goes_below_it() -> None:
    model = "@cf/meta/llama-3.3-70b-instruct-fp8-fast"
    table = [
        Row("env.AI", "AI", [model, "  → @edge/smollm2-135m-instruct, llama_cpp"]),
        Row("env.JOBS (0123456789abcdef)", "KV Namespace", ["local"]),
    ]
    assert list(drawn(table, 80)) == [
        "Binding                      Resource",
        "env.AI                       AI",
        f"  {model}",
        "    → @edge/smollm2-135m-instruct, llama_cpp",
        "env.JOBS (0123456789abcdef)  KV Namespace",
    ]
    assert f"AI            {model}" in list(drawn(table, 100))[1]
    assert list(drawn(table, 30))[-3:] == ["env.JOBS (0123456789abcdef)", "  KV Namespace", "  local"]


def test_columns_stand_below_each_other_in_chinese_too() -> None:
    lines = list(drawn([Row("env.甲 (退款)", "AI", ["local"]), Row("env.B", "AI", ["local"])], 80))
    assert lines == [
        "Binding        Resource  Where",
        "env.甲 (退款)  AI        local",
        "env.B          AI        local",
    ]
