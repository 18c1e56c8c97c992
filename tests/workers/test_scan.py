from __future__ import annotations

from pathlib import Path

import pytest

from edgecli.workers.scan import Scan, scan

PYTHON = """
import json, numpy
import helpers.text
from typing import TYPE_CHECKING
from page import PAGE
from .beside import x
from .missing import y
from workers import Response, env

if TYPE_CHECKING:
    from env_types import Env
try:
    import orjson
except ImportError:
    orjson = None

MODEL = "@cf/meta/llama-3.2-1b-instruct"  # not "@cf/in/a-comment"


class Default:
    async def fetch(self, request):
        e = self.env
        await self.env.AI.run(MODEL, {})
        await e.VECTORS.query([1], topK=1)
        token = getattr(self.env, "TOKEN", None) or getattr(env, "KEY")
        env.GLOBAL
        request.scope["env"].FROM_SCOPE
        jinja.env.filters
        os.environ["X"]
        return self.env["SUBSCRIPT"]


async def on_fetch(request, env, ctx):
    return env.OLD
"""

JAVASCRIPT = """
import { Hono } from "hono";
import type { Gone } from "types-only";
import "./side-effect";
import { a } from './lib/a.js';
import gone from "./gone";
export * from "@scope/pkg/part";
export default "not-an-import";
const late = await import("late-pkg");
import { EventEmitter } from "node:events";
// env.COMMENT  import x from "comment"
/* env.COMMENT */
const url = "http://example.com"; // a string, then a comment: env.COMMENT
app.get("/", async (c) => c.env.AI.run("@cf/baai/bge-m3", {}));
export const x = { async fetch(request, env, ctx) { const { KV, DB: db, OPTIONAL = 1 } = env; return env.VECTORS
  .query([1]) } };
process.env.NODE; import.meta.env.VITE; env["QUOTED"]; my.env.NO; environment.NO;
"""


def project(tmp_path: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path.resolve()


def env_of(found: Scan) -> dict[str, tuple[str, bool]]:
    return {each.name: (each.detail, each.optional) for each in found.env}


def test_python_is_read_with_its_own_modules(tmp_path: Path) -> None:
    root = project(
        tmp_path,
        {
            "src/worker.py": PYTHON,
            "src/page.py": "import pandas\n",
            "src/beside.py": "import page\nx = 1\n",
            "src/helpers/__init__.py": "",
            "src/helpers/text.py": "from helpers import missing_name\n",
        },
    )
    found = scan(root / "src" / "worker.py", root)
    assert {path.relative_to(root / "src").as_posix() for path in found.modules} == {
        "worker.py",
        "page.py",
        "beside.py",
        "helpers/__init__.py",
        "helpers/text.py",
    }
    assert {each.name for each in found.imports if not each.optional} == {
        "json",
        "numpy",
        "pandas",
        "typing",
        "workers",
    }
    assert {each.name for each in found.imports if each.optional} == {"orjson"}
    assert [(each.name, each.line) for each in found.faults] == [(".missing", 7)]
    assert env_of(found) == {
        "AI": ("run", False),
        "VECTORS": ("query", False),
        "TOKEN": ("", True),
        "KEY": ("", False),
        "GLOBAL": ("", False),
        "FROM_SCOPE": ("", False),
        "SUBSCRIPT": ("", False),
        "OLD": ("", False),
    }
    assert [each.name for each in found.models] == ["@cf/meta/llama-3.2-1b-instruct"]


@pytest.mark.parametrize(("text", "line"), [("x = 1\ndef f(:\n", 2), ("x = '\0'", 1), ("(" * 100_000, 1)])
def test_a_syntax_error_has_its_line(tmp_path: Path, text: str, line: int) -> None:
    root = project(tmp_path, {"worker.py": text})
    found = scan(root / "worker.py", root)
    assert [each.line for each in found.faults] == [line]
    assert "syntax error" in found.faults[0].detail


def test_javascript_is_read_with_its_own_modules(tmp_path: Path) -> None:
    root = project(
        tmp_path,
        {"src/index.ts": JAVASCRIPT, "src/side-effect.ts": "import 'other'", "src/lib/a.ts": "export const a = 1"},
    )
    found = scan(root / "src" / "index.ts", root)
    assert [path.relative_to(root / "src").as_posix() for path in found.modules] == [
        "index.ts",
        "side-effect.ts",
        "lib/a.ts",
    ]
    assert {each.name for each in found.imports} == {"hono", "@scope/pkg/part", "late-pkg", "node:events", "other"}
    assert [(each.name, each.line) for each in found.faults] == [("./gone", 6)]
    assert env_of(found) == {
        "AI": ("run", False),
        "VECTORS": ("query", False),
        "KV": ("", False),
        "DB": ("", False),
        "OPTIONAL": ("", True),
        "QUOTED": ("", False),
    }
    assert [each.name for each in found.models] == ["@cf/baai/bge-m3"]
