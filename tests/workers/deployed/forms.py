"""The forms that wrangler 4.86 was seen to upload."""

from __future__ import annotations

import json
from typing import Any

ESM = "application/javascript+module"
PYTHON = "text/x-python"
Parts = dict[str, tuple[str, bytes | str, str]]

SNAKE = """
from workers import Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response.json({"url": request.url, "a": self.env.A, "secret": getattr(self.env, "SECRET", None)})
"""


def form(modules: dict[str, tuple[str, bytes | str]], **metadata: Any) -> Parts:
    """Return an upload; the first module is the main one."""
    given = {
        "main_module": next(iter(modules), None),
        "bindings": [],
        "compatibility_date": "2026-03-01",
        "compatibility_flags": [],
    } | metadata
    given = {name: value for name, value in given.items() if value is not ...}
    parts: Parts = {"metadata": ("", json.dumps(given), "")}
    return parts | {name: (name, content, kind) for name, (kind, content) in modules.items()}


def snake(a: str = "1", source: str = SNAKE, **metadata: Any) -> Parts:
    """Return a Worker in Python."""
    bindings = metadata.pop("bindings", [{"type": "plain_text", "name": "A", "text": a}])
    return form({"entry.py": (PYTHON, source)}, bindings=bindings, **metadata)


def files(parts: Parts) -> dict[str, Any]:
    """Return the parts as httpx takes them: one without a file's name is a field."""
    return {
        name: (file or None, content, kind) if kind else (None, content)
        for name, (file, content, kind) in parts.items()
    }
