"""esbuild as edgecli calls it: what wrangler's users may write, and where their mistakes are."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from edgecli.workers.process import Place, WorkerError
from edgecli.workers.spec import Binding
from edgecli.workers.workerd.bundle import Bundle, make_bundle
from edgecli.workers.workerd.install import require
from tests.workers.workerd.serving import place, spec_of, write

pytestmark = pytest.mark.usefixtures("programs")

WASM_42 = bytes.fromhex("0061736d010000000105016000017f0302010007060102613400000a06010400412a0b")


def bundle(root: Path, main: str, out: Path, **more: Any) -> Bundle:
    out.mkdir(exist_ok=True)
    return asyncio.run(make_bundle(spec_of(root, main, **more), require("esbuild").path, out, development=True))


def test_modules_of_every_kind_arrive_in_the_worker(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "src/index.tsx": """
            import wasm from "./数 a.wasm";
            import again from "./数 a.wasm?module";
            import bytes from "./b.bin";
            import text from "./说明.txt";
            import page from "./page.html";
            import sql from "./init.sql";
            import own from "./notes.md";
            import data from "./data.json";
            import { alias } from "@/lib";
            import { createHash } from "crypto";
            import { Buffer } from "node:buffer";
            declare const VERSION: string;
            const h = (tag: string, props: unknown, ...inner: string[]) => `<${tag}>${inner.join("")}</${tag}>`;
            export default {
              async fetch() {
                const { exports } = await WebAssembly.instantiate(wasm);
                return Response.json({
                  wasm: (exports as any).a4(), same: again instanceof WebAssembly.Module,
                  bytes: [...new Uint8Array(bytes as any)], text, page, sql, own, data, alias, VERSION,
                  jsx: <b>粗</b>, mode: process.env.NODE_ENV, agent: navigator.userAgent,
                  hash: createHash("sha256").update("x").digest("hex").slice(0, 8), buffer: Buffer.from("é").length,
                });
              },
            };
        """,
        "src/数 a.wasm": WASM_42,
        "src/b.bin": b"\x00\xff\x01",
        "src/说明.txt": "文\n",
        "src/page.html": "<p>页</p>",
        "src/init.sql": "SELECT 1;",
        "src/notes.md": "# 笔记",
        "src/data.json": '{"a": [1]}',
        "src/lib.ts": "export const alias: string = 'by tsconfig';",
        "tsconfig.json": '{"compilerOptions": {"baseUrl": ".", "paths": {"@/*": ["src/*"]}}}',
    }
    raw = {"rules": [{"type": "Text", "globs": ["**/*.md"]}], "define": {"VERSION": '"1.2"'}, "jsx_factory": "h"}

    async def run() -> None:
        async with place() as here:
            await here.start(
                spec_of(write(tmp_path, files), "src/index.tsx", raw=raw, compatibility_flags=("nodejs_compat",))
            )
            assert (await here.http.get("/")).json() == {
                "wasm": 42,
                "same": True,
                "bytes": [0, 255, 1],
                "text": "文\n",
                "page": "<p>页</p>",
                "sql": "SELECT 1;",
                "own": "# 笔记",
                "data": {"a": [1]},
                "alias": "by tsconfig",
                "VERSION": "1.2",
                "jsx": "<b>粗</b>",
                "mode": "development",
                "agent": "Cloudflare-Workers",
                "hash": "2d711642",
                "buffer": 2,
            }

    asyncio.run(run())


@pytest.mark.parametrize(
    ("source", "says", "where", "hint"),
    [
        ("export default {\n  fetch() { return new Response('a' }\n};\n", r'Expected "\)"', (2, 37), None),
        ("import { x } from 'no-such-package';\nexport default x;\n", "Could not resolve", (1, 19), "npm install"),
        ("import fs from 'fs';\nexport default fs;\n", "Could not resolve", (1, 16), "nodejs_compat"),
        ("import x from './gone';\nexport default x;\n", "Could not resolve", (1, 15), "Check the path"),
    ],
)
def test_a_mistake_is_named_with_its_place(
    tmp_path: Path, source: str, says: str, where: tuple[int, int], hint: str | None
) -> None:
    root = write(tmp_path / "项目 a", {"源 码/主.ts": source})
    with pytest.raises(WorkerError, match=says) as caught:
        bundle(root, "源 码/主.ts", tmp_path / "out")
    assert caught.value.place == Place("源 码/主.ts", *where)
    assert caught.value.code == "worker_start"
    assert (hint or "") in (caught.value.hint or "")
    assert re.search(says, caught.value.trace), "esbuild's own words are for the developer"


def test_a_main_module_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=r"main module `.*gone\.ts` is not there"):
        bundle(tmp_path, "gone.ts", tmp_path / "out")


def test_an_upload_runs_as_it_is(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "upload/index.js": 'import text from "./a-1.md";\nimport { say } from "./lib/say.txt";\n'
        "export default { fetch() { return new Response(say(text)); } };\n",
        "upload/a-1.md": "传",
        "upload/lib/say.txt": "export const say = (text) => `${text}!`;\n",
        "upload/index.js.map": "{}",
        "upload/left/over.js": "broken(",
    }
    esm = "application/javascript+module"
    kinds = {"a-1.md": "text/plain", "index.js": esm, "lib/say.txt": esm, "index.js.map": "application/source-map"}

    async def run() -> None:
        async with place() as here:
            await here.start(spec_of(write(tmp_path, files) / "upload", "index.js", bundled=True, modules=kinds))
            assert (await here.http.get("/")).text == "传!"

    asyncio.run(run())


@pytest.mark.parametrize("date", ["2024-09-23", "2026-11-17"])
def test_a_commonjs_package_may_require_nodes_modules(tmp_path: Path, date: str) -> None:
    files: dict[str, str | bytes] = {
        "src/index.ts": "import { size } from 'legacy';\n"
        "export default { fetch: () => new Response(String(size('é'))) };\n",
        "node_modules/legacy/package.json": '{"name": "legacy", "main": "main.js"}',
        "node_modules/legacy/main.js": "const { Buffer } = require('buffer');\nconst path = require('node:path');\n"
        "exports.size = (text) => path.basename('/x/' + Buffer.from(text).length);\n",
    }

    async def run() -> None:
        async with place() as here:
            flags = ("nodejs_compat",)
            spec = spec_of(write(tmp_path, files), compatibility_flags=flags, compatibility_date=date)
            await here.start(spec)
            assert (await here.http.get("/")).text == "2"

    asyncio.run(run())


SCRIPT = """
console.log("top");
addEventListener("fetch", (event) => event.respondWith(answer(event.request)));
async function answer(request) {
  if (request.url.endsWith("/throw")) throw new Error("旧");
  return new Response(`${GREETING} ${await NOTES.get("x")}`);
}
"""


@pytest.mark.parametrize("date", ["2022-01-01", "2026-11-17"])
def test_a_service_worker_runs_too(tmp_path: Path, date: str) -> None:
    async def run() -> None:
        async with place() as here:
            bindings = (Binding("NOTES", "kv", "n"),)
            spec = spec_of(
                write(tmp_path, {"old.js": SCRIPT}),
                "old.js",
                bindings=bindings,
                vars={"GREETING": "你好"},
                compatibility_date=date,
            )
            process = await here.start(spec)
            assert (await here.http.get("/")).text == "你好 null"
            assert (await here.http.get("/edge/healthz")).json()["platform"] == "/edge/healthz"
            assert (await here.http.get("/throw")).status_code == 500
            [event] = await here.events(1, outcome="exception")
            assert "old.js:5:" in event["exceptions"][0]["stack"]
            said = [line["message"] for each in here.journal.last for line in each.logs]
            assert ["top"] in said
            with pytest.raises(WorkerError, match="runs no crons here"):
                await process.scheduled("* * * * *")
            await process.stop(grace=1)

    asyncio.run(run())


def test_a_service_worker_with_bindings_for_modules_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        async with place() as here:
            with pytest.raises(WorkerError, match="AI, VECTORS, DB") as caught:
                await here.start(spec_of(write(tmp_path, {"old.js": SCRIPT}), "old.js"))
            assert "export default" in (caught.value.hint or "")

    asyncio.run(run())
