"""A Worker on workerd, as its users meet it: routes, errors with their places, logs, time limits, WebSockets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from pathlib import Path

import httpx2
import pytest
import websockets
from starlette.types import Message, Receive, Scope, Send

from edgecli.config.settings import WorkersSettings
from edgecli.server.listening import Server
from edgecli.workers.journal import Event, Listener
from edgecli.workers.process import GONE, WorkerError
from edgecli.workers.process import Place as SourcePlace
from tests.workers.workerd.serving import Place, place, spec_of, until, write

pytestmark = pytest.mark.usefixtures("programs")

DEEP = """\
import { fail } from "./deep/失败";

interface Env { GREETING: string }

export default {
  async fetch(request: Request, env: Env, ctx: any): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === "/throw") {
      console.log("before", { a: [1, "二"] }, new Map());
      console.error(new Error("logged"));
      fail("坏了");
    }
    if (pathname === "/stream") {
      const { readable, writable } = new IdentityTransformStream();
      ctx.waitUntil((async () => {
        const writer = writable.getWriter();
        await writer.write(new TextEncoder().encode("one"));
        await scheduler.wait(200);
        console.log("after the head");
        await writer.close();
      })());
      return new Response(readable);
    }
    if (pathname === "/long") {
      console.log("at once");
      await freed();
      console.log("at last");
    }
    if (pathname === "/moved") return new Response(null, { status: 302, headers: { location: "http://elsewhere/" } });
    if (pathname === "/free") free = true;
    if (pathname === "/wrong") return 5 as unknown as Response;
    if (pathname === "/later") ctx.waitUntil((async () => { await null; fail("too late"); })());
    if (pathname === "/never") await new Promise(() => {});
    if (pathname === "/loop") for (;;) {}
    if (pathname === "/body") return new Response(request.body);
    if (pathname === "/cut") {
      return new Response(new ReadableStream({
        start: (to) => to.enqueue(new Uint8Array(9)),
        pull: async (to) => { await scheduler.wait(50); to.error(new Error("cut")); },
      }));
    }
    if (pathname === "/eat") {
      for (const kept = []; ; await scheduler.wait(1)) kept.push(new Uint8Array(8 << 20).fill(1));
    }
    if (pathname === "/gorge") {
      for (let i = 0; i < 3e9; i++); // until somebody waits for the answer to a ping
      for (const kept = []; ; ) kept.push(new Uint8Array(1 << 20).fill(1));
    }
    if (pathname === "/talk") {
      const line = "很长的一行 ".repeat(10_000);
      for (let i = 0; i < 10_000; i++) console.log(i, line);
    }
    if (pathname === "/socket") {
      const [client, server] = Object.values(new WebSocketPair());
      server.accept();
      server.addEventListener("close", () => server.close());
      server.addEventListener("message", (event) => server.send(`回声 ${event.data}`));
      return new Response(null, { status: 101, webSocket: client, headers: { "set-cookie": "seen=1" } });
    }
    return new Response(`${env.GREETING} ${pathname}`);
  },
  async scheduled(controller: any) {
    console.log("cron", controller.cron);
    if (controller.cron === "slow") await freed();
    if (controller.cron === "never") await new Promise(() => {});
    if (controller.cron === "bad") fail("im Plan");
  },
};
let free = false;
async function freed() {
  for (free = false; !free; ) await scheduler.wait(10);
}
"""
FAIL = """\
// TypeScript that grows shorter, so that the bundle's lines are others
type Never = never;

export function fail(message: string): Never {
  throw new TypeError(message);
}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project in a folder whose name has spaces and Chinese characters."""
    return write(tmp_path / "我的 project", {"src/index.ts": DEEP, "src/deep/失败.ts": FAIL})


async def start(here: Place, root: Path, **options: object) -> None:
    await here.start(spec_of(root, vars={"GREETING": "你好"}), **options)


def test_the_platforms_paths_go_to_the_server_and_all_else_to_the_worker(root: Path) -> None:
    async def run() -> None:
        async with place() as here:
            await start(here, root)
            assert (await here.http.get("/a/b?c=1")).text == "你好 /a/b"
            assert (await here.http.get("/healthz")).text == "你好 /healthz"
            for path in ("/client/v4/user", "/edge/healthz", "/_workers/other/x"):
                answer = (await here.http.get(path)).json()
                assert answer == {"platform": path, "host": f"127.0.0.1:{here.port}"}
            [event] = [
                each for each in await here.events(2) if each["event"] and "/a/b" in each["event"]["request"]["url"]
            ]
            assert event["event"]["request"]["method"] == "GET"
            assert event["event"]["response"] == {"status": 200}
            assert event["outcome"] == "ok" and event["edge"]["ms"] is not None

    asyncio.run(run())


def test_an_exception_is_shown_in_dev_with_the_users_own_lines(root: Path) -> None:
    async def run() -> None:
        async with place() as here:
            await start(here, root)
            answer = await here.http.get("/throw")
            assert answer.status_code == 500
            assert answer.headers["content-type"] == "text/plain; charset=utf-8"
            assert answer.text.startswith("src/deep/失败.ts:5:9: TypeError: 坏了\n")
            assert "\nTypeError: 坏了\n    at fail (src/deep/失败.ts:5:9)\n" in answer.text
            assert "src/index.ts:11:7" in answer.text and "edgecli-entry" not in answer.text
            assert ">    5 |   throw new TypeError(message);" in answer.text
            page = await here.http.get("/throw", headers={"accept": "text/html,*/*"})
            assert page.headers["content-type"] == "text/html; charset=utf-8"
            assert "src/deep/失败.ts:5:9" in page.text
            data = await here.http.get("/throw", headers={"accept": "application/json"})
            assert data.json()["error"]["place"] == {"file": "src/deep/失败.ts", "line": 5, "column": 9}

            [event, *_] = await here.events(3, outcome="exception")
            assert event["exceptions"][0]["name"] == "TypeError"
            assert "src/deep/失败.ts:5:9" in event["exceptions"][0]["stack"]
            first, second = event["logs"]
            assert (first["level"], first["message"]) == ("log", ["before", {"a": [1, "二"]}, "Map(0) []"])
            assert second["level"] == "error" and "src/index.ts:10:21" in second["message"][0]

    asyncio.run(run())


SAYS = """\
export default {
  async fetch(request: Request, env: unknown, ctx: any): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === "/format") console.log("%s is %o", "猫", { a: 1 }, new Set([1]));
    if (pathname === "/reject") Promise.reject(new Error("nobody cares"));
    if (pathname === "/string") throw "a string";
    if (pathname === "/cause") throw new Error("outer", { cause: new TypeError("inner", { cause: "deep" }) });
    if (pathname === "/nothing") return undefined as any;
    if (pathname === "/dict") return { a: 1 } as any;
    if (pathname === "/busy") for (let i = 0, till = 3e8; i < till; i++);
    return Response.json(request.cf ?? null);
  },
};
"""


def test_what_a_worker_says_and_throws_is_told_as_its_developer_would_read_it(tmp_path: Path) -> None:
    async def run() -> None:
        async with place() as here:
            await here.start(spec_of(write(tmp_path / "says", {"src/index.ts": SAYS})))
            assert (await here.http.get("/format")).json()["colo"] == "EDGE"
            [event] = await here.events(1)
            assert event["logs"][0]["message"] == [
                "%s is %o",
                "猫",
                {"a": 1},
                "Set(1) [1]",
            ]  # as the cloud's tail has it

            await here.http.get("/reject")
            *_, event = await here.events(2)
            assert event["logs"][0]["message"][0] == "Unhandled rejection:"
            assert "nobody cares\n    at Object.fetch (src/index.ts:5:" in event["logs"][0]["message"][1]

            assert (await here.http.get("/string")).text.startswith('Uncaught: "a string"')
            cause = (await here.http.get("/cause")).text
            assert "Caused by: TypeError: inner" in cause and 'Caused by: "deep"' in cause
            assert "returned undefined, not a Response" in (await here.http.get("/nothing")).text
            assert "returned an object (Object), not a Response" in (await here.http.get("/dict")).text

            await here.http.get("/busy")  # workerd's clock stands still while a Worker computes
            busy = next(each for each in await here.events(7) if each["event"]["request"]["url"].endswith("/busy"))
            assert busy["edge"]["ms"] > 0

    asyncio.run(run())


@pytest.mark.slow
def test_no_request_of_a_flood_loses_its_lines_or_its_end(tmp_path: Path) -> None:
    says = "export default { async fetch(request) { console.log(request.url); return new Response('x'); } };"

    async def run() -> None:
        async with place() as here:
            await here.start(spec_of(write(tmp_path / "flood", {"src/index.ts": says})))
            listener = Listener()
            heard: list[Event] = []

            async def hear() -> None:
                async for event in here.journal.follow(listener):
                    heard.append(event)  # noqa: PERF401 - there is no end to wait for

            hearing = asyncio.create_task(hear())
            await asyncio.gather(*(here.http.get(f"/{number}") for number in range(1_500)))
            await until(lambda: len(heard) + listener.missed >= 1_500)
            hearing.cancel()
            assert not listener.missed and {event.outcome for event in heard} == {"ok"}
            for event in heard:
                assert event.event is not None
                assert [entry["message"] for entry in event.logs] == [[event.event["request"]["url"]]]

    asyncio.run(run())


def test_an_exception_is_not_shown_in_serve_but_noted(root: Path) -> None:
    async def run() -> None:
        async with place() as here:
            await start(here, root, traces=False)
            answer = await here.http.get("/throw")
            assert (answer.status_code, answer.text) == (500, "error code: 1101\n")
            [event] = await here.events(1, outcome="exception")
            assert "src/deep/失败.ts:5:9" in event["exceptions"][0]["stack"]

    asyncio.run(run())


def test_a_response_of_the_wrong_type_and_an_exception_after_the_answer(root: Path) -> None:
    async def run() -> None:
        async with place() as here:
            await start(here, root)
            answer = await here.http.get("/wrong")
            assert answer.status_code == 500
            assert "returned a number, not a Response" in answer.text
            assert (await here.http.get("/later")).status_code == 200
            events = await here.events(2, outcome="exception")
            [late] = [each for each in events if each["exceptions"][0]["message"] == "too late"]
            assert "src/deep/失败.ts:5:9" in late["exceptions"][0]["stack"]

    asyncio.run(run())


def test_what_is_said_while_a_stream_runs_comes_too(root: Path) -> None:
    async def run() -> None:
        async with place() as here:
            await start(here, root)
            assert (await here.http.get("/stream")).text == "one"
            answer, late = await here.events(2)
            assert answer["event"]["response"] == {"status": 200} and not answer["logs"]
            assert late["event"]["request"]["url"].endswith("/stream")
            assert late["logs"][0]["message"] == ["after the head"]

    asyncio.run(run())


def test_the_lines_of_a_long_request_are_heard_at_once_and_in_its_event(root: Path) -> None:
    async def run() -> None:
        async with place() as here:
            await start(here, root)
            heard = here.journal.follow(Listener(live=True))

            async def part() -> Event:
                async with asyncio.timeout(10):
                    return await anext(event async for event in heard if event.runs)

            asked = asyncio.create_task(here.http.get("/long"))
            assert (await part()).logs[0]["message"] == ["at once"]
            await here.http.get("/free")
            await asked
            running = asyncio.create_task(here.processes[0].scheduled("slow"))
            assert ((await part()).event or {})["cron"] == "slow"
            await here.http.get("/free")
            await running
            await heard.aclose()
            event, cron = [each for each in await here.events(4) if each["logs"]]
            assert event["event"]["response"] == {"status": 200}
            assert [line["message"][0] for line in event["logs"]] == ["at once", "at last"]
            assert (cron["event"]["cron"], len(cron["logs"])) == ("slow", 1)

    asyncio.run(run())


def test_a_worker_that_never_answers_is_answered_for(root: Path) -> None:
    async def run() -> None:
        async with place() as here:
            await start(here, root, settings=WorkersSettings(request_timeout=0.5))
            answer = await here.http.get("/never")
            assert answer.status_code == 504
            assert "0.5 s" in answer.text
            with pytest.raises(WorkerError, match=r"did not end its `scheduled` handler within 0\.5 s") as caught:
                await here.processes[0].scheduled("never")
            assert (caught.value.code, caught.value.status) == ("worker_timeout", 504)
            [event] = [each for each in await here.events(2, outcome="exception") if "cron" in each["event"]]
            assert (event["event"]["cron"], event["exceptions"][0]["name"]) == ("never", "Timeout")
            assert (await here.http.get("/x")).text == "你好 /x"

    asyncio.run(run())


def test_an_endless_loop_ends_the_process_and_says_so(root: Path) -> None:
    async def run() -> None:
        async with place() as here:
            await start(here, root, settings=WorkersSettings(stall_timeout=1))
            with pytest.raises(httpx2.TransportError):
                await here.http.get("/loop")
            async with asyncio.timeout(10):
                problem = await here.processes[0].wait()
            assert problem is not None and problem.code == "worker_stalled"
            assert "stall_timeout" in (problem.hint or "")
            await start(here, root)
            assert (await here.http.get("/x")).text == "你好 /x"

    asyncio.run(run())


@pytest.mark.parametrize("path", ["/eat", pytest.param("/gorge", marks=pytest.mark.slow)])
def test_a_worker_that_takes_too_much_memory_is_ended(root: Path, path: str) -> None:
    async def run() -> None:
        async with place() as here:
            await start(here, root, settings=WorkersSettings(memory=200))
            with pytest.raises(httpx2.TransportError):
                await here.http.get(path)
            async with asyncio.timeout(10):
                problem = await here.processes[0].wait()
            assert problem is not None and problem.code in {"worker_memory", "worker_died"}

    asyncio.run(run())


def test_a_gigabyte_of_logs_neither_fills_memory_nor_stalls(root: Path) -> None:
    async def run() -> None:
        async with place() as here:
            await start(here, root)
            assert (await here.http.get("/talk", timeout=60)).status_code == 200
            assert (await here.http.get("/x")).text == "你好 /x"
            [event] = [each for each in await here.events(2) if each["logs"]]
            kept = len(event["logs"])
            assert 0 < kept < 1000, "a million characters are kept"
            assert kept + event["edge"]["left_out"] == 10_000
            assert len(event["logs"][0]["message"][1]) == 16_384

    asyncio.run(run())


def test_a_killed_workerd_is_reported(root: Path) -> None:
    async def run() -> None:
        async with place() as here:
            await start(here, root)
            process = here.processes[0]
            assert process.pid is not None
            os.kill(process.pid, 9)
            async with asyncio.timeout(10):
                problem = await process.wait()
            assert problem is not None and problem.code == "worker_died" and "SIGKILL" in problem.message

    asyncio.run(run())


def test_scheduled_runs_and_its_exception_has_its_place(root: Path) -> None:
    async def run() -> None:
        async with place() as here:
            await start(here, root, public=False)
            process = here.processes[0]
            await process.scheduled("*/5 * * * *")
            with pytest.raises(WorkerError, match="TypeError: im Plan") as caught:
                await process.scheduled("bad")
            assert caught.value.place == SourcePlace("src/deep/失败.ts", 5, 9)
            [event] = [
                each for each in await here.events(2) if each["event"] and each["event"]["cron"] == "*/5 * * * *"
            ]
            assert event["logs"][0]["message"] == ["cron", "*/5 * * * *"]

    asyncio.run(run())


def test_a_websocket_goes_through_the_public_socket(root: Path) -> None:
    async def run() -> None:
        async with place() as here:
            await start(here, root)
            async with websockets.connect(f"ws://127.0.0.1:{here.port}/socket", proxy=None) as socket:
                await socket.send("一")
                assert await socket.recv() == "回声 一"

    asyncio.run(run())


def test_the_asgi_way_in_streams_both_ways_and_keeps_every_path_for_the_worker(root: Path) -> None:
    async def run() -> None:
        async with place() as here:
            await start(here, root, public=False)
            transport = httpx2.ASGITransport(here.processes[0].fetch)
            async with httpx2.AsyncClient(transport=transport, base_url="http://host.example") as client:
                assert (await client.get("/client/v4/x?y=%2F")).text == "你好 /client/v4/x"
                mounted = {"path": "/x/文 件"}

                async def app(scope: Scope, receive: Receive, send: Send) -> None:
                    await here.processes[0].fetch(scope | mounted, receive, send)

                async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://h") as other:
                    assert (await other.get("/_workers/t/x/y")).text == "你好 /x/%E6%96%87%20%E4%BB%B6"
                sent = "很".encode() * 200_000
                assert (await client.post("/body", content=sent)).content == sent
                hidden = await client.get("/x", headers={"x-edgecli-do": "ping"})
                assert hidden.text == "你好 /x", "a client could talk to edgecli's own module"
                answer = await client.get("http://h//a/x", headers={"host": "[", "accept": "text/plain"})
                assert "Invalid URL" in answer.text, "the Worker's own words on what no URL can be made of"

                async def leaves() -> Message:
                    return {"type": "http.disconnect"}

                async def nothing(message: Message) -> None:
                    raise AssertionError(f"there is nobody to send {message} to")

                left = {"type": "http", "method": "POST", "path": "/body", "headers": [(b"content-length", b"9")]}
                await here.processes[0].fetch(left, leaves, nothing)

    asyncio.run(run())


def test_a_request_says_why_the_process_ended_under_it(root: Path) -> None:
    async def run() -> None:
        async with place() as here:
            await start(here, root, public=False, settings=WorkersSettings(stall_timeout=1))
            client = httpx2.AsyncClient(transport=httpx2.ASGITransport(here.processes[0].fetch), timeout=20)
            with pytest.raises(WorkerError, match="endless loop"):
                await client.get("http://h/loop")
            with pytest.raises(WorkerError) as caught:
                await client.get("http://h/x")
            assert caught.value.code == GONE

    asyncio.run(run())


def test_the_asgi_way_in_answers_while_it_asks_and_takes_websockets(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run() -> None:
        async with place() as here:
            await start(here, root, public=False)

            async def app(scope: Scope, receive: Receive, send: Send) -> None:
                await here.processes[0].fetch(scope, receive, send)

            server = Server(app, signals=False)
            serving = asyncio.create_task(server.serve(sockets=[here.listener]))
            try:
                sent = os.urandom(8 << 20)
                assert (await here.http.post("/body", content=sent)).content == sent
                assert (await here.http.get("/一?二=%2F")).text == "你好 /%E4%B8%80"
                with pytest.raises(httpx2.RemoteProtocolError):
                    await here.http.get("/cut")
                assert "ASGI" not in capsys.readouterr().err, "the Worker has said why the answer was cut"
                # What edgecli asks of its own module is not for clients to ask.
                inner = {"x-edgecli-do": "scheduled", "x-edgecli-cron": "bad"}
                address = f"ws://127.0.0.1:{here.port}"
                async with websockets.connect(f"{address}/socket", additional_headers=inner, proxy=None) as client:
                    assert client.response and client.response.headers["set-cookie"] == "seen=1"
                    await client.send("一")
                    assert await client.recv() == "回声 一"
                    await client.close(4001, "done")
                for path, status, body in (("/throw", 500, b"TypeError"), ("/stream", 200, b"one")):
                    with pytest.raises(websockets.InvalidStatus) as refused:
                        await websockets.connect(f"{address}{path}", proxy=None)
                    answer = refused.value.response
                    assert answer.status_code == status and body in answer.body
                with pytest.raises(websockets.InvalidURI, match="http://elsewhere/"):
                    await websockets.connect(f"{address}/moved", proxy=None)  # that client follows it
                assert "ASGI" not in capsys.readouterr().err, "a WebSocket may be refused"
            finally:
                server.should_exit = True
                await serving

    asyncio.run(run())


def test_a_project_that_is_read_only_and_behind_a_symbolic_link(root: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(root)
    folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(stat.S_IRUSR | stat.S_IXUSR)

    async def run() -> None:
        async with place() as here:
            await start(here, link)
            assert "src/deep/失败.ts:5:9" in (await here.http.get("/throw")).text

    try:
        asyncio.run(run())
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert sorted(path.name for path in root.rglob("*")) == ["deep", "index.ts", "src", "失败.ts"]


def test_what_the_user_should_know_is_said(root: Path) -> None:
    async def run() -> None:
        async with place() as here:
            raw = {"assets": {"directory": "./public"}}
            await here.start(spec_of(root, vars={"GREETING": "x"}, compatibility_date="2099-01-01", raw=raw))
            said = [line["message"][0] for event in here.journal.last for line in event.logs]
            assert any("2099-01-01, is newer" in line for line in said)
            assert any("`[assets]` is left out" in line for line in said)

    asyncio.run(run())


def test_nothing_is_left_behind(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()

    async def run() -> None:
        async with place() as here:
            await start(here, root)
            pid = here.processes[0].pid
            assert list((tmp_path / "t").iterdir())
            await here.processes[0].stop(grace=1)
            assert await here.processes[0].wait() is None
            assert pid is not None
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 0)
                raise AssertionError("workerd still runs")

    asyncio.run(run())
    assert not list((tmp_path / "t").iterdir())
