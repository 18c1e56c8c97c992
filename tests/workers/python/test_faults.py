"""What a Worker does wrong, and what becomes of the server and of other requests."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgecli.workers.display import Painter, detail
from edgecli.workers.process import WorkerError
from edgecli.workers.python.host import PythonProcess
from edgecli.workers.python.spawn import Child
from tests.workers.python.conftest import HEADER, Loop, Start, default, eventually, gone

Fails = Callable[..., WorkerError]
Make = Callable[..., PythonProcess]
LINE = HEADER.count("\n") + 1
"""The line on which a test's source begins."""


def test_an_exception_has_its_trace_in_the_users_files(start: Start, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "helper.py").write_text("def divide(x):\n    return 1 / x\n", encoding="utf-8")
    worker = start("import helper\n" + default("helper.divide(0)"))

    assert worker.get("/").json() == {"code": "worker_exception", "message": "ZeroDivisionError: division by zero"}
    error = worker.errors[0]
    assert error.place is not None
    assert (error.place.file, error.place.line) == (str(tmp_path / "src" / "helper.py"), 2)
    assert "entry.py" in error.trace
    assert "edgecli" not in error.trace.replace(str(tmp_path), "")
    assert error.trace.endswith("ZeroDivisionError: division by zero\n")
    event = worker.events()[0]
    assert event.outcome == "exception"
    assert event.exceptions[0]["name"] == "ZeroDivisionError"
    assert event.exceptions[0]["message"] == "division by zero"
    assert event.event is not None and event.event["response"] == {"status": 500}
    assert worker.get("/").status_code == 500  # and goes on


def test_an_exception_in_a_stream_cuts_the_answer(start: Start) -> None:
    worker = start(
        default("""
            async def pieces():
                yield "one"
                await asyncio.sleep(0.05)
                raise ValueError("broke")
            return Response(pieces())
        """)
    )

    with pytest.raises(Exception, match=r"incomplete|peer closed"):
        worker.get("/")

    assert worker.events()[0].exceptions[0]["message"] == "broke"


def test_exit_in_a_handler_is_an_exception(start: Start) -> None:
    worker = start(default("sys.exit(3)"))

    assert worker.get("/").json() == {"code": "worker_exception", "message": "SystemExit: 3"}
    assert worker.get("/").status_code == 500


def test_an_exception_that_cannot_be_shown(start: Start) -> None:
    worker = start(
        "class Odd(Exception):\n    def __str__(self):\n        raise ValueError\n"
        + default("raise Odd() if request.url.endswith('/odd') else ValueError('half \\ud83d')")
    )

    assert worker.get("/odd").json() == {"code": "worker_exception", "message": "Odd: <its str() failed>"}
    assert worker.get("/").json()["message"].startswith("ValueError: half ")


def test_a_handler_that_is_not_there(start: Start) -> None:
    worker = start(default("pass", "scheduled(self, controller)"))

    assert worker.get("/").json()["message"] == "src/entry.py has no `fetch` handler."


def test_syntax_error(fails: Fails, tmp_path: Path) -> None:
    error = fails("def broken(:\n    pass\n")

    assert error.code == "worker_start"
    assert error.message.startswith("SyntaxError: ")
    assert error.place is not None
    assert (error.place.file, error.place.line) == (str(tmp_path / "src/entry.py"), LINE)


def test_error_on_import(fails: Fails, tmp_path: Path) -> None:
    error = fails("x = {}['missing']")

    assert error.message == "KeyError: 'missing'"
    assert error.place is not None
    assert (error.place.file, error.place.line) == (str(tmp_path / "src/entry.py"), LINE)


def test_a_module_that_is_not_installed(fails: Fails) -> None:
    error = fails("import no_such_module_here")

    assert error.message == "There is no module `no_such_module_here`, neither in the project nor installed."
    assert error.hint is not None
    assert f"{sys.executable} -m pip install no_such_module_here" in error.hint


def test_a_name_that_workers_has_not(fails: Fails) -> None:
    error = fails("from workers import Teleport")

    assert "cannot import name 'Teleport' from 'workers'" in error.message
    assert error.hint == "edgecli's `workers` holds the part of Cloudflare's that works offline; this is not in it."


def test_a_name_that_js_has_not(fails: Fails) -> None:
    assert "cannot import name 'document'" in fails("from js import document").message


def test_a_module_without_handlers(fails: Fails) -> None:
    error = fails("x = 1")

    assert error.message.startswith("src/entry.py has no handler: it needs `class Default(WorkerEntrypoint)`")
    assert error.trace == ""


def test_a_main_that_does_not_exist(fails: Fails, tmp_path: Path) -> None:
    error = fails("", main="missing.py")

    assert error.message == f"The Worker's main module {tmp_path / 'missing.py'} does not exist."


def test_exit_while_importing(fails: Fails) -> None:
    assert "ended: exit status 7" in fails("os._exit(7)").message


def test_a_module_that_is_never_imported(fails: Fails) -> None:
    error = fails("while True: pass", stall_timeout=1.0)

    assert "was not imported within 1 s" in error.message
    assert error.place is not None
    assert error.place.line == LINE


def test_no_answer(start: Start) -> None:
    worker = start(
        default("""
            if request.url.endswith("/ok"):
                return Response("ok")
            try:
                await asyncio.sleep(100)
            finally:
                print("cancelled")
        """),
        request_timeout=0.3,
    )

    answer = worker.get("/")

    assert (answer.status_code, answer.json()["code"]) == (504, "worker_timeout")
    (event,) = worker.events(lambda event: bool(event.exceptions))
    assert list(detail(event, Painter(colour=False))) == ["  The Worker did not begin its answer within 0.3 s."]
    assert worker.said("cancelled")
    assert worker.get("/ok").text == "ok"


def test_an_endless_loop_ends_the_process(start: Start, loop: Loop) -> None:
    worker = start(
        default("""
            print("in the loop")
            while True:
                pass
        """),
        stall_timeout=1.0,
    )

    assert worker.get("/").json()["code"] == "worker_stalled"
    event = worker.events()[0]
    assert event.outcome == "exceededCpu"
    assert worker.lines(event) == ["in the loop"]
    why = loop.run(worker.process.wait())
    assert why is not None
    assert why.code == "worker_stalled"
    assert why.place is not None
    assert Path(why.place.file).read_text().splitlines()[why.place.line - 1].strip() in ("while True:", "pass")
    assert "in fetch\n" in why.trace
    assert "child.py" not in why.trace
    assert why.trace in event.exceptions[0]["stack"]
    assert worker.get("/").json()["code"] == "worker_stalled"  # and says so from now on
    assert worker.process.pid is not None
    assert gone(worker.process.pid)


def test_a_coroutine_that_nobody_awaited(start: Start) -> None:
    worker = start("""
        async def answer():
            return Response("hi")

        async def on_fetch(request, env, ctx):
            return answer()
    """)

    assert worker.get("/").json()["message"] == "`fetch` returned a coroutine that nobody awaited: `answer`."
    assert worker.errors[0].hint == "Await it: return await answer(...)."
    assert worker.lines(worker.events()[0]) == []


def test_a_trace_names_the_exceptions_of_bindings_as_pyodide_does(start: Start) -> None:
    worker = start(default("return await fetch('http://nowhere.invalid/')"))

    worker.get("/")

    assert "\npyodide.ffi.JsException: " in worker.errors[0].trace


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("os._exit(3)", "exit status 3"),
        ("import ctypes; ctypes.string_at(0)", "signal SIGSEGV"),
        ("import signal; os.kill(os.getpid(), signal.SIGKILL)", "signal SIGKILL"),
    ],
)
def test_a_crash(start: Start, loop: Loop, body: str, said: str) -> None:
    worker = start(default(f"print('last words')\n{body}"))

    answer = worker.get("/").json()

    assert answer["code"] == "worker_died"
    assert said in answer["message"]
    assert worker.lines(worker.events(lambda event: event.event is not None)[0]) == ["last words"]
    if "SEGV" in said:  # where it happened
        assert "entry.py" in worker.errors[0].trace
    assert loop.run(worker.process.wait()).code == "worker_died"


def test_a_crash_while_others_wait(start: Start, loop: Loop) -> None:
    worker = start(default("await asyncio.sleep(100)"))
    process = worker.process
    sent: list[object] = []

    async def ask() -> None:
        async def receive() -> dict[str, object]:
            import asyncio

            await asyncio.Event().wait()
            return {}

        async def send(message: object) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "GET", "scheme": "http", "path": "/", "raw_path": b"/", "query_string": b"",
            "headers": [],
        }  # fmt: skip
        await process.fetch(scope, receive, send)  # pyright: ignore[reportArgumentType]

    waiting = [loop.begin(ask()) for _ in range(20)]
    eventually(lambda: len(process._handlers.events) == 20)  # pyright: ignore[reportPrivateUsage]
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)

    for each in waiting:
        with pytest.raises(WorkerError, match="signal SIGKILL"):
            each.result(30)
    assert not sent


def test_too_much_memory(start: Start, loop: Loop) -> None:
    worker = start(
        default("""
            held = []
            while True:
                held.append(b"x" * 10_000_000)
                await asyncio.sleep(0.01)
        """),
        memory=128,
    )

    assert worker.get("/").json()["code"] == "worker_memory"
    assert worker.events()[0].outcome == "exceededMemory"
    assert loop.run(worker.process.wait()).code == "worker_memory"


def test_what_a_worker_starts_ends_with_it(start: Start) -> None:
    worker = start(default("import subprocess\nreturn Response(str(subprocess.Popen(['sleep', '600']).pid))"))
    pid = int(worker.get("/").text)

    worker.stop()

    assert eventually(lambda: gone(pid))


@pytest.mark.parametrize("body", ["await asyncio.sleep(1000)", "while True: pass"])
def test_a_worker_ends_with_its_server(tmp_path: Path, body: str) -> None:
    (tmp_path / "entry.py").write_text(HEADER + default(body), encoding="utf-8")
    program = f"""
import asyncio, sys
from pathlib import Path
from edgecli.config.settings import WorkersSettings
from edgecli.workers.journal import Journal
from edgecli.workers.python.host import PythonProcess
from edgecli.workers.spec import WorkerSpec

async def nothing(*_):
    await asyncio.Event().wait()

async def main():
    root = Path({str(tmp_path)!r})
    process = PythonProcess(WorkerSpec("w", root, root / "entry.py"), nothing, Journal(), WorkersSettings())
    await process.start()
    scope = {{"type": "http", "method": "GET", "scheme": "http", "path": "/", "raw_path": b"/", "query_string": b"",
              "headers": []}}
    asked = asyncio.create_task(process.fetch(scope, nothing, nothing))
    await asyncio.sleep(0.3)
    print(process.pid, flush=True)
    await asked

asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        pid = int(server.stdout.readline())
        assert not gone(pid)
        server.kill()

    assert eventually(lambda: gone(pid))


def test_stop_lets_requests_end(start: Start, loop: Loop) -> None:
    worker = start(default("await asyncio.sleep(0.5)\nreturn Response('done')"))
    asked = loop.loop.run_in_executor(None, worker.get, "/")
    eventually(lambda: worker.process._handlers.events)  # pyright: ignore[reportPrivateUsage]

    worker.stop(grace=20)

    eventually(asked.done)
    assert asked.result().text == "done"
    assert loop.run(worker.process.wait()) is None


def test_stop_ends_what_does_not_end(start: Start, loop: Loop) -> None:
    worker = start(default("while True: pass"))
    asked = loop.loop.run_in_executor(None, worker.get, "/")
    eventually(lambda: worker.process._handlers.events)  # pyright: ignore[reportPrivateUsage]
    began = time.monotonic()

    worker.stop(grace=0.2)

    eventually(asked.done)
    assert asked.result().json()["code"] == "worker_stopped"
    assert time.monotonic() - began < 15
    assert loop.run(worker.process.wait()) is None
    assert worker.get("/").json()["code"] == "worker_stopped"


def test_a_spare_process_is_used_and_ended(make: Make, loop: Loop) -> None:
    loop.run(PythonProcess.prepare())
    spare = PythonProcess._spare  # pyright: ignore[reportPrivateUsage]
    assert spare is not None
    process = make(default("return Response('hi')"))

    loop.run(process.start())
    assert process.pid == spare.pid
    loop.run(process.stop(grace=1))
    assert gone(spare.pid)

    loop.run(PythonProcess.prepare())
    unused = PythonProcess._spare  # pyright: ignore[reportPrivateUsage]
    assert unused is not None
    loop.run(PythonProcess.release())
    assert gone(unused.pid)


def test_two_that_prepare_at_once_leave_one_process(loop: Loop) -> None:
    spawned: list[Child] = []

    async def both() -> None:
        original = Child.spawn

        async def spawn() -> Child:
            spawned.append(await original())
            return spawned[-1]

        Child.spawn = spawn
        try:
            await asyncio.gather(PythonProcess.prepare(), PythonProcess.prepare())
            await PythonProcess.prepare()
        finally:
            Child.spawn = original

    loop.run(both())
    assert len(spawned) == 2, "one that waits is kept"
    loop.run(PythonProcess.release())
    assert all(gone(each.pid) for each in spawned)


def test_a_url_that_is_none_is_an_error_and_no_wait(start: Start) -> None:
    worker = start(default("return await fetch('http://[')"))
    assert worker.get("/", timeout=10).json()["code"] == "worker_exception"


def test_a_folder_with_spaces_chinese_and_symbolic_links(start: Start, tmp_path: Path) -> None:
    real = tmp_path / "我的 项目"
    real.mkdir()
    link = tmp_path / "链接 link"
    link.symlink_to(real)
    (real / "python_modules").mkdir()
    (real / "python_modules" / "vendored.py").write_text("NAME = '打包'", encoding="utf-8")
    (real / "src").mkdir()
    (real / "src" / "模块.py").write_text("NAME = '模块'", encoding="utf-8")
    worker = start(
        "import vendored, 模块\n" + default("return Response.json([vendored.NAME, 模块.NAME, os.getcwd()])"), root=link
    )

    assert worker.get("/").json() == ["打包", "模块", str(real)]


def test_a_read_only_project_stays_as_it_is(start: Start, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "helper.py").write_text("NAME = 1", encoding="utf-8")
    (tmp_path / "src" / "entry.py").write_text(
        HEADER + "import helper\n" + default("return Response('ok')"), encoding="utf-8"
    )
    (tmp_path / "src").chmod(0o555)

    worker = start("")

    assert worker.get("/").text == "ok"
    assert sorted(each.name for each in (tmp_path / "src").iterdir()) == ["entry.py", "helper.py"]
    (tmp_path / "src").chmod(0o755)


def test_a_worker_named_like_a_module_of_python(start: Start) -> None:
    worker = start(default("return Response(json.dumps({'a': 1}))"), main="json.py")

    assert worker.get("/").text == '{"a": 1}'
