"""`edgecli dev` on a terminal: keys to press, a screen to look at."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import httpx
import pexpect

from tests.chat.terminal import Terminal

GOOD = """
from workers import Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        print("said 退款")
        text = self.env.GREETING + " one"
        if request.url.endswith("/page"):
            return Response(f"<h1>{text}</h1>", headers={"content-type": "text/html"})
        return Response(text)
"""
CONFIG = """
name = "trial"
main = "src/worker.py"
compatibility_date = "2026-03-01"
compatibility_flags = ["python_workers"]
[[vectorize]]
binding = "VECTORS"
index_name = "docs"
[vars]
GREETING = "hi"
"""


def start_project(root: Path) -> Path:
    """Write a project with a Worker."""
    (root / "src").mkdir(parents=True)
    (root / "wrangler.toml").write_text(CONFIG, encoding="utf-8")
    (root / ".dev.vars").write_text("API_KEY=s3cret\n", encoding="utf-8")
    (root / "src" / "worker.py").write_text(GOOD, encoding="utf-8")
    return root


class DevTerminal(Terminal):
    """A session on a terminal."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root

    def start(self, *arguments: str, columns: int = 80, lines: int = 50, **environment: str) -> DevTerminal:
        """Start it, and wait until it is ready."""
        self._screen.resize(lines, columns)
        self._process = pexpect.spawn(
            sys.executable,
            ["-m", "edgecli", "dev", "--port", "0", "--no-warm", *arguments],
            cwd=str(self.root),
            # A size that another test has left in the environment would go before that of the terminal.
            env={name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
            | {"TERM": "xterm-256color", "LANG": "C.UTF-8", "NO_COLOR": ""}
            | environment,
            dimensions=(lines, columns),
            timeout=20,
        )
        self.until("Ready on http").until("exit")
        return self

    @property
    def address(self) -> str:
        """Where it says that it answers."""
        found = re.search(r"Ready on (\S+)", self.everything())
        assert found is not None
        return found[1]

    def get(self, path: str = "/", **headers: str) -> httpx.Response:
        """Ask the Worker."""
        return httpx.get(self.address + path, headers=headers, timeout=30)

    def save(self, text: str, name: str = "src/worker.py") -> None:
        """Save a file of the project."""
        (self.root / name).write_text(text, encoding="utf-8")

    def press(self, key: str) -> DevTerminal:
        """Press a key."""
        self.type(key)
        return self
