"""The Cache API of a Worker on workerd."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.workers.workerd.serving import place, spec_of, write

pytestmark = pytest.mark.usefixtures("programs")

WORKER = """\
const KEY = "https://example.com/一?b=1";
const shown = async (found) => (found ? [found.status, await found.text()] : null);
const put = (headers, options) => caches.default.put(KEY, new Response("一", { headers, ...options }));
const found = async (headers) => shown(await caches.default.match(new Request(KEY, { headers })));
const tried = { async fetch() {
  const seen = { empty: await found() };
  await put({ "cache-control": "max-age=60", etag: '"a"', "content-type": "text/plain; charset=utf-8" });
  seen.kept = await found();
  seen.type = (await caches.default.match(KEY)).headers.get("content-type");
  seen.part = await found({ range: "bytes=-3" });
  seen.unchanged = await found({ "if-none-match": 'W/"a", "b"' });
  seen.changed = await found({ "if-none-match": '"b"' });
  seen.named = await shown(await (await caches.open("other")).match(KEY));
  seen.deleted = [await caches.default.delete(KEY), await caches.default.delete(KEY), await found()];
  for (const [name, value] of [["cache-control", "no-store"], ["cache-control", "private"], ["set-cookie", "a=1"]]) {
    await put({ [name]: value });
    seen[value] = await found();
  }
  await put({}, { status: 404 });
  seen.missing = await found();
  await put({ "cache-control": "s-maxage=1" });
  await scheduler.wait(1100);
  seen.old = await found();
  const { readable, writable } = new TransformStream();
  const kept = caches.default.put(KEY, new Response(readable));
  const writer = writable.getWriter();
  for (const word of ["一", "二"]) await writer.write(new TextEncoder().encode(word));
  await writer.close();
  await kept;
  seen.stream = await found();
  const large = new Uint8Array(20 << 20);
  for (let i = 0; i < 4; i++) await caches.default.put(`http://large/${i}`, new Response(large));
  seen.large = [];
  for (let i = 0; i < 4; i++) seen.large.push((await caches.default.match(`http://large/${i}`)) !== undefined);
  const head = { "cache-control": "max-age=60", etag: `"${"e".repeat(100 << 10)}"` };
  for (let i = 0; i < 700; i++) await caches.default.put(`http://head/${i}`, new Response(null, { headers: head }));
  seen.heads = [];
  for (const i of [0, 699]) seen.heads.push((await caches.default.match(`http://head/${i}`)) !== undefined);
  return Response.json(seen);
} };
"""
SEEN: dict[str, Any] = {
    "empty": None,
    "kept": [200, "一"],
    "type": "text/plain; charset=utf-8",
    "part": [206, "一"],
    "unchanged": [304, ""],
    "changed": [200, "一"],
    "named": None,
    "deleted": [True, False, None],
    "no-store": None,
    "private": None,
    "a=1": None,
    "missing": [404, "一"],
    "old": None,
    "stream": [200, "一二"],
    "large": [False, True, True, True],
    "heads": [False, True],
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "around",
    ["export default tried;", "addEventListener('fetch', (event) => event.respondWith(tried.fetch()));"],
    ids=["module", "script"],
)
def test_what_a_worker_puts_into_its_caches(tmp_path: Path, around: str) -> None:
    async def run() -> None:
        root = write(tmp_path, {"index.js": WORKER + around})
        async with place() as here:
            await here.start(spec_of(root, "index.js", bindings=()))
            assert (await here.http.get("/")).json() == SEEN

    asyncio.run(run())
