"""The end of the services."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edgecli.config import load_project
from edgecli.d1.database import Query
from edgecli.runtime import Runtime


class Unwilling:
    async def close(self) -> None:
        raise RuntimeError("an engine that does not end")


def test_the_state_is_given_back_even_if_an_engine_does_not_end(tmp_path: Path) -> None:
    (tmp_path / "wrangler.toml").write_text('name = "test"\n', encoding="utf-8")
    runtime = Runtime(load_project(cwd=tmp_path, config=None, env=None))
    owner = runtime.state.paths.owner
    runtime.__dict__["ai"] = Unwilling()
    assert owner.exists()
    with pytest.raises(RuntimeError, match="does not end"):
        asyncio.run(runtime.close())
    assert not owner.exists()


def test_the_stores_of_workers_are_closed_with_the_state(tmp_path: Path) -> None:
    (tmp_path / "wrangler.toml").write_text('name = "test"\n', encoding="utf-8")
    runtime = Runtime(load_project(cwd=tmp_path, config=None, env=None))

    async def use() -> None:
        await runtime.kv.put("n", "a", b"1")
        await runtime.r2.open_bucket("b").delete(["a"])
        await runtime.d1.database("d").run([Query("CREATE TABLE t (a)")])
        logs = {path.name for path in (tmp_path / ".edgecli").rglob("*-wal")}
        assert logs == {"kv.db-wal", "r2.db-wal", "d.sqlite-wal"}
        await runtime.close()

    asyncio.run(use())
    assert list((tmp_path / ".edgecli").rglob("*-wal")) == []
