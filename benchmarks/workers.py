"""Workers through `edgecli dev`: what a request, a binding, a reload and a start cost.

The peers: the same JavaScript on bare workerd, and the same call on the service without a Worker. Requests take turns
on kept connections. `wrk` measures throughput on the same cores; without it those rows are left out. What needs
workerd is left out where it cannot be installed, and says so.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.timing import report

EDGECLI = [sys.executable, "-m", "edgecli"]
REQUESTS = int(os.environ.get("BENCH_REQUESTS", "4000"))
RELOADS = 10
STARTS = 5
ROUNDS = 7
LOG = ".edgecli/bench.log"
MODEL = "@edge/all-minilm-l6-v2"

CONFIG = """
name = "bench"
main = "{main}"
compatibility_date = "2026-03-01"
compatibility_flags = [{flags}]
[ai]
binding = "AI"
"""
PYTHON = """
import time
from workers import Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.url.endswith("/embed"):
            began = time.perf_counter()
            found = await self.env.AI.run("@edge/all-minilm-l6-v2", {"text": ["hello"]})
            return Response.json({"ms": (time.perf_counter() - began) * 1000, "shape": found.shape})
        return Response("hello 0")
"""
JAVASCRIPT = 'export default { async fetch() { return new Response("hello 0"); } };\n'

Row = tuple[str, float, str, float | None]


class Connection:
    """A kept connection that asks the same thing again and again, at the price of two system calls."""

    def __init__(self, port: int, path: str = "/", body: bytes | None = None) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        length = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n" if body else ""
        head = f"{'POST' if body else 'GET'} {path} HTTP/1.1\r\nhost: localhost:{port}\r\n{length}\r\n"
        self._request = head.encode() + (body or b"")

    def ask(self) -> bytes:
        """Return the body of an answer. Raises RuntimeError if it is no success."""
        self._socket.sendall(self._request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._more()
        head, _, body = answer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError((head + body).decode(errors="replace"))
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        if length:
            while len(body) < int(length[1]):
                body += self._more()
            return body
        while not body.endswith(b"0\r\n\r\n"):
            body += self._more()
        return b"".join(re.split(rb"(?:^|\r\n)[0-9a-f]+\r\n", body))

    def _more(self) -> bytes:
        piece = self._socket.recv(1 << 16)
        if not piece:
            raise RuntimeError("the server closed the connection")
        return piece


@contextmanager
def project(language: str) -> Iterator[Path]:
    """Yield a folder with a Worker that says hello."""
    with tempfile.TemporaryDirectory(prefix="edgecli-bench-") as folder:
        root = Path(folder)
        main, flags = ("worker.py", '"python_workers"') if language == "python" else ("worker.js", "")
        (root / "wrangler.toml").write_text(CONFIG.format(main=main, flags=flags))
        (root / main).write_text(PYTHON if language == "python" else JAVASCRIPT)
        yield root


@contextmanager
def running(root: Path, *options: str) -> Iterator[tuple[int, float]]:
    """Yield the port of `edgecli dev`, and the seconds until it was ready."""
    began = time.perf_counter()
    command = [*EDGECLI, "dev", "--port", "0", "--no-warm", *options]
    (root / ".edgecli").mkdir(exist_ok=True)  # where no one watches files
    with (root / LOG).open("wb") as log:
        server = subprocess.Popen(command, cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
    try:
        assert server.stdout is not None
        for line in server.stdout:
            if found := re.search(rb"Ready on http://[^:]+:(\d+)", line):
                yield int(found[1]), time.perf_counter() - began
                return
        raise SystemExit(f"`edgecli dev` did not start:\n{(root / LOG).read_text()}")
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)


def milliseconds(asks: dict[str, Callable[[], Any]], *, count: int) -> dict[str, float]:
    """Return the median time of each, taken in turn."""
    times: dict[str, list[float]] = {name: [] for name in asks}
    for turn in range(count + count // 10):
        for name, ask in asks.items():
            began = time.perf_counter()
            ask()
            if turn >= count // 10:
                times[name].append((time.perf_counter() - began) * 1000)
    return {name: statistics.median(each) for name, each in times.items()}


def per_second(port: int, *, seconds: int = 5) -> float | None:
    """Return the requests a second that `wrk` counts on 16 connections; None where it is not installed."""
    wrk = shutil.which("wrk")
    if wrk is None:
        return None
    command = [wrk, "-t1", "-c16", f"-d{seconds}s", f"http://127.0.0.1:{port}/"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if failed := re.search(r"Non-2xx.*|Socket errors.*", said):
        raise SystemExit(f"wrk: {failed[0]}")
    found = re.search(r"Requests/sec: *([\d.]+)", said)
    assert found is not None
    return float(found[1])


def python_rows() -> list[Row]:
    """Return what a Python Worker's hello and its binding cost."""
    with project("python") as root, running(root, "--log-level", "error") as (port, _):
        hello = milliseconds({"hello": Connection(port).ask}, count=REQUESTS)["hello"]
        rows: list[Row] = [("Python hello, p50", hello, " ms", 2.0)]
        rate = per_second(port)
        if rate is not None:
            rows.append(("Python hello, requests/s missing to 1,500", max(0.0, 1500 - rate), "", 0.0))
            rows.append(("  requests/s", rate, "", None))
        # The same call from outside, by the REST API, in turn with the Worker's, which times it itself.
        path = f"/client/v4/accounts/local/ai/run/{MODEL}"
        service = Connection(port, path, json.dumps({"text": ["hello"]}).encode())
        worker = Connection(port, "/embed")
        inside: list[float] = []
        outside = milliseconds(
            {"service": service.ask, "worker": lambda: inside.append(json.loads(worker.ask())["ms"])},
            count=max(50, REQUESTS // 10),
        )["service"]
        bound = statistics.median(inside[len(inside) // 10 :])
        rows.append(("env.AI.run of an embedding, over the same call by REST", bound - outside, " ms", 1.0))
        rows.append(("  by REST", outside, " ms", None))
    return rows


def javascript_rows() -> list[Row]:
    """Return what a JavaScript Worker's hello costs beside bare workerd."""
    with project("javascript") as root, bare_workerd() as bare, running(root, "--log-level", "error") as (port, _):
        rows: list[Row] = []
        rates = [(per_second(port, seconds=3), per_second(bare, seconds=3)) for _ in range(3)]
        ratio, ours, theirs = hello_ratio(port, bare)
        rows.append(("JavaScript hello / bare workerd, p50, on whatever core the kernel puts them", ratio, "x", None))
        if hasattr(os, "sched_setaffinity") and len(cores := sorted(os.sched_getaffinity(0))) > 1:
            # Where three processes share two cores, who meets whom on which costs more than what is measured.
            try:
                pin(os.getpid(), set(cores[1:]))
                os.sched_setaffinity(0, {cores[0]})
                ratio, ours, theirs = hello_ratio(port, bare)
            finally:
                pin(os.getpid(), set(cores))
            rows.append(("JavaScript hello / bare workerd, p50, client on a core of its own", ratio, "x", 1.2))
        rows += [("  bare workerd", theirs, " ms", None), ("  JavaScript hello", ours, " ms", None)]
        both = [(ours, theirs) for ours, theirs in rates if ours and theirs]
        if both:
            ratio = statistics.median(theirs / ours for ours, theirs in both)
            rows.append(("bare workerd / JavaScript hello, requests/s", ratio, "x", None))
            rows.append(("  requests/s", statistics.median(ours for ours, _ in both), "", None))
    return rows


def hello_ratio(port: int, bare: int) -> tuple[float, float, float]:
    """Return the median of some rounds' ratios, and both medians in milliseconds."""
    rounds = [
        milliseconds({"ours": Connection(port).ask, "bare": Connection(bare).ask}, count=REQUESTS // ROUNDS)
        for _ in range(ROUNDS)
    ]
    ours, theirs = (statistics.median(each[name] for each in rounds) for name in ("ours", "bare"))
    return statistics.median(each["ours"] / each["bare"] for each in rounds), ours, theirs


def pin(process: int, cores: set[int]) -> None:
    """Let a process, its threads and its children run on these cores only."""
    for thread in Path(f"/proc/{process}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)
        for child in (thread / "children").read_text().split():
            pin(int(child), cores)


@contextmanager
def bare_workerd() -> Iterator[int]:
    """Yield the port of a workerd with the same Worker and nothing else."""
    from edgecli.workers.workerd.install import require

    with tempfile.TemporaryDirectory(prefix="edgecli-bench-") as folder:
        Path(folder, "worker.js").write_text(JAVASCRIPT)
        Path(folder, "config.capnp").write_text(
            'using Workerd = import "/workerd/workerd.capnp";\n'
            "const config :Workerd.Config = (\n"
            '  services = [(name = "main", worker = (modules = [(name = "worker.js", '
            'esModule = embed "worker.js")], compatibilityDate = "2026-03-01"))],\n'
            '  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")]\n'
            ");\n"
        )
        command = [str(require("workerd").path), "serve", "config.capnp", "--control-fd=1"]
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["port"]
        finally:
            process.terminate()
            process.wait(10)


def reload_milliseconds(language: str) -> float:
    """Return the median time from saving a Worker to its first answer."""
    times: list[float] = []
    with project(language) as root, running(root, "--log-level", "error") as (port, _):
        main = next(root.glob("worker.*"))
        source = main.read_text()
        Connection(port).ask()
        for turn in range(1, RELOADS + 1):
            time.sleep(1)  # as a person would, and so that the process before it is gone
            wanted = f"hello {turn}"
            main.write_text(source.replace("hello 0", wanted))
            began = time.perf_counter()
            while Connection(port).ask() != wanted.encode():
                if time.perf_counter() - began > 10:
                    raise SystemExit(f"The Worker was not loaded again:\n{(root / LOG).read_text()}")
                time.sleep(0.002)
            times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def start_seconds(language: str) -> float:
    """Return the median time of `edgecli dev` until it is ready."""
    with project(language) as root:
        times: list[float] = []
        for _ in range(STARTS):
            with running(root) as (_, seconds):
                times.append(seconds)
    return statistics.median(times)


def main() -> bool:
    rows = python_rows()
    rows.append(("Python reload, saving to answer", reload_milliseconds("python"), " ms", 300.0))
    rows.append(("dev ready, Python", start_seconds("python"), " s", 1.5))
    if shutil.which("wrk") is None:
        print("Without `wrk` (`apt-get install wrk`) the requests a second are left out.")
    try:
        from edgecli.errors import EdgeError
        from edgecli.workers.workerd.install import install_all

        install_all(None, offline=False)
    except EdgeError as error:
        print(f"Without workerd: {error.message}")
        return report("Workers", rows)
    rows += javascript_rows()
    rows.append(("JavaScript reload, saving to answer", reload_milliseconds("javascript"), " ms", 500.0))
    rows.append(("dev ready, JavaScript", start_seconds("javascript"), " s", 1.5))
    return report("Workers", rows)


if __name__ == "__main__":
    sys.exit(not main())
