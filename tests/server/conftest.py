"""A real server in a process of its own, with a small index."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

INDEX = "help"
DOCUMENTS = {
    "refunds.md": "# Refunds\n\nYou can ask for a refund within 30 days of the purchase.\n",
    "退款.md": "# 退款\n\n购买后三十天内可以申请退款。\n",
}
GENERATE = "/client/v4/accounts/any/ai/run/@edge/smollm2-135m-instruct"
EMBED = "/client/v4/accounts/any/ai/run/@edge/all-minilm-l6-v2"


class Server:
    """`edgecli serve` on a free port, in `root`."""

    def __init__(self, root: Path, home: Path, *options: str) -> None:
        self.root = root
        self.environment = os.environ | {"EDGECLI_HOME": str(home), "NO_COLOR": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edgecli", "serve", "--port", "0", "--json", *options],
            cwd=root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"no ready line: {self.process.communicate()[1]}")
        self.ready: dict[str, Any] = json.loads(line)

    @property
    def file(self) -> Path:
        return self.root / ".edgecli" / "server.json"

    @property
    def token(self) -> str:
        return json.loads(self.file.read_text(encoding="utf-8"))["token"]

    def http(self, **headers: str) -> httpx.Client:
        """Return a plain client; without headers it is a stranger."""
        return httpx.Client(base_url=self.ready["address"], headers=headers, timeout=120)

    def own(self) -> httpx.Client:
        """Return a client that knows the local token."""
        return self.http(authorization=f"Bearer {self.token}")

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the same project."""
        return subprocess.run(
            [sys.executable, "-m", "edgecli", *arguments],
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def end(self, number: int | None = None) -> tuple[int, str]:
        """Send a signal, SIGTERM if none is named, and return the exit code and what stderr got."""
        if self.process.poll() is None:
            if number is None:
                self.process.terminate()
            else:
                self.process.send_signal(number)
        _, complaints = self.process.communicate(timeout=60)
        return self.process.returncode, complaints


def start_project(root: Path) -> Path:
    """Write a project with documents."""
    (root / "docs").mkdir()
    (root / "wrangler.toml").write_text('name = "test"\n', encoding="utf-8")
    for name, text in DOCUMENTS.items():
        (root / "docs" / name).write_text(text, encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, edgecli_home: Path) -> Iterator[Server]:
    """A running server whose index holds the documents; tests leave it as it is."""
    server = Server(start_project(tmp_path_factory.mktemp("server")), edgecli_home)
    try:
        created = server.command("vectorize", "create", INDEX, "--dimensions=384", "--metric=cosine")
        assert created.returncode == 0, created.stderr
        ingested = server.command("ingest", "docs", "--index", INDEX)
        assert ingested.returncode == 0, ingested.stderr
        yield server
    finally:
        server.end()


@pytest.fixture
def other_project(tmp_path: Path) -> Path:
    """An own project, for tests that start and end servers."""
    return start_project(tmp_path)
