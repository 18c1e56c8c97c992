"""A project whose server is the far side of `far_side.py`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgecli import __version__
from tests.chat.far_side import FarSide
from tests.chat.terminal import Terminal


@pytest.fixture
def far_side() -> Iterator[FarSide]:
    """A server that runs as long as the test."""
    side = FarSide()
    server = side.start()
    yield side
    server.shutdown()
    server.server_close()


@pytest.fixture
def talk(tmp_path: Path, far_side: FarSide, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that says the far side is its running server, as the current directory."""
    root = tmp_path / "talk"
    (root / ".edgecli").mkdir(parents=True)
    (root / "wrangler.toml").write_text(
        'name = "talk"\n[[vectorize]]\nbinding = "DOCS"\nindex_name = "handbook"\n'
        '[edgecli]\ngeneration_model = "@edge/talker"\n',
        encoding="utf-8",
    )
    server = {
        "address": f"http://127.0.0.1:{far_side.port}",
        "pid": os.getpid(),
        "token": "secret",
        "version": __version__,
        "env": None,
        "config": str((root / "wrangler.toml").resolve()),
    }
    (root / ".edgecli" / "server.json").write_text(json.dumps(server), encoding="utf-8")
    monkeypatch.setenv("EDGECLI_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def terminal(talk: Path) -> Iterator[Terminal]:
    """A terminal in the project, with no chat in it yet."""
    del talk
    terminal = Terminal()
    yield terminal
    terminal.close()
