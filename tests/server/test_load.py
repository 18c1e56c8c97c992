"""Many clients at once, and clients that behave badly, against a real server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from tests.server.conftest import GENERATE, Server, start_project

pytestmark = [pytest.mark.models, pytest.mark.slow, pytest.mark.timeout(600)]

SLOTS, QUEUE = 8, 40


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory, edgecli_home: Path) -> Iterator[Server]:
    root = start_project(tmp_path_factory.mktemp("load"))
    settings = f"[edgecli.generation]\nslots = {SLOTS}\nqueue = {QUEUE}\ncontext = 512\ncells = 4096\n"
    (root / "wrangler.toml").write_text(f'name = "test"\n[edgecli.server]\nlog = "none"\n{settings}', encoding="utf-8")
    server = Server(root, edgecli_home)
    yield server
    server.end()


def models(server: Server) -> dict[str, Any]:
    """Return what `ps` says of the generation model."""
    with server.own() as client:
        loaded = client.get("/edge/ai/loaded").json()["result"]
    return next(each for each in loaded if each["task"] == "Text Generation")


def wait_until_idle(server: Server) -> dict[str, Any]:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        activity = models(server)["activity"]
        if not activity["running"] and not activity["waiting"]:
            return activity
        time.sleep(0.2)
    raise AssertionError(f"still busy: {activity}")


async def ask(client: httpx.AsyncClient, number: int, **options: Any) -> httpx.Response:
    body = {"prompt": f"Number {number} is", "max_tokens": 4, "temperature": 0} | options
    return await client.post(GENERATE, json=body)


def test_200_clients_are_all_answered_or_refused(busy: Server) -> None:
    async def main() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=200)
        async with httpx.AsyncClient(base_url=busy.ready["address"], timeout=300, limits=limits) as client:
            (await ask(client, 0)).raise_for_status()
            return await asyncio.gather(*(ask(client, number) for number in range(200)))

    answers = asyncio.run(main())
    counted = Counter(answer.status_code for answer in answers)
    assert set(counted) == {200, 429}
    assert counted[200] >= SLOTS + QUEUE
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.headers["retry-after"]
    assert refused.json()["errors"][0]["code"] == 3040
    wait_until_idle(busy)


def test_a_thousand_requests_leave_no_memory_behind(busy: Server) -> None:
    async def some(count: int) -> None:
        async with httpx.AsyncClient(base_url=busy.ready["address"], timeout=300) as client:
            gate = asyncio.Semaphore(16)

            async def one(number: int) -> None:
                async with gate:
                    (await ask(client, number, max_tokens=1)).raise_for_status()

            await asyncio.gather(*(one(number) for number in range(count)))

    def memory() -> tuple[float, float]:
        sizes = [psutil.Process(pid).memory_info().rss / 2**20 for pid in (busy.ready["pid"], models(busy)["pid"])]
        return sizes[0], sizes[1]

    asyncio.run(some(300))
    before = memory()
    asyncio.run(some(1000))
    after = memory()
    assert after[0] - before[0] < 25, (before, after)
    assert after[1] - before[1] < 25, (before, after)


def test_a_slow_reader_holds_nobody_up(busy: Server) -> None:
    address = urlsplit(busy.ready["address"])
    body = json.dumps({"prompt": "Once upon a time", "max_tokens": 300, "stream": True}).encode()
    head = f"POST {GENERATE} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection((address.hostname, address.port)) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        slow.sendall(head + body)
        with busy.http() as client:
            for number in range(3):
                assert client.post(GENERATE, json={"prompt": f"{number}", "max_tokens": 3}).status_code == 200
        assert slow.recv(100).startswith(b"HTTP/1.1 200")
    wait_until_idle(busy)


def test_who_hangs_up_frees_the_slot(busy: Server) -> None:
    before = wait_until_idle(busy)["cancelled"]
    with busy.http() as client:
        for _ in range(SLOTS + 2):
            with client.stream("POST", GENERATE, json={"prompt": "Count", "max_tokens": 400, "stream": True}) as answer:
                next(answer.iter_lines())
    assert wait_until_idle(busy)["cancelled"] > before


def test_a_model_that_is_killed_in_mid_stream(busy: Server) -> None:
    pid = models(busy)["pid"]
    with busy.http() as client:
        body = {"prompt": "Count", "max_tokens": 400, "stream": True}
        with client.stream("POST", GENERATE, json=body) as answer:
            lines = answer.iter_lines()
            next(lines)
            os.kill(pid, signal.SIGKILL)
            rest = [line for line in lines if line]
        events = [json.loads(line.removeprefix("data: ")) for line in rest if line != "data: [DONE]"]
        assert "SIGKILL" in events[-1]["error"]["message"]
        again = client.post(GENERATE, json={"prompt": "Are you there?", "max_tokens": 3})
        assert again.status_code == 200
    assert models(busy)["pid"] != pid
    assert client.is_closed


def test_metrics_and_ps_count_it(busy: Server) -> None:
    with busy.http() as client:
        assert client.get("/healthz").text == "ok\n"
        text = client.get("/metrics").text
    assert 'edgecli_requests_total{model="@edge/smollm2-135m-instruct"}' in text
    assert "edgecli_requests_refused_total" in text
    assert 'edgecli_time_to_first_token_seconds_bucket{le="+Inf",model="@edge/smollm2-135m-instruct"}' in text
    shown = busy.command("ps")
    assert shown.returncode == 0, shown.stderr
    assert f"/{SLOTS} slots" in shown.stdout
    assert busy.command("models", "unload", "@edge/smollm2-135m-instruct").returncode == 0
    assert "smollm2" not in busy.command("ps").stdout
    loaded = busy.command("models", "load", "@edge/smollm2-135m-instruct", "--keep-alive", "1h", "--json")
    assert json.loads(loaded.stdout)["seconds_left"] > 3000
