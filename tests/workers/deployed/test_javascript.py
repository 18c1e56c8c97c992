"""Workers in JavaScript on the real workerd, as wrangler uploads them: modules of every kind."""

from __future__ import annotations

from typing import Any

import pytest

from tests.workers.deployed.deployer import Deployer
from tests.workers.deployed.forms import ESM, form

pytestmark = pytest.mark.usefixtures("workerd_home")

CODE = """
import text from "./1-page.md";
import data from "./2-data.dat";
import wasm from "./3-add.wasm";
import { more } from "./lib/more.mjs";
import common from "./old.cjs";
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    if (url.pathname === "/throw") throw new Error("旧");
    return Response.json({ url: url.pathname + url.search, text, data: [...new Uint8Array(data)],
      wasm: wasm instanceof WebAssembly.Module, more: more(), common: common.n, a: env.A, secret: env.SECRET ?? null });
  },
};
"""
MODULES: dict[str, tuple[str, bytes | str]] = {
    "index.js": (ESM, CODE),
    "./1-page.md": ("text/plain", "文"),
    "./2-data.dat": ("application/octet-stream", b"\0\xff"),
    "./3-add.wasm": ("application/wasm", b"\0asm\1\0\0\0"),
    "lib/more.mjs": (ESM, "export const more = () => 7;"),
    "old.cjs": ("application/javascript", "module.exports = { n: 8 };"),
    "index.js.map": ("application/source-map", '{"version": 3, "sources": [], "mappings": ""}'),
}
SERVICE_WORKER = "addEventListener('fetch', (event) => event.respondWith(new Response(A)));"


def hey(a: str = "1", modules: dict[str, tuple[str, bytes | str]] = MODULES, **metadata: Any) -> Any:
    return form(modules, bindings=[{"type": "plain_text", "name": "A", "text": a}], **metadata)


def test_modules_of_every_kind_run(cloud: Deployer) -> None:
    cloud.deploy("hey", hey())
    assert cloud.fetch("hey", "/a?b=c").json() == {
        "url": "/a?b=c",
        "text": "文",
        "data": [0, 255],
        "wasm": True,
        "more": 7,
        "common": 8,
        "a": "1",
        "secret": None,
    }
    with cloud.server.http(host="hey.localhost") as browser:
        assert browser.get("/client/v4/x").json()["url"] == "/client/v4/x"


def test_secrets_and_deployments_take_effect(cloud: Deployer) -> None:
    cloud.deploy("hey", hey())
    cloud.call("PUT", "hey/secrets", json={"name": "SECRET", "text": "geheim"})
    assert cloud.fetch("hey").json()["secret"] == "geheim"
    cloud.deploy("hey", hey("2"))
    answer = cloud.fetch("hey").json()
    assert (answer["a"], answer["secret"]) == ("2", "geheim")


def test_one_that_does_not_start_is_refused_with_its_place(cloud: Deployer) -> None:
    cloud.deploy("hey", hey())
    for source, says in (
        ("\nexport default {\n  fetch( {\n};", "(index.js:4)"),
        ("\nthrow new Error('不行')", "不行 (index.js:2)"),
    ):
        answer = cloud.put("hey", hey(modules={"index.js": (ESM, source)}))
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, 10021)
        assert says in answer.json()["errors"][0]["message"]
    missing = cloud.put("hey", hey(modules={"index.js": (ESM, 'import "./gone.js"; export default {};')}))
    assert "gone.js" in missing.json()["errors"][0]["message"]
    assert cloud.fetch("hey").json()["a"] == "1"
    assert cloud.fetch("hey", "/throw").status_code == 500
    assert cloud.fetch("hey").status_code == 200


def test_a_service_worker_runs_too(cloud: Deployer) -> None:
    modules: dict[str, tuple[str, bytes | str]] = {"index.js": ("application/javascript", SERVICE_WORKER)}
    cloud.deploy("old", hey("alt", modules, main_module=..., body_part="index.js"))
    assert cloud.fetch("old").text == "alt"
