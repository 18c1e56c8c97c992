"""Bindings, called from a Worker in its process over the wire of workerd."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from edgecli.config.project import load_project
from edgecli.runtime import Runtime
from edgecli.server.channels import create_channels
from edgecli.workers.spec import Binding
from tests.workers.python.channel_app import MODEL, ChannelApp
from tests.workers.python.conftest import Loop, Start, Started, default

BINDINGS = (
    Binding("AI", "ai"),
    Binding("VECTORS", "vectorize", "docs"),
    Binding("KV", "kv", "kv"),
    Binding("BUCKET", "r2", "bucket"),
    Binding("DB", "d1", "db"),
)


@pytest.fixture
def channel(tmp_path: Path, loop: Loop) -> Iterator[ASGIApp]:
    """The server's own stores, and an app that stands for models and indexes."""
    root = tmp_path / "state"
    root.mkdir()
    (root / "wrangler.toml").write_text('name = "test"\n', encoding="utf-8")
    runtime = Runtime(load_project(cwd=root))
    real, other = create_channels(runtime), ChannelApp()

    async def channel(scope: Scope, receive: Receive, send: Send) -> None:
        app = real if scope["path"].split("/")[1] in ("kv", "r2", "d1") else other
        await app(scope, receive, send)

    yield channel
    loop.run(runtime.close())


Do = Any


@pytest.fixture
def do(start: Start, channel: ASGIApp) -> Do:
    """Run the body of a handler, which has `env`, and return the JSON of its last value `r`."""
    started: list[Started] = []

    def do(body: str, **options: Any) -> Any:
        lines = f"env = self.env\nfrom pyodide.ffi import JsException\n{body}\nreturn Response.json(r)"
        worker = start(default(lines), bindings=BINDINGS, channel=channel, **options)
        started.append(worker)
        answer = worker.get("/")
        assert answer.status_code == 200, answer.text
        return answer.json()

    do.started = started  # pyright: ignore[reportFunctionMemberAccess]
    return do


def test_run_a_model(do: Do) -> None:
    answer = do(f"""
out = await env.AI.run("{MODEL}", {{"prompt": "Ada"}}, tags=["x"])
r = [out.response, out["response"], out.usage.total_tokens, out.options, env.AI.lastRequestId, env.AI.aiGatewayLogId]
""")

    assert answer == ["你好 Ada", "你好 Ada", 7, {"tags": ["x"]}, "req-1", "log-1"]
    assert do.started[0].events()[0].tokens == (3, 4)


def test_stream_a_model(start: Start, channel: ASGIApp) -> None:
    worker = start(
        default(f"""
            stream = await self.env.AI.run("{MODEL}", {{"prompt": "Ada", "stream": True}})
            if request.url.endswith("/join"):
                return Response(b"".join([piece async for piece in stream]))
            return Response(stream, headers={{"content-type": "text/event-stream"}})
        """),
        bindings=BINDINGS,
        channel=channel,
    )

    streamed, joined = worker.get("/").text, worker.get("/join").text

    assert streamed == joined
    assert streamed.startswith('data: {"response": "')
    assert streamed.endswith("data: [DONE]\n\n")
    assert [event.tokens for event in worker.events(count=2)] == [(3, 4), (3, 4)]


def test_errors_of_a_model(do: Do) -> None:
    answer = do("""
try:
    await env.AI.run("@cf/none", {})
except JsException as error:
    r = [str(error), error.name, env.AI.lastRequestInternalStatusCode]
""")

    assert answer == ["InferenceUpstreamError: 5007: No such model @cf/none", "InferenceUpstreamError", 5007]


def test_the_rest_of_ai(do: Do) -> None:
    answer = do(f"""
raw = await env.AI.run("{MODEL}", {{"prompt": "x"}}, {{"returnRawResponse": True}})
gateway = env.AI.gateway("g 1")
try:
    await gateway.getLog("none")
except JsException as error:
    log = str(error)
await gateway.patchLog("l", score=1)
try:
    await env.AI.autorag("missing").search(query="x")
except JsException as error:
    rag = str(error)
audio = Response(b"RIFF" * 100_000).body
r = {{
    "raw": [raw.status, (await raw.json()).response],
    "models": await env.AI.models(search="llama", hide_experimental=True),
    "markdown": await env.AI.toMarkdown([{{"name": "a.txt", "blob": Blob("hi", "text/plain")}}]),
    "one": await env.AI.toMarkdown({{"name": "a.txt", "blob": Blob("hi", "text/plain")}}),
    "url": await gateway.getUrl("openai"), "log": log, "rag": rag,
    "answer": (await env.AI.autorag("docs").aiSearch({{"query": "q"}}, rewrite_query=True)),
    "audio": await env.AI.run("@cf/whisper", {{"audio": {{"body": audio, "contentType": "audio/wav"}}, "lang": "zh"}}),
}}
""")

    assert answer["raw"] == [200, "你好 x"]
    assert answer["models"] == [{"name": MODEL, "asked": {"search": "llama", "hide_experimental": "true"}}]
    assert answer["markdown"] == [{"name": "a.txt", "data": "aGk="}]
    assert answer["one"] == {"name": "a.txt", "data": "aGk="}
    assert answer["url"] == "/ai-gateway/gateways/g%201/url/openai"
    assert answer["log"] == "AiGatewayLogNotFound: no such log"
    assert answer["rag"] == "AutoRAGNotFoundError: not there"
    assert answer["answer"]["path"] == "/autorag/rags/docs/ai-search"
    assert answer["answer"]["asked"] == {"query": "q", "rewrite_query": True}
    assert answer["audio"] == {"bytes": 400_000, "inputs": {"lang": "zh"}}


def test_vectors(do: Do) -> None:
    answer = do("""
r = {
    "insert": (await env.VECTORS.insert([{"id": "1", "values": [0.5, 1], "metadata": {"题": "词"}}])).mutationId,
    "upsert": await env.VECTORS.upsert([{"id": "2", "values": (1, 2), "namespace": "n"}]),
    "query": await env.VECTORS.query([1.0, 0.5], topK=2, returnMetadata=True, filter={"a": {"$eq": 1}}),
    "by_id": (await env.VECTORS.queryById("1", {"topK": 1})).asked,
    "get": await env.VECTORS.getByIds(["2"]),
    "describe": (await env.VECTORS.describe()).vectorCount,
    "delete": await env.VECTORS.deleteByIds(["1", "2"]),
    "empty": (await env.VECTORS.query([1.0, 0.5])).matches,
}
try:
    await env.VECTORS.query([1.0])
except JsException as error:
    r["error"] = str(error)
""")

    assert answer["insert"] == "m"
    assert answer["upsert"] == {"mutationId": "m"}
    asked = {"topK": 2, "returnMetadata": "all", "filter": {"a": {"$eq": 1}}, "vector": [1.0, 0.5]}
    assert answer["query"]["asked"] == asked
    assert answer["query"]["matches"][0]["metadata"] == {"题": "词"}
    assert answer["by_id"] == {"topK": 1, "vectorId": "1"}
    assert answer["get"] == [{"id": "2", "values": [1, 2], "namespace": "n"}]
    assert (answer["describe"], answer["empty"]) == (2, [])
    assert answer["error"] == "Error: VECTOR_QUERY_ERROR (code = 40006): wrong dimensions"


def test_kv(do: Do) -> None:
    answer = do("""
await env.KV.put("键/a b%", "值", metadata={"who": "谁"})
await env.KV.put("json", json.dumps({"a": {"b": 1}}), {"expirationTtl": 60})
await env.KV.put("bytes", b"\\x00" * 300_000)
async def pieces():
    yield b"one "
    yield b"two"
await env.KV.put("stream", Response(pieces()).body)
found = await env.KV.getWithMetadata("键/a b%")
view = await env.KV.get("bytes", "arrayBuffer")
page = await env.KV.list(limit=2)
next_page = await env.KV.list({"limit": 2, "cursor": page.cursor})
r = {
    "text": found.value, "metadata": found.metadata.who,
    "json": (await env.KV.get("json", type="json")).a.b,
    "view": [type(view).__name__, len(view)],
    "stream": "".join([piece.decode() async for piece in await env.KV.get("stream", {"type": "stream"})]),
    "none": await env.KV.get("none"),
    "none_meta": await env.KV.getWithMetadata("none"),
    "page": [[key.name for key in page["keys"]], page.list_complete],
    "next": [[key.name for key in next_page["keys"]], next_page.list_complete],
    "prefix": (await env.KV.list(prefix="键"))["keys"][0].metadata,
    "many": await env.KV.get(["json", "none"]),
}
await env.KV.delete("stream")
r["deleted"] = await env.KV.get("stream")
for key in ("", "k" * 513):
    try:
        await env.KV.get(key)
    except JsException as error:
        r[key[:1]] = str(error)
try:
    await env.KV.put("x", {"a": 1})
except TypeError as error:
    r["type"] = str(error)
""")

    assert answer["text"] == "值"
    assert answer["metadata"] == "谁"
    assert answer["json"] == 1
    assert answer["view"] == ["memoryview", 300_000]
    assert answer["stream"] == "one two"
    assert answer["none"] is None
    assert answer["none_meta"] == {"value": None, "metadata": None, "cacheStatus": None}
    assert answer["page"] == [["bytes", "json"], False]
    assert answer["next"] == [["stream", "键/a b%"], True]
    assert answer["prefix"] == {"who": "谁"}
    assert answer["many"] == {"json": '{"a": {"b": 1}}', "none": None}
    assert answer["deleted"] is None
    assert answer[""] == "TypeError: Key name cannot be empty."
    assert answer["k"] == "Error: KV GET failed: 414 UTF-8 encoded length of 513 exceeds key length limit of 512."
    assert answer["type"].startswith("KV put() accepts only strings, ArrayBuffers")


def test_r2(do: Do) -> None:
    answer = do("""
put = await env.BUCKET.put("目/a.txt", "内容 0123456789", httpMetadata={"contentType": "text/plain"},
                           customMetadata={"by": "我"})
got = await env.BUCKET.get("目/a.txt")
headers = Headers()
got.writeHttpMetadata(headers)
async def pieces():
    for _ in range(10):
        yield b"x" * 50_000
await env.BUCKET.put("large", Response(pieces()).body)
large = await env.BUCKET.get("large")
listed = await env.BUCKET.list({"limit": 1, "include": ["customMetadata"]})
r = {
    "put": [put.key, put["size"], put.etag, put.httpEtag, put.uploaded.year >= 2023, put.customMetadata.by],
    "text": await got.text(), "used": got["bodyUsed"], "type": headers["content-type"],
    "large": sum([len(piece) async for piece in large.body]),
    "range": await (await env.BUCKET.get("目/a.txt", {"range": {"offset": 7, "length": 3}})).text(),
    "head": (await env.BUCKET.head("目/a.txt")).httpMetadata.contentType,
    "none": [await env.BUCKET.get("none"), await env.BUCKET.head("none")],
    "list": [[each.key for each in listed.objects], listed.truncated, bool(listed.cursor)],
    "only_if": await env.BUCKET.put("large", "x", onlyIf={"etagDoesNotMatch": "*"}),
}
try:
    await got.text()
except OSError as error:
    r["twice"] = str(error)
await env.BUCKET.delete(["目/a.txt", "large"])
r["left"] = (await env.BUCKET.list()).objects
""")

    assert answer["put"][:2] == ["目/a.txt", 17]
    assert answer["put"][3:] == [f'"{answer["put"][2]}"', True, "我"]
    assert (answer["text"], answer["used"], answer["type"]) == ("内容 0123456789", True, "text/plain")
    assert answer["large"] == 500_000
    assert answer["range"] == "012"
    assert answer["head"] == "text/plain"
    assert answer["none"] == [None, None]
    assert answer["list"] == [["large"], True, True]
    assert answer["only_if"] is None
    assert answer["twice"] == "Body already used"
    assert answer["left"] == []


def test_r2_in_parts(do: Do) -> None:
    answer = do("""
upload = await env.BUCKET.createMultipartUpload("大", customMetadata={"n": 1})
same = env.BUCKET.resumeMultipartUpload("大", upload.uploadId)
first = await upload.uploadPart(1, b"a" * 5_242_880)
second = await same.uploadPart(2, "尾")
made = await upload.complete([first, second])
given_up = await env.BUCKET.createMultipartUpload("none")
await given_up.uploadPart(1, "x")
await given_up.abort()
got = await env.BUCKET.get("大")
r = [made.key, made.size, first.partNumber, got.customMetadata.n, (await got.bytes())[-3:].decode(),
     await env.BUCKET.head("none")]
""")

    assert answer == ["大", 5_242_883, 1, "1", "尾", None]


def test_r2_on_conditions(do: Do) -> None:
    answer = do("""
put = await env.BUCKET.put("a", "text")
same = await env.BUCKET.get("a", onlyIf={"etagDoesNotMatch": put.etag})
other = await env.BUCKET.get("a", onlyIf=Headers({"if-none-match": '"0123"'}))
r = [same.key, same.get("body"), await other.text(), (await other.blob()).size if not other.bodyUsed else None]
try:
    await env.BUCKET.get("a", onlyIf={"etagMatches": put.httpEtag})
except JsException as error:
    r.append(str(error)[:60])
""")

    assert answer[:4] == ["a", None, "text", None]
    assert answer[4].startswith("TypeError: Conditional ETag should not be wrapped in quotes")


def test_d1(do: Do) -> None:
    answer = do("""
made = await env.DB.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, data BLOB)\\nCREATE INDEX i ON t (name)")
insert = env.DB.prepare("INSERT INTO t (name, data) VALUES (?, ?)")
run = await insert.bind("名", b"\\x01\\x02").run()
await env.DB.batch([insert.bind("b", None), insert.bind(True, None)])
all_rows = await env.DB.prepare("SELECT id, name FROM t ORDER BY id").all()
one = env.DB.prepare("SELECT name, data FROM t WHERE id = ?")
r = {
    "made": made.count, "run": [run.success, run.meta.changes, run.meta.last_row_id],
    "all": [row.name for row in all_rows.results],
    "first": await one.bind(1).first(), "column": await one.bind(1).first("name"), "none": await one.bind(9).first(),
    "raw": await one.bind(2).raw(columnNames=True),
}
for name, work in (
    ("syntax", lambda: env.DB.prepare("NONSENSE").run()),
    ("column_error", lambda: one.bind(1).first("nothing")),
    ("exec", lambda: env.DB.exec("SELECT 1\\nNONSENSE")),
    ("batch", lambda: env.DB.batch([env.DB.prepare("NONSENSE")])),
):
    try:
        await work()
    except JsException as error:
        r[name] = str(error)
try:
    insert.bind({"a": 1})
except JsException as error:
    r["type"] = str(error)
""")

    assert answer["made"] == 2
    assert answer["run"] == [True, 1, 1]
    assert answer["all"] == ["名", "b", "1"]
    assert answer["first"] == {"name": "名", "data": [1, 2]}
    assert (answer["column"], answer["none"]) == ("名", None)
    assert answer["raw"] == [["name", "data"], ["b", None]]
    assert 'Error: D1_ERROR: near "NONSENSE": syntax error' in answer["syntax"]
    assert answer["column_error"] == "Error: D1_COLUMN_NOTFOUND: Column not found (nothing)"
    assert answer["exec"].startswith("Error: D1_EXEC_ERROR: Error in line 2: NONSENSE: near")
    assert answer["batch"].startswith("Error: D1_ERROR: near")
    assert answer["type"].startswith("Error: D1_TYPE_ERROR: Type 'dict' not supported")


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("AI", '[ai]\nbinding = "AI"'),
        ("VECTORS", '[[vectorize]]\nbinding = "VECTORS"\nindex_name = "my-index"'),
        ("MY_KV", '[[kv_namespaces]]\nbinding = "MY_KV"\nid = "my-kv"'),
        ("BUCKET", '[[r2_buckets]]\nbinding = "BUCKET"\nbucket_name = "bucket"'),
        ("DB", '[[d1_databases]]\nbinding = "DB"\ndatabase_name = "db"'),
        ("GREETING", '[vars]\nGREETING = "..."'),
    ],
)
def test_a_binding_that_is_not_configured(start: Start, name: str, lines: str) -> None:
    worker = start(
        default(f"""
            assert not hasattr(self.env, "{name}")
            assert getattr(self.env, "{name}", 1) == 1
            return await self.env.{name}.get("x")
        """),
        bindings=(Binding("OTHER", "kv", "x"),),
        channel=ChannelApp(),
        values={"COLOUR": "red"},
    )

    message = worker.get("/").json()["message"]

    assert message.startswith(f"AttributeError: `env.{name}` is not configured; env holds COLOUR, OTHER.")
    assert lines in message


def test_a_binding_that_nothing_answers(start: Start) -> None:
    worker = start(
        default("return await self.env.JOBS.send('x')"), raw={"queues": {"producers": [{"binding": "JOBS"}]}}
    )

    message = worker.get("/").json()["message"]

    assert message == "AttributeError: `env.JOBS` (Queue) is configured, and edgecli does not answer it."


def test_a_call_ends_when_its_request_does(start: Start) -> None:
    ended: list[str] = []

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        import asyncio

        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    worker = start(default("return await self.env.KV.get('x')"), bindings=BINDINGS, channel=slow, request_timeout=0.3)

    assert worker.get("/").json()["code"] == "worker_timeout"
    from tests.workers.python.conftest import eventually

    assert eventually(lambda: ended) == ["cancelled"]


def test_an_error_of_the_channel(start: Start) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("the store is broken")

    worker = start(default("return await self.env.KV.get('x')"), bindings=BINDINGS, channel=broken)

    assert worker.get("/").json()["message"] == "JsException: Error: The binding failed: the store is broken"
