"""Each model of a server in a process of its own: what a death, an unload and the server's end leave behind."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.server.conftest import EMBED, GENERATE, Server

pytestmark = pytest.mark.models

EMBEDDING, GENERATION = "@edge/all-minilm-l6-v2", "@edge/smollm2-135m-instruct"
LONG = {"text": ["word " * 200] * 100}


@pytest.fixture
def server(other_project: Path, edgecli_home: Path) -> Iterator[Server]:
    server = Server(other_project, edgecli_home)
    yield server
    server.end()


def load(server: Server, model: str) -> dict[str, Any]:
    with server.own() as client:
        return client.post("/edge/ai/load", json={"model": model}).json()["result"]


def memory(server: Server) -> int:
    """Return the resident bytes of the server and its models."""
    own = psutil.Process(server.process.pid)
    return sum(process.memory_info().rss for process in [own, *own.children(recursive=True)])


def embed(server: Server, body: dict[str, Any]) -> Any:
    with server.http() as client:
        return client.post(EMBED, json=body)


@pytest.mark.slow
def test_a_killed_model_fails_its_requests_and_nothing_else(server: Server) -> None:
    generation, embedding = load(server, GENERATION)["pid"], load(server, EMBEDDING)["pid"]
    assert len({server.process.pid, generation, embedding}) == 3
    with ThreadPoolExecutor() as threads:
        running = threads.submit(embed, server, LONG)
        assert embed(server, {"text": "a turn has been computed"}).status_code == 200
        os.kill(embedding, signal.SIGKILL)
        failed = running.result()
    assert failed.status_code == 503
    assert "was ended by SIGKILL" in failed.json()["errors"][0]["message"]
    assert failed.json()["errors"][0]["edge"]["code"] == "model_process_died"
    with server.http() as client:
        assert client.post(GENERATE, json={"prompt": "One, two,", "max_tokens": 2}).status_code == 200
    assert embed(server, {"text": "again"}).json()["result"]["shape"] == [1, 384]
    assert load(server, EMBEDDING)["pid"] != embedding
    assert load(server, GENERATION)["pid"] == generation


@pytest.mark.slow
def test_an_unloaded_model_gives_its_memory_back(server: Server) -> None:
    loaded = load(server, EMBEDDING)
    assert embed(server, LONG).status_code == 200
    of_model, before = psutil.Process(loaded["pid"]).memory_info().rss, memory(server)
    with server.own() as client:
        assert client.post("/edge/ai/unload", json={"model": EMBEDDING}).json()["result"]["unloaded"]
    assert not psutil.pid_exists(loaded["pid"])
    assert before - memory(server) > 0.9 * of_model > 50 << 20


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.slow
def test_the_servers_end_leaves_no_process(server: Server, number: signal.Signals) -> None:
    models = [psutil.Process(load(server, model)["pid"]) for model in (EMBEDDING, GENERATION)]
    with ThreadPoolExecutor() as threads:
        running = threads.submit(embed, server, LONG)
        assert embed(server, {"text": "a turn has been computed"}).status_code == 200
        server.process.send_signal(number)
        server.process.wait(60)
        running.exception()
    _, alive = psutil.wait_procs(models, timeout=60)
    assert not alive


def counted(server: Server) -> dict[str, float]:
    """Return the counters of the generation model, and the counts of its histograms, as a scrape has them."""
    with server.http() as client:
        lines = client.get("/metrics").text.splitlines()
    found = dict(line.rsplit(" ", 1) for line in lines if GENERATION in line)
    return {name: float(value) for name, value in found.items() if "_total" in name or "_bucket" in name}


@pytest.mark.slow
def test_counters_never_fall(server: Server) -> None:
    def ask() -> None:
        with server.http() as client:
            assert client.post(GENERATE, json={"prompt": "One, two,", "max_tokens": 2}).status_code == 200

    requests = f'edgecli_requests_total{{model="{GENERATION}"}}'
    ask()
    seen = [counted(server)]
    ask()
    with server.own() as client:
        client.post("/edge/ai/unload", json={"model": GENERATION})
    seen.append(counted(server))
    ask()
    seen.append(counted(server))
    os.kill(load(server, GENERATION)["pid"], signal.SIGKILL)
    seen.append(counted(server))
    ask()
    seen.append(counted(server))
    assert [each[requests] for each in seen] == [1, 2, 3, 3, 4]
    for before, after in pairwise(seen):
        assert all(after[name] >= value for name, value in before.items())


def test_ps_tells_how_long_a_model_stays(server: Server) -> None:
    load(server, EMBEDDING)
    (shown,) = json.loads(server.command("ps", "--json").stdout)
    assert 0 < shown["seconds_left"] <= 1800
    assert server.command("ps").stdout.splitlines()[1].rstrip().endswith("30 min")
