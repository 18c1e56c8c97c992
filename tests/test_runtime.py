"""The end of the services."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edgecli.config import load_project
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
