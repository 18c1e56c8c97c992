"""`edgecli serve` with a Worker: it answers at `/`, and its faults are nobody's business."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import httpx
import psutil
import pytest

from tests.server.conftest import Server
from tests.workers.workerd.conftest import workerd_home  # noqa: F401 - a fixture

pytestmark = pytest.mark.slow

PYTHON = """
import sys
from workers import Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        print("said 退款")
        if "boom" in request.url:
            raise ValueError("secret trace")
        if "exit" in request.url:
            import os
            os._exit(3)
        return Response("one")
"""
JAVASCRIPT = """
export default {
  async fetch(request: Request): Promise<Response> {
    if (request.url.includes("boom")) throw new Error("secret trace");
    return new Response("one");
  },
};
"""
CONFIG = 'name = "trial"\nmain = "{main}"\ncompatibility_date = "2026-03-01"\ncompatibility_flags = [{flags}]\n'


@pytest.fixture
def python(tmp_path: Path) -> Path:
    (tmp_path / "worker.py").write_text(PYTHON, encoding="utf-8")
    config = CONFIG.format(main="worker.py", flags='"python_workers"')
    (tmp_path / "wrangler.toml").write_text(config, encoding="utf-8")
    return tmp_path


@pytest.fixture
def javascript(tmp_path: Path) -> Path:
    (tmp_path / "index.ts").write_text(JAVASCRIPT, encoding="utf-8")
    (tmp_path / "wrangler.toml").write_text(CONFIG.format(main="index.ts", flags=""), encoding="utf-8")
    return tmp_path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def worker_of(server: Server) -> dict[str, object]:
    own = json.loads(server.file.read_text())["address"]
    answer = httpx.get(f"{own}/edge/workers", headers={"authorization": f"Bearer {server.token}"}, timeout=30)
    return answer.json()["result"][0]


def kill_worker(server: Server) -> None:
    """Kill the Worker's process, and wait until the server has noticed."""
    pid = worker_of(server)["pid"]
    os.kill(int(str(pid)), signal.SIGKILL)
    while worker_of(server)["pid"] == pid:
        time.sleep(0.01)


def test_it_answers_beside_the_platform(python: Path, home: Path) -> None:
    server = Server(python, home, "--no-warm")
    with server.http() as client:
        assert client.get("/").text == "one"
        assert client.get("/healthz").text == "one"
        assert client.get("/metrics").text == "one"
        assert client.get("/edge/healthz").text == "ok\n"
        assert client.get("/client/v4/accounts/a/vectorize/v2/indexes").json()["success"]
        failed = client.get("/boom", headers={"accept": "text/html"})
        assert (failed.status_code, failed.text) == (500, "error code: 1101\n")
    children = psutil.Process(server.process.pid).children(recursive=True)
    code, complaints = server.end()
    assert code == 143
    assert "GET /healthz 200 OK (" in complaints
    assert "  said 退款" in complaints
    assert "ValueError: secret trace" in complaints
    assert not [each for each in children if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def test_one_that_ends_itself_comes_back(python: Path, home: Path) -> None:
    server = Server(python, home, "--no-warm")
    with server.http() as client:
        assert client.get("/exit").status_code == 500
        assert client.get("/").text == "one"
        kill_worker(server)
        assert client.get("/").text == "one"
    complaints = server.end()[1]
    assert complaints.count("is started anew") == 2


def test_one_that_does_not_start_leaves_the_platform(python: Path, home: Path) -> None:
    (python / "worker.py").write_text("import nothing_of_this_name\n", encoding="utf-8")
    server = Server(python, home, "--no-warm")
    with server.http() as client:
        assert (client.get("/").status_code, client.get("/").text) == (500, "error code: 1101\n")
        assert client.get("/edge/healthz").text == "ok\n"
    assert worker_of(server)["state"] == "failed"
    assert "nothing_of_this_name" in server.end()[1]


def test_on_other_addresses_the_platform_wants_the_token_and_the_worker_does_not(python: Path, home: Path) -> None:
    server = Server(python, home, "--no-warm", "--host", "0.0.0.0", "--token", "secret")
    port = server.ready["address"].rpartition(":")[2]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        assert client.get("/").text == "one"
        for path in ("/client/v4/accounts/a/vectorize/v2/indexes", "/edge/status"):
            assert client.get(path).status_code == 401
            assert client.get(path, headers={"authorization": "Bearer secret"}).status_code == 200
    server.end()


def test_a_javascript_worker_has_the_public_socket(
    javascript: Path,
    workerd_home: Path,  # noqa: F811
) -> None:
    server = Server(javascript, workerd_home, "--no-warm")
    public, own = server.ready["address"], json.loads(server.file.read_text())["address"]
    assert public.rpartition(":")[2] != own.rpartition(":")[2]
    failed: list[object] = []
    going = True

    def ask() -> None:
        with httpx.Client() as client:
            while going:
                try:
                    answer = client.get(public, headers={"connection": "close"}, timeout=30)
                    if (answer.status_code, answer.text) != (200, "one"):
                        failed.append((answer.status_code, answer.text))
                except httpx.HTTPError as error:
                    failed.append(error)

    with server.http() as client:
        assert client.get("/healthz").text == "one"
        assert client.get("/edge/healthz").text == "ok\n"
        assert client.get("/edge/status").status_code == 401
        assert client.get("/edge/status", headers={"origin": "https://evil.example"}).status_code == 403
        failed_one = client.get("/boom")
        assert failed_one.status_code == 500
        assert "secret" not in failed_one.text
    clients = [threading.Thread(target=ask) for _ in range(2)]
    for each in clients:
        each.start()
    kill_worker(server)
    while worker_of(server)["state"] != "running":
        time.sleep(0.05)
    going = False
    for each in clients:
        each.join()
    # What the killed process had taken is lost with it: at most one request of each client.
    assert len(failed) <= len(clients), failed
    children = psutil.Process(server.process.pid).children(recursive=True)
    assert server.end(signal.SIGINT)[0] == 130
    assert not [each for each in children if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def test_without_workerd_the_platform_answers_on_the_public_socket(javascript: Path, tmp_path: Path) -> None:
    (javascript / "index.ts").write_text("export default {", encoding="utf-8")
    (javascript / "wrangler.toml").write_text(
        CONFIG.format(main="index.ts", flags="") + "[edgecli]\noffline = true\n", encoding="utf-8"
    )
    server = Server(javascript, tmp_path / "empty", "--no-warm")
    with server.http() as client:
        assert client.get("/").status_code == 500
        assert client.get("/edge/healthz").text == "ok\n"
        assert client.get("/client/v4/accounts/a/vectorize/v2/indexes").json()["success"]
    server.end()
