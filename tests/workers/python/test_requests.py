"""What a Worker gets and answers."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import httpx2
import pytest

from edgecli.workers.filters import Filter
from edgecli.workers.process import Place
from edgecli.workers.python.handlers import _sent  # pyright: ignore[reportPrivateUsage]
from tests.workers.python.conftest import Loop, Start, default, eventually


def test_hello(start: Start) -> None:
    worker = start(default('return Response("你好, Worker")'))

    answer = worker.get("/")

    assert (answer.status_code, answer.text) == (200, "你好, Worker")
    assert answer.headers["content-type"] == "text/plain;charset=UTF-8"
    event = worker.events()[0]
    assert event.outcome == "ok"
    assert event.event is not None
    assert event.event["request"]["url"] == f"{worker.url}/"
    assert event.event["response"] == {"status": 200}


def test_what_a_request_holds(start: Start) -> None:
    worker = start(
        default("""
            return Response.json({
                "method": request.method, "url": request.url, "x": request.headers.get("X-Name"),
                "in": "x-NAME" in request.headers, "none": request.headers.get("missing"),
                "colo": request.cf["colo"], "json": await request.json(), "used": request.body_used,
            }, status=201, headers={"X-Extra": "1"})
        """)
    )

    answer = worker.post("/道/a%2Fb?q=1&q=2", json={"text": "漢字"}, headers={"X-Name": "v"})

    assert answer.status_code == 201
    assert answer.headers["x-extra"] == "1"
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "method": "POST",
        "url": f"{worker.url}/%E9%81%93/a%2Fb?q=1&q=2",
        "x": "v",
        "in": True,
        "none": None,
        "colo": "EDGE",
        "json": {"text": "漢字"},
        "used": True,
    }


def test_bytes_in_a_path_that_should_have_been_escaped() -> None:
    assert _sent("/道/%E9?x=名".encode()) == "/%E9%81%93/%E9?x=%E5%90%8D"


def test_a_body_is_read_once_and_a_clone_has_its_own(start: Start) -> None:
    worker = start(
        default("""
            copy = request.clone()
            first = await request.text()
            try:
                await request.text()
                second = "read twice"
            except OSError as error:
                second = str(error)
            return Response.json([first, second, (await copy.bytes()).decode()])
        """)
    )

    assert worker.post("/", content=b"one").json() == ["one", "Body already used", "one"]


def test_a_form_with_a_file(start: Start) -> None:
    worker = start(
        default("""
            form = await request.form_data()
            file = form["file"]
            back = FormData({"name": form["name"], "file": File([await file.bytes()], "回.txt", "text/plain")})
            return Response(back) if request.url.endswith("/back") else Response.json(
                [form["name"], form.get_all("n"), file.name, file.content_type, await file.text()])
        """)
    )
    fields = {"name": '名 "q"', "n": ["1", "2"]}
    files = {"file": ("报告.txt", "内容\r\n--x", "text/markdown")}

    read = worker.post("/", data=fields, files=files).json()
    back = worker.post("/back", data=fields, files=files)

    assert read == ['名 "q"', ["1", "2"], "报告.txt", "text/markdown", "内容\r\n--x"]
    assert worker.post("/", content=back.content, headers={"content-type": back.headers["content-type"]}).json() == [
        '名 "q"',
        [],
        "回.txt",
        "text/plain",
        "内容\r\n--x",
    ]


def test_a_form_that_is_none_says_so(start: Start) -> None:
    worker = start(default("return Response(str(await request.form_data()))"))

    worker.post("/", content=b"{}", headers={"content-type": "application/json"})

    assert "This body is no form: its content type is 'application/json'" in worker.errors[0].message


@pytest.mark.parametrize(
    ("handler", "path"),
    [
        ("async def on_fetch(request, env, ctx):\n    return Response(env.NAME)", "/"),
        ("async def on_fetch(request, env):\n    return Response(env.NAME)", "/"),
        ("def on_fetch(request):\n    return Response('Ada')", "/"),
        ("class Default:\n    def __init__(self, ctx, env):\n        self.env = env\n"
         "    def fetch(self, request):\n        return Response(self.env.NAME)", "/"),
        ("class Default(WorkerEntrypoint):\n    async def fetch(self, request, env, ctx):\n"
         "        return Response(env.NAME)", "/"),
        ("from workers import handler, env\n@handler\nasync def on_fetch(request, *rest):\n"
         "    return Response(env.NAME)", "/"),
    ],
)  # fmt: skip
def test_forms_of_a_handler(start: Start, handler: str, path: str) -> None:
    worker = start(handler, values={"NAME": "Ada"})

    assert worker.get(path).text == "Ada"


def test_each_request_has_an_instance_of_its_own(start: Start) -> None:
    worker = start(
        default("self.count = getattr(self, 'count', 0) + 1\nreturn Response(str(self.count))"),
    )

    assert [worker.get("/").text for _ in range(3)] == ["1", "1", "1"]


def test_answers_of_many_kinds(start: Start) -> None:
    worker = start(
        default("""
            from js import URLSearchParams, Response as JsResponse, Object
            answers = {
                "bytes": Response(b"\\x00\\xff"),
                "empty": Response(),
                "gone": Response(None, 204),
                "redirect": Response.redirect("https://example.com/新", 307),
                "blob": Response(Blob(["a", b"b"], "x/y")),
                "params": Response(URLSearchParams.new([("a", "1 2")])),
                "js": JsResponse.new("js", headers=Object.fromEntries([["x-a", "b"]]), status=202),
                "cookies": Response("", headers=[("set-cookie", "a=1"), ("set-cookie", "b=2")]),
                "not-found": Response("no", status=404, headers=Headers({"X-Why": "because"})),
                "list": Response.json([1, None, "é"]),
                "large": Response("x" * 1_000_000),
            }
            return answers[request.url.rpartition("/")[2]]
        """)
    )

    assert worker.get("/bytes").content == b"\x00\xff"
    assert worker.get("/empty").content == b""
    assert worker.get("/gone").status_code == 204
    redirect = worker.get("/redirect")
    assert (redirect.status_code, redirect.headers["location"]) == (307, "https://example.com/%E6%96%B0")
    blob = worker.get("/blob")
    assert (blob.text, blob.headers["content-type"]) == ("ab", "x/y")
    assert worker.get("/params").text == "a=1+2"
    js = worker.get("/js")
    assert (js.status_code, js.headers["x-a"], js.text) == (202, "b", "js")
    assert worker.get("/cookies").headers.get_list("set-cookie") == ["a=1", "b=2"]
    missing = worker.get("/not-found")
    assert (missing.status_code, missing.headers["x-why"]) == (404, "because")
    assert worker.get("/list").json() == [1, None, "é"]
    assert len(worker.get("/large").content) == 1_000_000
    assert worker.client.head("/large").headers["content-length"] == "1000000"


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("{'a': 1}", "`fetch` returned dict, not a Response: {'a': 1}"),
        ("'text'", "`fetch` returned str, not a Response: 'text'"),
        ("None", "`fetch` returned None: it has no `return`, or a branch without one."),
    ],
)
def test_an_answer_of_the_wrong_type(start: Start, tmp_path: Path, returned: str, said: str) -> None:
    worker = start(default(f"return {returned}"))

    assert worker.get("/").json() == {"code": "worker_bad_response", "message": said}
    assert worker.errors[0].hint == "Return a Response: Response(text), Response.json(data)."
    assert worker.errors[0].place == Place(str(tmp_path / "src/entry.py"), 5)
    assert worker.events()[0].outcome == "exception"


def test_a_response_takes_no_dictionary(start: Start) -> None:
    worker = start(default("return Response({'a': 1})"))

    worker.get("/")

    assert worker.errors[0].message == "TypeError: Unsupported type in Response: dict (use Response.json(...))"


def test_a_stream_comes_piece_by_piece(start: Start) -> None:
    worker = start(
        default("""
            async def pieces():
                for number in range(3):
                    yield f"data: {number}\\n\\n"
                    await asyncio.sleep(0.05)
            return Response(pieces(), headers={"content-type": "text/event-stream"})
        """)
    )

    with worker.client.stream("GET", "/") as answer:
        pieces = list(answer.iter_text())

    assert pieces == ["data: 0\n\n", "data: 1\n\n", "data: 2\n\n"]


def test_a_transform_stream(start: Start) -> None:
    worker = start(
        default("""
            from js import TransformStream, TextEncoder
            pipe = TransformStream.new()
            writer = pipe.writable.getWriter()
            async def write():
                for number in range(100):
                    await writer.write(TextEncoder.new().encode(f"{number}\\n"))
                await writer.close()
            self.ctx.waitUntil(write())
            return Response(pipe.readable)
        """)
    )

    assert worker.get("/").text.split() == [str(number) for number in range(100)]


def test_a_request_body_streams_through(start: Start) -> None:
    worker = start(default("return Response(request.body)"))
    pieces = [bytes([number]) * 100_000 for number in range(30)]

    answer = worker.post("/", content=iter(pieces))

    assert answer.content == b"".join(pieces)


def test_a_large_upload_that_nobody_reads(start: Start) -> None:
    worker = start(default('return Response("no, thanks")'))

    assert worker.post("/", content=b"x" * 5_000_000).text == "no, thanks"
    assert worker.get("/").text == "no, thanks"


def test_a_slow_reader_holds_up_the_stream_and_nothing_else(start: Start, tmp_path: Path) -> None:
    worker = start(
        default(f"""
            async def pieces():
                for number in range(1000):
                    open({str(tmp_path / "sent")!r}, "w").write(str(number))
                    yield b"x" * 100_000
            return Response("hi") if request.url.endswith("/hi") else Response(pieces())
        """)
    )

    with worker.client.stream("GET", "/") as answer:
        first = next(answer.iter_raw())
        assert first
        assert httpx2.get(f"{worker.url}/hi", trust_env=False).text == "hi"
        sent = eventually(lambda: (tmp_path / "sent").read_text())

    assert int(sent) < 900  # 100 MB were not produced: at most what sockets and windows hold


def test_the_handler_ends_when_the_client_leaves(start: Start) -> None:
    worker = start(
        default("""
            async def pieces():
                try:
                    while True:
                        yield "tick\\n"
                        await asyncio.sleep(0.01)
                finally:
                    print("the stream ended")
            if request.url.endswith("/stream"):
                return Response(pieces())
            try:
                print("waiting")
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                print("cancelled")
                raise
        """)
    )
    host, port = worker.url.removeprefix("http://").split(":")

    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        running = worker.process._handlers.events  # pyright: ignore[reportPrivateUsage]
        eventually(lambda: any(event.logs for event in running.values()))
    with worker.client.stream("GET", "/stream") as answer:
        next(answer.iter_raw())

    assert worker.said("the stream ended")
    assert worker.said("cancelled")
    assert len(worker.events(lambda event: event.outcome == "canceled", count=2)) == 2


def test_a_request_that_is_left_at_once_leaves_nothing(start: Start, loop: Loop) -> None:
    worker = start(default("await asyncio.sleep(100)"))
    process = worker.process

    async def leave() -> None:
        link = process._child.link  # pyright: ignore
        head = {"do": "fetch", "method": "GET", "url": "http://x/", "headers": [], "body": False}
        for _ in range(100):
            link.open(head, last=True).cancel()

    loop.run(leave())
    worker.stop(grace=20)

    assert loop.run(process.wait()) is None
    assert process._child.exit.result() == 0  # pyright: ignore — it ended by itself


def test_200_requests_at_a_time(start: Start) -> None:
    worker = start(
        default("""
            body = await request.json()
            await asyncio.sleep(0.1)
            print(body["n"])
            return Response.json({"n": body["n"]})
        """)
    )

    async def all_of_them() -> list[int]:
        limits = httpx2.Limits(max_connections=200)
        async with httpx2.AsyncClient(base_url=worker.url, limits=limits, timeout=60, trust_env=False) as client:
            answers = await asyncio.gather(*(client.post("/", json={"n": number}) for number in range(200)))
        return [answer.json()["n"] for answer in answers]

    assert asyncio.run(all_of_them()) == list(range(200))
    events = worker.events(lambda event: event.event is not None, count=200)
    assert sorted(int(worker.lines(event)[0]) for event in events) == list(range(200))


def test_variables_and_secrets(start: Start) -> None:
    worker = start(
        default("""
            from workers import env
            return Response.json([self.env.NAME, self.env.CONFIG.depth.x, self.env.CONFIG["list"][0].y, env.TOKEN])
        """),
        values={"NAME": "名", "CONFIG": {"depth": {"x": 1}, "list": [{"y": 2}]}},
        secrets={"TOKEN": "s"},
    )

    assert worker.get("/").json() == ["名", 1, 2, "s"]


def test_secrets_in_headers_are_not_in_events(start: Start) -> None:
    worker = start(default('return Response("ok")'))

    worker.get("/", headers={"authorization": "Bearer abc", "x-api-key": "k", "cookie": "c=1"})

    told = worker.events()[0].to_dict()
    assert [told["event"]["request"]["headers"][name] for name in ("authorization", "x-api-key", "cookie")] == [
        "REDACTED",
        "REDACTED",
        "REDACTED",
    ]
    assert "abc" not in json.dumps(told)
    assert Filter(header="authorization:bearer abc").takes(worker.events()[0]), "as wrangler's filter"
