"""What a Worker imports: ASGI apps, `fetch`, and the shims of JavaScript."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from tests.workers.python.conftest import Start, default

STARLETTE = """
import asgi
from contextlib import asynccontextmanager
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, StreamingResponse
from starlette.responses import Response as StarletteResponse
from starlette.routing import Route

starts = []

@asynccontextmanager
async def lifespan(app):
    starts.append(1)
    yield {"started": len(starts)}

async def show(request):
    return JSONResponse({
        "name": request.path_params["name"], "q": request.query_params["q"], "env": request.scope["env"].NAME,
        "started": request.state.started, "body": (await request.body()).decode(), "url": str(request.url),
    })

async def stream(request):
    async def pieces():
        for number in range(3):
            yield f"{number}\\n"
            await asyncio.sleep(0.02)
    return StreamingResponse(pieces(), media_type="text/plain")

async def later():
    await asyncio.sleep(0.1)
    print("in the background")

async def background(request):
    return JSONResponse([], background=BackgroundTask(later))

async def broken(request):
    raise ValueError("in the app")

async def breaks_off(request):
    async def pieces():
        yield "one"
        await asyncio.sleep(0.05)
        raise ValueError("in the stream")
    return StreamingResponse(pieces())

class Endless:
    async def __call__(self, scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x" * 10_000, "more_body": True})
        except asyncio.CancelledError:
            print("the stream was left")
            raise

app = Starlette(lifespan=lifespan, routes=[
    Route("/show/{name}", show, methods=["GET", "POST"]), Route("/stream", stream),
    Route("/background", background), Route("/broken", broken),
    Route("/breaks-off", breaks_off), Route("/endless", Endless()),
])

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await asgi.fetch(app, request, self.env, self.ctx)
"""


def test_starlette(start: Start) -> None:
    worker = start(STARLETTE, values={"NAME": "名"})

    for _ in range(2):
        answer = worker.post("/show/李?q=1", content="x" * 300_000)
        shown = answer.json()
        assert shown.pop("body") == "x" * 300_000
        assert shown == {
            "name": "李", "q": "1", "env": "名", "started": 1, "url": f"{worker.url}/show/李?q=1",
        }  # fmt: skip
    with worker.client.stream("GET", "/stream") as streamed:
        assert list(streamed.iter_text()) == ["0\n", "1\n", "2\n"]
    assert worker.get("/nothing").status_code == 404
    assert worker.get("/background").json() == []
    assert worker.said("in the background")
    assert worker.get("/broken").status_code == 500
    assert worker.said("ValueError: in the app")
    with pytest.raises(Exception, match=r"incomplete|peer closed"):
        worker.get("/breaks-off")
    with worker.client.stream("GET", "/endless") as endless:
        next(endless.iter_raw())
    assert worker.said("the stream was left")


def test_websockets_say_that_they_are_not_there(start: Start) -> None:
    worker = start(STARLETTE)

    worker.get("/", headers={"upgrade": "websocket"})

    assert "WebSockets are not there" in worker.errors[0].message


def test_fastapi(start: Start) -> None:
    pytest.importorskip("fastapi", reason="fastapi is not installed")
    worker = start(
        """
        import asgi
        from fastapi import FastAPI, Request as FastRequest
        app = FastAPI()

        @app.get("/items/{number}")
        async def item(number: int, request: FastRequest, env=asgi.env):
            return {"number": number, "name": request.scope["env"].NAME, "env": env.NAME}

        class Default(WorkerEntrypoint):
            async def fetch(self, request):
                return await asgi.fetch(app, request, self.env)
        """,
        values={"NAME": "名"},
    )

    assert worker.get("/items/3").json() == {"number": 3, "name": "名", "env": "名"}
    assert worker.get("/items/x").status_code == 422


@pytest.fixture
def site() -> Iterator[str]:
    """A server that a Worker fetches from."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302 if self.path == "/old" else 200)
            self.send_header("location", "/new")
            self.send_header("x-path", self.path)
            self.send_header("x-host", self.headers["host"])
            self.end_headers()
            self.wfile.write(f"{self.path} {self.headers.get('x-me')}".encode())

        def do_POST(self) -> None:
            body = b""
            if self.headers.get("transfer-encoding") == "chunked":
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(201)
            self.end_headers()
            self.wfile.write(self.headers["content-type"].encode() + b" " + body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_fetch(start: Start, site: str) -> None:
    worker = start(
        default(f"""
            site = "{site}"
            got = await fetch(site + "/a", headers={{"x-me": "me"}})
            moved = await fetch(Request(site + "/old"))
            kept = await fetch(site + "/old", redirect="manual")
            posted = await fetch(site, method="POST", body="文", headers={{"content-type": "text/x"}})
            return Response.json([got.status, got.ok, got.headers["x-path"], await got.text(), moved.url, kept.status,
                                  posted.status, await posted.text()])
        """)
    )

    assert worker.get("/").json() == [
        200, True, "/a", "/a me", f"{site}/new", 302, 201, "text/x 文",
    ]  # fmt: skip


def test_fetch_with_the_headers_of_the_request(start: Start, site: str) -> None:
    worker = start(
        default(f"""
            answer = await fetch("{site}/a", headers=request.headers)
            return Response(answer.body, headers=answer.headers, status=answer.status)
        """)
    )

    answer = worker.post("/", content=b"body", headers={"x-me": "me"})

    assert (answer.text, answer.headers["x-host"]) == ("/a me", site.removeprefix("http://"))


def test_fetch_that_fails(start: Start) -> None:
    worker = start(
        default("""
            from pyodide.ffi import JsException
            said = []
            for url in ("http://127.0.0.1:1/", "ftp://x", "nonsense"):
                try:
                    await fetch(url)
                except JsException as error:
                    said.append(str(error))
            return Response.json(said)
        """)
    )

    said = worker.get("/").json()

    assert said[0].startswith("Error: fetch() to 127.0.0.1 failed: ")
    assert said[1:] == [
        "TypeError: fetch() takes an http or https URL, not 'ftp://x'",
        "TypeError: fetch() takes an http or https URL, not 'nonsense'",
    ]


@pytest.mark.parametrize(
    ("options", "said"), [({"outbound": "deny"}, "outbound is deny"), ({"offline": True}, "offline")]
)
def test_fetch_that_is_refused(start: Start, site: str, options: dict[str, object], said: str) -> None:
    worker = start(default(f'return await fetch("{site}")'), **options)

    message = worker.get("/").json()["message"]

    assert message.startswith(f"JsException: Error: fetch() to 127.0.0.1 was refused: {said}")


def test_the_ai_gateway_is_answered_here(start: Start) -> None:
    async def gateway(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        shown = {"path": scope["path"], "q": scope["query_string"].decode(), "body": (await request.body()).decode()}
        await JSONResponse(shown)(scope, receive, send)

    source = default("""
        answer = await fetch("https://gateway.ai.cloudflare.com/v1/a/g/openai/chat?x=1", method="POST", body="hi")
        return Response.json([answer.status, await answer.json()])
    """)

    assert start(source, gateway=gateway, offline=True).get("/").json() == [
        200, {"path": "/v1/a/g/openai/chat", "q": "x=1", "body": "hi"},
    ]  # fmt: skip
    status, body = start(source).get("/").json()
    assert status == 502
    assert body["errors"][0]["message"] == "The AI Gateway (gateway.ai.cloudflare.com) is not there in edgecli yet."


def test_shims_of_javascript(start: Start) -> None:
    worker = start(
        default("""
            from js import JSON, Object, URL, Headers as JsHeaders, TextDecoder, Uint8Array
            from pyodide.ffi import to_js, create_proxy, JsProxy, JsException
            value = to_js({"a": {"b": [1]}}, dict_converter=Object.fromEntries)
            url = URL.new("https://x.y:8/p?q=名#h")
            headers = JsHeaders.new({"A": "1"})
            headers.append("a", "2")
            try:
                JSON.parse("{")
            except JsException as error:
                name = error.name
            return Response.json([value.a.b, value.to_py()["a"], JSON.stringify({"x": "é"}), JSON.parse('{"y": 1}').y,
                url.hostname, url.port, url.pathname, url.searchParams.get("q"), headers.get("a"), name,
                TextDecoder.new().decode(Uint8Array.new([104, 105])), create_proxy(len)("ab")])
        """)
    )

    assert worker.get("/").json() == [
        [1], {"b": [1]}, '{"x":"é"}', 1, "x.y", "8", "/p", "名", "1, 2", "SyntaxError", "hi", 2,
    ]  # fmt: skip


def test_what_is_not_there_says_so_when_it_is_used(start: Start) -> None:
    worker = start(
        "from workers import DurableObject, WorkflowEntrypoint\nclass Counter(DurableObject):\n    pass\n"
        + default("Counter(self.ctx, self.env)")
    )

    assert "Durable Objects are not there in edgecli" in worker.get("/").json()["message"]


def test_patch_env(start: Start) -> None:
    worker = start(
        default("""
            from workers import patch_env, env
            with patch_env(NAME="other"):
                inside = env.NAME
            return Response.json([inside, env.NAME])
        """),
        values={"NAME": "own"},
    )

    assert worker.get("/").json() == ["other", "own"]
