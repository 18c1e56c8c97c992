"""What a Worker calls through its bindings reaches the channels, and comes back as Cloudflare's API."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from edgecli.config.settings import WorkersSettings
from tests.workers.workerd.serving import place, spec_of, until, write

pytestmark = pytest.mark.usefixtures("programs")

RAG = Path(__file__).parent / "fixtures" / "rag.ts"
MODELS = {"CHAT_MODEL": "@cf/meta/llama-3.1-8b-instruct", "EMBEDDING_MODEL": "@cf/baai/bge-m3"}


def test_a_hono_worker_chats_streams_embeds_upserts_and_queries(tmp_path: Path, node_modules: Path) -> None:
    async def run() -> None:
        root = write(tmp_path, {"src/index.ts": RAG.read_bytes()})
        (root / "node_modules").symlink_to(node_modules)
        async with place() as here:
            await here.start(spec_of(root, vars=MODELS))
            assert (await here.http.get("/")).text == "你好 from Hono"
            chat = await here.http.post("/chat", json={"prompt": "早上好"})
            assert chat.json() == {"response": "早上好!"}

            arrived: list[float] = []
            text = b""
            async with here.http.stream("POST", "/stream", json={"prompt": "x"}) as response:
                async for chunk in response.aiter_raw():
                    arrived.append(time.monotonic())
                    text += chunk
            assert text.endswith(b"data: [DONE]\n\n")
            assert len(arrived) >= 3, "the stream came as one lump"
            assert arrived[-1] - arrived[0] > 0.2, "the first piece waited for the last"

            documents = [{"id": "a", "text": "退款三十天", "lang": "zh"}, {"id": "b", "text": "refunds", "lang": "en"}]
            assert (await here.http.post("/documents", json=documents)).json() == {"mutationId": "m1"}
            upsert = next(call for call in here.calls if call["path"] == "/vectorize/upsert")
            assert upsert["resource"] == "docs"
            assert [json.loads(line)["id"] for line in upsert["body"].splitlines()] == ["a", "b"]

            asked = await here.http.post("/ask", json={"question": "退款？", "lang": "zh"})
            assert asked.json() == {"response": "退款？!", "sources": [{"id": "a", "score": 0.75}]}
            query = json.loads(next(call for call in here.calls if call["path"] == "/vectorize/query")["body"])
            assert query["filter"] == {"lang": "zh"}
            assert "退款三十天" in here.calls[-1]["body"]

    asyncio.run(run())


OTHERS = """
export default {
  async fetch(request, env) {
    await env.KV.put("钥匙/a b", "值", { metadata: { a: 1 } });
    const { results } = await env.DB.prepare("SELECT ? AS name").bind("数据").all();
    const session = await (await env.BROWSER.fetch("http://fake.host/v1/devtools/browser", { method: "POST" })).json();
    const search = await env.AI.aiSearch().get("my-rag").search({ query: "问" });
    const log = await env.AI.gateway("gw", { beta: true }).getLog("l1");
    let failure;
    try { await env.AI.run("@cf/none", { prompt: "x" }); } catch (error) { failure = String(error); }
    let refused;
    try { await env.KV.put("refused", "x"); } catch (error) { refused = String(error); }
    let stranger;
    try {
      const headers = { "cf-consn-model-id": "@cf/none", "x-edgecli-token": "guess", "x-edgecli-binding": "KV" };
      stranger = (await env.AI.fetch("https://x/run", { method: "POST", headers, body: "{}" })).status;
    } catch (error) { stranger = String(error); }
    return Response.json({
      kv: await env.KV.get("钥匙/a b"), none: await env.KV.get("none"), results, session, search, log: log.id,
      date: log.created_at instanceof Date, failure, refused,
      vars: [env.TEXT, env.LIMITS, env.SECRET], keys: Object.keys(env),
    });
  },
};
"""


def test_the_other_bindings_answer_and_vars_keep_their_types(tmp_path: Path) -> None:
    async def run() -> None:
        root = write(tmp_path, {"src/index.js": OTHERS})
        variables = {"TEXT": 'a "quoted"\\ line\n中文\x07', "LIMITS": {"max": [1, None, True], "名": "x"}}
        async with place() as here:
            spec = spec_of(root, "src/index.js", vars=variables, secrets={"SECRET": "s€cret"})
            await here.start(spec)
            answer = (await here.http.get("/")).json()
            assert answer.pop("keys") == ["SECRET", "TEXT", "LIMITS", "AI", "VECTORS", "KV", "DB", "BROWSER"]
            assert answer == {
                "kv": "值",
                "none": None,
                "results": [{"name": "数据"}],
                "session": {"sessionId": "s1"},
                "search": {"search_query": "问", "chunks": []},
                "log": "l1",
                "date": True,
                "refused": "Error: KV PUT failed: 400 Invalid expiration_ttl of 5.",
                "failure": "InferenceUpstreamError: 5007: No such model 没有",
                "vars": [variables["TEXT"], variables["LIMITS"], "s€cret"],
            }
            forged = next(call for call in here.calls if call["body"] == "{}" and call["path"] == "/ai/run")
            assert forged["binding"] == "AI", "a Worker could say which binding calls"
            assert forged["headers"]["x-edgecli-token"] != "guess"

    asyncio.run(run())


FETCHES = """
export default {
  async fetch(request, env) {
    const target = new URL(request.url).searchParams.get("to");
    try { return new Response(await (await fetch(target)).text()); }
    catch (error) { return new Response(String(error.message), { status: 599 }); }
  },
};
"""


def test_fetch_of_the_gateway_is_answered_here_and_the_network_is_the_users_choice(tmp_path: Path) -> None:
    async def run() -> None:
        root = write(tmp_path, {"index.js": FETCHES})
        spec = spec_of(root, "index.js")
        gateway = "https://gateway.ai.cloudflare.com/v1/acc/gw/openai/chat/completions"
        async with place() as here:
            outside = f"http://{here.address}/open"
            first = await here.start(spec)
            assert (await here.http.get("/", params={"to": gateway})).json() == {"choices": []}
            assert here.edge.gateway_calls == [("gateway.ai.cloudflare.com", "/v1/acc/gw/openai/chat/completions")]
            assert (await here.http.get("/", params={"to": outside})).json()["platform"] == "/open"
            lost = await here.http.get("/", params={"to": "http://127.0.0.1:1/x"})
            assert lost.text == "fetch() of http://127.0.0.1:1 failed: Network connection lost."
            unknown = await here.http.get("/", params={"to": "http://nowhere.invalid/"})
            assert unknown.text == "fetch() of http://nowhere.invalid failed: it cannot be reached. The log says why."
            await until(lambda: any("lookup" in str(each.to_dict()["logs"]) for each in here.journal.last))
            await first.stop(grace=1)

            for options, named in (
                ({"settings": WorkersSettings(outbound="deny")}, "edgecli.workers.outbound"),
                ({"offline": True}, "edgecli.offline"),
            ):
                closed = await here.start(spec, **options)
                refused = await here.http.get("/", params={"to": outside})
                assert refused.status_code == 599
                assert named in refused.text and here.address in refused.text
                assert (await here.http.get("/", params={"to": gateway})).json() == {"choices": []}
                await closed.stop(grace=1)

    asyncio.run(run())
