"""Workers in both languages on the real models and a real index: chat, stream, embedding, upsert, filter, stores."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.server.conftest import Server
from tests.workers.workerd.conftest import node_modules, workerd_home  # noqa: F401 - fixtures

pytestmark = [pytest.mark.slow, pytest.mark.models]

HONO = Path(__file__).parents[1] / "workers" / "workerd" / "fixtures" / "rag.ts"
CONFIG = """
name = "rag"
main = "{main}"
compatibility_date = "2026-03-01"
compatibility_flags = [{flags}]
[ai]
binding = "AI"
[[vectorize]]
binding = "VECTORS"
index_name = "notes"
[[kv_namespaces]]
binding = "KV"
id = "shelf"
[[r2_buckets]]
binding = "BUCKET"
bucket_name = "files"
[[d1_databases]]
binding = "DB"
database_name = "app"
[vars]
CHAT_MODEL = "@cf/meta/llama-3.2-1b-instruct"
EMBEDDING_MODEL = "@edge/all-minilm-l6-v2"
[edgecli.models."@cf/meta/llama-3.2-1b-instruct"]
use = "@edge/smollm2-135m-instruct"
"""
PYTHON = """
from urllib.parse import urlsplit
from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path, env = urlsplit(request.url).path, self.env
        body = await request.json() if request.method == "POST" else {}
        if path in ("/chat", "/stream"):
            asked = {"messages": [{"role": "user", "content": body["prompt"]}], "stream": path == "/stream"}
            answer = await env.AI.run(env.CHAT_MODEL, asked)
            if path == "/chat":
                return Response.json({"response": answer.response})
            return Response(answer, headers={"content-type": "text/event-stream"})
        if path == "/documents":
            embedded = await env.AI.run(env.EMBEDDING_MODEL, {"text": [each["text"] for each in body]})
            vectors = [
                {"id": each["id"], "values": values, "metadata": {"text": each["text"], "lang": each["lang"]}}
                for each, values in zip(body, embedded.data)
            ]
            return Response.json(await env.VECTORS.upsert(vectors))
        if path == "/ask":
            embedded = await env.AI.run(env.EMBEDDING_MODEL, {"text": [body["question"]]})
            found = await env.VECTORS.query(
                embedded.data[0], topK=3, filter={"lang": body["lang"]}, returnMetadata="all"
            )
            notes = "\\n".join(match.metadata.text for match in found.matches)
            messages = [{"role": "system", "content": notes}, {"role": "user", "content": body["question"]}]
            answer = await env.AI.run(env.CHAT_MODEL, messages=messages, max_tokens=64)
            sources = [{"id": match.id, "score": match["score"]} for match in found["matches"]]
            return Response.json({"response": answer["response"], "sources": sources})
        if path == "/stores":
            await env.KV.put("键", "值", metadata={"n": 1})
            await env.BUCKET.put("文件.txt", "内容")
            await env.DB.exec("CREATE TABLE IF NOT EXISTS t (name TEXT)")
            await env.DB.prepare("INSERT INTO t VALUES (?)").bind("张三").run()
        found = await env.BUCKET.get("文件.txt")
        rows = await env.DB.prepare("SELECT name FROM t").all()
        return Response.json({"kv": await env.KV.get("键"), "r2": await found.text(), "d1": rows.results})
"""
JAVASCRIPT = """
import hono from "./rag";
export default {
  async fetch(request: Request, env: any, ctx: any) {
    if (new URL(request.url).pathname !== "/stored") return hono.fetch(request, env, ctx);
    const found = await env.BUCKET.get("文件.txt");
    const rows = await env.DB.prepare("SELECT name FROM t").all();
    return Response.json({ kv: await env.KV.get("键"), r2: await found.text(), d1: rows.results });
  },
};
"""
STORED = {"kv": "值", "r2": "内容", "d1": [{"name": "张三"}]}
DOCUMENTS = [
    {"id": "1", "text": "A refund is possible within 30 days.", "lang": "en"},
    {"id": "2", "text": "Lanterns are shipped on Mondays.", "lang": "en"},
    {"id": "3", "text": "购买后三十天内可以申请退款。", "lang": "zh"},
]


def project(root: Path, main: str) -> Path:
    flags = '"python_workers"' if main.endswith(".py") else ""
    (root / "wrangler.toml").write_text(CONFIG.format(main=main, flags=flags), encoding="utf-8")
    return root


@contextmanager
def serving(root: Path, home: Path) -> Iterator[Server]:
    """Yield a server that is ended whatever the test finds."""
    server = Server(root, home, "--no-warm")
    try:
        yield server
    finally:
        server.end()


def create_index(server: Server) -> None:
    done = server.command("vectorize", "create", "notes", "--dimensions=384", "--metric=cosine")
    assert done.returncode == 0, done.stderr


def check_routes(client: httpx.Client) -> None:
    """Chat, stream, embed, upsert, and query with a filter."""
    assert client.post("/chat", json={"prompt": "Say hello"}).json()["response"].strip()
    with client.stream("POST", "/stream", json={"prompt": "Say hello"}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        data = [line.removeprefix("data: ") for line in answer.iter_lines() if line.startswith("data: ")]
    assert data[-1] == "[DONE]"
    assert "".join(json.loads(each)["response"] for each in data[:-1]).strip()
    assert client.post("/documents", json=DOCUMENTS).json()["mutationId"]
    asked = client.post("/ask", json={"question": "When can I get a refund?", "lang": "en"}).json()
    assert [each["id"] for each in asked["sources"]] == ["1", "2"]
    assert asked["response"].strip()
    chinese = client.post("/ask", json={"question": "多少天内可以退款?", "lang": "zh"}).json()
    assert [each["id"] for each in chinese["sources"]] == ["3"]


@pytest.fixture
def home(edgecli_home: Path, workerd_home: Path, tmp_path: Path) -> Iterator[Path]:  # noqa: F811
    """Yield one cache with the models and with workerd."""
    if edgecli_home == workerd_home:
        yield edgecli_home
        return
    both = tmp_path / "home"
    both.mkdir()
    for folder in (edgecli_home, workerd_home):
        for each in folder.iterdir():
            if not (both / each.name).exists():
                (both / each.name).symlink_to(each)
    yield both


def test_a_python_worker(tmp_path: Path, edgecli_home: Path) -> None:
    root = project(tmp_path, "worker.py")
    (root / "worker.py").write_text(PYTHON, encoding="utf-8")
    with serving(root, edgecli_home) as server:
        create_index(server)
        with server.http() as client:
            check_routes(client)
            assert client.get("/stores").json() == STORED
        events = server.own().get("/edge/workers/logs").json()["result"]
    read, written = next(each["edge"]["tokens"] for each in events if "/chat" in each["event"]["request"]["url"])
    assert read > 0
    assert written > 0


def test_a_hono_worker(tmp_path: Path, home: Path, node_modules: Path) -> None:  # noqa: F811
    """It meets the stores that a Python Worker of the same project has filled."""
    root = project(tmp_path, "worker.py")
    (root / "worker.py").write_text(PYTHON, encoding="utf-8")
    with serving(root, home) as server, server.http() as client:
        assert client.get("/stores").json() == STORED

    project(root, "index.ts")
    shutil.copy(HONO, root / "rag.ts")
    (root / "index.ts").write_text(JAVASCRIPT, encoding="utf-8")
    (root / "node_modules").symlink_to(node_modules)
    with serving(root, home) as server, server.http() as client:
        create_index(server)
        assert client.get("/").text == "你好 from Hono"
        check_routes(client)
        assert client.get("/stored").json() == STORED
