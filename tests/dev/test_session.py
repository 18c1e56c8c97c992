"""`edgecli dev` as a person sees it: table, requests, keys, a broken save, the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from tests.dev.terminal import CONFIG, GOOD, DevTerminal, start_project

pytestmark = pytest.mark.slow

BROKEN = "from workers import Response\n\nasync def on_fetch(request)\n    return 1\n"
NEW = GOOD.replace(" one", " two")


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[DevTerminal]:
    terminal = DevTerminal(start_project(tmp_path / "my 项目"))
    yield terminal
    terminal.close()


def below(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def gone(processes: list[psutil.Process]) -> bool:
    return not [each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def test_a_session(terminal: DevTerminal) -> None:
    terminal.start()
    shown = terminal.everything()
    assert "Your Worker has access to the following bindings:" in shown
    assert 'env.GREETING ("hi")   Environment Variable  local' in shown
    assert "env.API_KEY (hidden)  Secret                local" in shown
    assert "s3cret" not in shown
    assert "edgecli vectorize create docs" in shown
    assert "│ [b] open a browser  [r] restart" in shown
    assert terminal.get("/a?b=1").text == "hi one"
    terminal.until("GET /a?b=1 200 OK (").until("  said 退款")
    terminal.press("l").until("Requests only")
    terminal.get("/quiet")
    terminal.until("GET /quiet 200 OK")
    assert terminal.everything().count("said 退款") == 1
    terminal.press("l").until("the Worker's lines.", times=2)
    terminal.press("m").until("No model is loaded")
    terminal.press("r").until("Reloaded `trial` in")
    terminal.press("c")
    terminal.get("/after")
    terminal.until("GET /after")
    assert "Reloaded" not in terminal.screen()
    assert "[x] exit" in terminal.screen()
    children = below(terminal.process.pid)
    assert children
    assert terminal.press("x").wait_for_end() == 0
    assert gone(children)
    assert not (terminal.root / ".edgecli" / "server.json").exists()


def test_a_broken_save_and_its_mending(terminal: DevTerminal) -> None:
    terminal.start()
    terminal.save(BROKEN)
    terminal.until("src/worker.py:3:").until("> ").until("goes on answering")
    answer = terminal.get()
    assert answer.text == "hi one"
    assert answer.headers["x-edgecli-error"].startswith("src/worker.py:3:")
    page = terminal.get("/page", accept="text/html")
    assert page.text.startswith("<h1>hi one</h1>")
    assert "Your last save is broken." in page.text and "async def on_fetch(request)" in page.text
    terminal.save(NEW)
    terminal.until("Reloaded `trial`")
    answer = terminal.get("/page", accept="text/html")
    assert answer.text == "<h1>hi two</h1>" and "x-edgecli-error" not in answer.headers
    terminal.save(CONFIG.replace('"hi"', '"hello"'), "wrangler.toml")
    terminal.until("Reloaded `trial`", times=2)
    assert terminal.get().text == "hello two"
    assert 'env.GREETING ("hello")' in terminal.everything()
    terminal.save(CONFIG + "x = [\n", "wrangler.toml")
    terminal.until("wrangler.toml:11").until("The configuration as it was before goes on.")
    assert terminal.get().text == "hello two"
    assert "wrangler.toml:11" in terminal.get("/page", accept="text/html").text
    terminal.save(CONFIG, "wrangler.toml")
    terminal.until("Reloaded `trial`", times=3)
    assert terminal.get("/page", accept="text/html").text == "<h1>hi two</h1>"


def test_what_a_request_prints_is_seen_while_it_runs(terminal: DevTerminal) -> None:
    says = """print("before 退款")
        import asyncio, os
        while not os.path.exists("go"):
            await asyncio.sleep(0.05)
        print("after")"""
    terminal.save(GOOD.replace('print("said 退款")', says))
    terminal.start()
    with ThreadPoolExecutor() as threads:
        asked = threads.submit(terminal.get, "/slow")
        terminal.until("GET /slow …").until("  before 退款")
        assert "GET /slow 200" not in terminal.everything()
        terminal.save("", "go")
        assert asked.result().text == "hi one"
    terminal.until("GET /slow 200 OK").until("  after")
    assert terminal.everything().count("before 退款") == 1


def test_a_worker_that_is_broken_from_the_start(terminal: DevTerminal) -> None:
    terminal.save(BROKEN)
    terminal.start().until("Nothing answers until it is mended.")
    page = terminal.get(accept="text/html")
    assert page.status_code == 500
    assert "src/worker.py:3" in page.text
    assert "async def on_fetch(request)" in page.text
    terminal.save(GOOD)
    terminal.until("Reloaded `trial`")
    assert terminal.get().text == "hi one"


def test_a_process_that_is_killed_is_started_anew(terminal: DevTerminal) -> None:
    terminal.start()
    assert terminal.get().text == "hi one"
    token = json.loads((terminal.root / ".edgecli" / "server.json").read_text())["token"]
    (worker,) = terminal.get("/edge/workers", authorization=f"Bearer {token}").json()["result"]
    os.kill(worker["pid"], signal.SIGKILL)
    terminal.until("is started anew")
    assert terminal.get().text == "hi one"


def test_on_a_narrow_terminal_nothing_is_cut(terminal: DevTerminal) -> None:
    terminal.start(columns=40)
    shown = terminal.everything()
    assert "│ [m] models         │" in shown
    assert "env.VECTORS (docs)\n  Vectorize Index\n  not created" in shown


@pytest.mark.parametrize("key", ["\x03", "x", "q"])
def test_the_terminal_is_given_back(tmp_path: Path, key: str) -> None:
    """A shell runs it, and asks the terminal afterwards."""
    root = start_project(tmp_path / "project")
    terminal = DevTerminal(root)
    command = f"{sys.executable} -m edgecli dev --port 0 --no-warm; echo code $?; stty -a"
    import pexpect

    terminal._process = pexpect.spawn("bash", ["-c", command], cwd=str(root), dimensions=(50, 100), timeout=20)
    try:
        terminal.until("[x] exit").press(key).until("code").until("icanon")
        assert f"code {130 if key == chr(3) else 0}" in terminal.everything()
        assert not {"-icanon", "-echo"} & set(terminal.everything().split())
    finally:
        terminal.close()


class Piped:
    """A session without a terminal."""

    def __init__(self, root: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edgecli", "dev", "--port", "0", "--no-warm", *arguments],
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self, number: int = signal.SIGINT) -> tuple[int, str, str]:
        self.process.send_signal(number)
        out, complaints = self.process.communicate(timeout=60)
        return self.process.returncode, out, complaints


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return start_project(tmp_path / "project")


def test_stdout_holds_the_address_and_nothing_else(root: Path) -> None:
    session = Piped(root)
    assert session.process.stdout is not None
    line = session.process.stdout.readline()
    assert line.startswith("Ready on http://localhost:")
    assert httpx.get(line.split()[-1]).text == "hi one"
    children = below(session.process.pid)
    code, rest, complaints = session.end()
    assert (code, rest) == (130, "")
    assert "GET / 200 OK" in complaints
    assert "[x] exit" not in complaints
    assert "\x1b" not in complaints
    assert "Traceback" not in complaints
    assert gone(children)


CUT = """
import asyncio
from workers import Response

async def on_fetch(request, env, ctx):
    async def pieces():
        yield b"one"
        if request.url.endswith("/never"):
            await asyncio.sleep(1000)
        raise ValueError("middle")
    return Response(pieces())
"""


def test_answers_that_were_cut_off_are_told_once_and_in_our_words(root: Path) -> None:
    (root / "src" / "worker.py").write_text(CUT, encoding="utf-8")
    session = Piped(root)
    assert session.process.stdout is not None
    address = session.process.stdout.readline().split()[-1]
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(address)
    with httpx.stream("GET", f"{address}/never") as answer:
        assert next(answer.iter_raw()) == b"one"
        code, _, complaints = session.end()
    assert code == 130
    assert "GET / 200 OK, cut off (" in complaints
    assert "GET /never 200 OK, canceled (" in complaints
    assert "ASGI" not in complaints
    assert "graceful" not in complaints


def test_events_for_programs(root: Path) -> None:
    session = Piped(root, "--json", "--var", "GREETING:ho")
    assert session.process.stdout is not None
    bindings, ready = (json.loads(session.process.stdout.readline()) for _ in range(2))
    assert bindings["bindings"][0]["name"] == "env.VECTORS (docs)"
    assert httpx.get(ready["address"]).text == "ho one"
    asked = json.loads(session.process.stdout.readline())
    assert (asked["event"], asked["call"]["response"]["status"]) == ("request", 200)
    (root / "src" / "worker.py").write_text(BROKEN, encoding="utf-8")
    broken = json.loads(session.process.stdout.readline())
    assert (broken["event"], broken["answers"], broken["error"]["line"]) == ("broken", True, 3)
    (root / "src" / "worker.py").write_text(NEW, encoding="utf-8")
    assert json.loads(session.process.stdout.readline())["event"] == "reloaded"
    assert session.end(signal.SIGTERM)[0] == 143


def test_without_reload_a_save_changes_nothing(root: Path) -> None:
    session = Piped(root, "--no-reload")
    assert session.process.stdout is not None
    address = session.process.stdout.readline().split()[-1]
    (root / "src" / "worker.py").write_text(NEW, encoding="utf-8")
    time.sleep(1)
    assert httpx.get(address).text == "hi one"
    assert session.end()[0] == 130


def test_a_second_session_says_who_runs(root: Path) -> None:
    session = Piped(root)
    assert session.process.stdout is not None
    session.process.stdout.readline()
    code, out, complaints = Piped(root).end(0)
    assert (code, out) == (1, "")
    assert "already runs at http://127.0.0.1:" in complaints
    assert f"process {session.process.pid}" in complaints
    session.end()


def test_on_another_address_the_platform_wants_the_token_and_the_worker_does_not(root: Path) -> None:
    session = Piped(root, "--ip", "0.0.0.0", "--token", "t0ken")
    assert session.process.stdout is not None
    port = session.process.stdout.readline().rpartition(":")[2].strip()
    models = f"http://127.0.0.1:{port}/client/v4/accounts/a/ai/models/search"
    answers = [httpx.get(f"http://127.0.0.1:{port}/"), httpx.get(models)]
    answers.append(httpx.get(models, headers={"authorization": "Bearer t0ken"}))
    session.end()
    assert [each.status_code for each in answers] == [200, 401, 200]


def test_the_state_may_lie_elsewhere(root: Path, tmp_path: Path) -> None:
    session = Piped(root, "--persist-to", str(tmp_path / "state"))
    assert session.process.stdout is not None
    session.process.stdout.readline()
    assert (tmp_path / "state" / "server.json").exists()
    assert not (root / ".edgecli").exists()
    session.end()


def test_a_worker_that_writes_without_end_does_not_flood(root: Path) -> None:
    flood = GOOD.replace(
        'print("said 退款")',
        'print("x" * 9 + "\\n", end="") if "flood" not in request.url else [print("x" * 9) for _ in range(200_000)]',
    )
    (root / "src" / "worker.py").write_text(flood, encoding="utf-8")
    session = Piped(root)
    assert session.process.stdout is not None
    address = session.process.stdout.readline().split()[-1]
    for _ in range(3):
        assert httpx.get(address + "/flood", timeout=120).status_code == 200
    assert httpx.get(address).text == "hi one"
    time.sleep(1.5)
    _, _, complaints = session.end()
    assert "lines left out" in complaints
    assert len(complaints) < 1_000_000


def test_tail_follows_it(root: Path) -> None:
    session = Piped(root)
    assert session.process.stdout is not None
    address = session.process.stdout.readline().split()[-1]
    tails = [
        subprocess.Popen(
            [sys.executable, "-m", "edgecli", "tail", *options],
            cwd=root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for options in (["--format", "pretty"], ["trial", "--method", "POST", "--search", "退款"])
    ]
    for tail in tails:
        assert tail.stderr is not None
        assert "waiting for logs" in tail.stderr.readline()
    httpx.get(address + "/first")
    httpx.post(address + "/second", headers={"authorization": "Bearer s3cret"})
    heard: list[str] = []
    time.sleep(0.5)
    for tail in tails:
        tail.send_signal(signal.SIGINT)
        out, _ = tail.communicate(timeout=30)
        heard.append(out)
        assert tail.returncode == 130
    assert f"GET {address}/first - Ok @ " in heard[0]
    assert "\n  (log) said 退款" in heard[0]
    (event,) = (json.loads(line) for line in heard[1].splitlines())
    assert event["event"]["request"]["method"] == "POST"
    assert "s3cret" not in heard[1]
    session.end()


def test_tail_without_a_server(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edgecli", "tail"], cwd=root, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "No server runs for this project" in done.stderr
    assert "`edgecli dev`" in done.stderr
