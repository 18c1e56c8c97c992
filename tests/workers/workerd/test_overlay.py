"""The error of a broken save over the pages of workerd, as tests/workers/test_overlay.py has it for Python."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx2
import pytest

from edgecli.workers.overlay import Overlay, allowing
from edgecli.workers.process import WorkerError
from tests.workers.test_overlay import BROWSER, POLICIES
from tests.workers.workerd.serving import Place, place, spec_of, write

pytestmark = pytest.mark.usefixtures("programs")

PAGE = "<h1>店</h1>"
ANSWER = """
  async function answer(request) {
    const { pathname, searchParams } = new URL(request.url);
    const headers = { "content-type": "text/html; charset=utf-8", "etag": '"1"', "cache-control": "max-age=60" };
    if (request.headers.has("if-none-match")) return new Response(null, { status: 304, headers });
    if (pathname === "/policy") headers["content-security-policy"] = searchParams.get("is");
    if (pathname === "/empty") return new Response(null, { headers });
    if (pathname === "/throw") throw new Error("坏了");
    if (pathname === "/json") return Response.json({ a: "店" }, { headers: { etag: '"1"' } });
    if (pathname === "/gzip") {
      const zipped = new Response("<h1>店</h1>").body.pipeThrough(new CompressionStream("gzip"));
      return new Response(zipped, { headers: { ...headers, "content-encoding": "gzip" }, encodeBody: "manual" });
    }
    if (pathname === "/stream") {
      const { readable, writable } = new IdentityTransformStream();
      (async () => {
        const writer = writable.getWriter();
        await writer.write(new TextEncoder().encode("<h1>"));
        await scheduler.wait(50);
        await writer.write(new TextEncoder().encode("店</h1>"));
        await writer.close();
      })();
      return new Response(readable, { headers });
    }
    if (pathname === "/post") return new Response(await request.text(), { headers });
    if (pathname === "/socket") {
      const [client, server] = Object.values(new WebSocketPair());
      server.accept();
      return new Response(null, { status: 101, webSocket: client });
    }
    return new Response("<h1>店</h1>", { headers });
  }
"""
OBJECT = f"{ANSWER} export default {{ fetch: answer }};"
CLASS = (
    'import { WorkerEntrypoint } from "cloudflare:workers";'
    f"{ANSWER} export default class extends WorkerEntrypoint {{ fetch(request) {{ return answer(request); }} }};"
)


async def broken(here: Place, root: Path, source: str) -> Overlay:
    """Start a Worker, and lay an overlay over it."""
    spec = spec_of(write(root, {"index.js": source}), "index.js", bindings=())
    process = await here.start(spec)
    overlay = Overlay.of(WorkerError("坏", code="worker_start"), spec)
    await process.cover(overlay)
    return overlay


@pytest.mark.parametrize("source", [OBJECT, CLASS], ids=["object", "class"])
def test_a_page_ends_with_the_error(tmp_path: Path, source: str) -> None:
    async def run() -> None:
        async with place() as here:
            overlay = await broken(here, tmp_path, source)
            for path, body in (("/", PAGE), ("/stream", PAGE), ("/empty", "")):
                page = await here.http.get(path, headers=BROWSER | {"if-none-match": '"1"'})
                assert (page.status_code, page.text) == (200, body + overlay.html)
                assert page.headers["x-edgecli-error"] == overlay.header == "\\u574f"
                assert page.headers["cache-control"] == "no-store"
                assert "etag" not in page.headers
            assert (await here.http.post("/post", headers=BROWSER, content="x")).text == "x" + overlay.html
            thrown = await here.http.get("/throw", headers=BROWSER)
            assert thrown.status_code == 500
            assert "坏了" in thrown.text and thrown.text.endswith(overlay.html)
            await here.processes[0].cover(None)
            page = await here.http.get("/", headers=BROWSER)
            assert page.text == PAGE and "x-edgecli-error" not in page.headers
            assert len(await here.events(6)) == 6, "each request is noted once"

    asyncio.run(run())


def test_anything_else_stays_what_it_is(tmp_path: Path) -> None:
    async def run() -> None:
        async with place() as here:
            asked = [
                ("GET", "/", {"accept": "*/*"}),
                ("GET", "/", {"accept": "text/html, */*", "sec-fetch-dest": "empty"}),
                ("GET", "/", {"accept": "*/*", "if-none-match": '"1"'}),
                ("HEAD", "/", BROWSER),
                ("GET", "/json", BROWSER),
                ("GET", "/gzip", BROWSER),
            ]

            async def answers() -> list[tuple[int, bytes, list[tuple[bytes, bytes]]]]:
                found: list[tuple[int, bytes, list[tuple[bytes, bytes]]]] = []
                for method, path, headers in asked:
                    async with here.http.stream(method, path, headers=headers) as answer:
                        body = b"".join([piece async for piece in answer.aiter_raw()])
                        found.append((answer.status_code, body, sorted(answer.headers.raw)))
                return found

            write(tmp_path, {"index.js": OBJECT})
            process = await here.start(spec_of(tmp_path, "index.js", bindings=()))
            before = await answers()
            await process.stop(grace=1)
            overlay = await broken(here, tmp_path, OBJECT)
            added = (b"x-edgecli-error", overlay.header.encode())
            assert await answers() == [(status, body, sorted([*raw, added])) for status, body, raw in before]

    asyncio.run(run())


def test_a_policy_is_changed_as_it_is_for_python(tmp_path: Path) -> None:
    async def run() -> None:
        async with place() as here:
            overlay = await broken(here, tmp_path, OBJECT)
            for policy, _ in POLICIES:
                page = await here.http.get("/policy", params={"is": policy}, headers=BROWSER)
                assert page.headers["content-security-policy"] == allowing(policy, overlay.style)

    asyncio.run(run())


def test_a_websocket_opens_all_the_same(tmp_path: Path) -> None:
    async def run() -> None:
        async with place() as here:
            await broken(here, tmp_path, OBJECT)
            wanted = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
            reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
            head = {"host": "x", **wanted, "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}
            writer.write(
                b"GET /socket HTTP/1.1\r\n" + b"".join(f"{k}: {v}\r\n".encode() for k, v in head.items()) + b"\r\n"
            )
            assert (await reader.readline()).startswith(b"HTTP/1.1 101 ")
            writer.close()

    asyncio.run(run())


def test_a_worker_that_computes_holds_nobody_up(tmp_path: Path) -> None:
    async def run() -> None:
        async with place() as here:
            loop = 'export default { fetch(request) { if (request.url.endsWith("/loop")) for (;;) {} } };'
            spec = spec_of(write(tmp_path, {"index.js": loop}), "index.js", bindings=())
            process = await here.start(spec)
            lost = asyncio.create_task(here.http.get("/loop"))
            await asyncio.sleep(0.2)
            await asyncio.wait_for(process.cover(Overlay.of(WorkerError("x", code="x"), spec)), 10)
            await process.stop(grace=0)
            with pytest.raises(httpx2.HTTPError):
                await lost

    asyncio.run(run())
