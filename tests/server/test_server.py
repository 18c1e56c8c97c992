"""A running server as its clients meet it: commands, plain HTTP, Cloudflare's SDK."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cloudflare
import pytest

from edgecli.client import Client
from edgecli.config import load_project
from tests.server.conftest import EMBED, GENERATE, INDEX, Server

pytestmark = [pytest.mark.models, pytest.mark.slow]

LONG = {"prompt": "Tell a long story about the sea.", "max_tokens": 2000, "temperature": 0, "stream": True}
SHORT = {"prompt": "Say hello.", "max_tokens": 4, "temperature": 0}


def test_the_ready_line_and_the_file_tell_the_same(server: Server) -> None:
    info = json.loads(server.file.read_text(encoding="utf-8"))
    assert server.ready == {
        "address": info["address"],
        "pid": server.process.pid,
        "project": str(server.root),
    }
    assert info["pid"] == server.process.pid
    assert server.file.stat().st_mode & 0o777 == 0o600
    assert len(info["token"]) >= 32
    with server.http() as client:
        assert client.get("/healthz").text == "ok\n"
    with server.own() as client:
        status = client.get("/edge/status").json()["result"]
    assert status["project"] == str(server.root)


def test_commands_of_the_project_use_the_server(server: Server) -> None:
    with Client.connect(load_project(cwd=server.root, config=None, env=None)) as client:
        assert client.warm
        assert client.call("GET", "/edge/status")["project"] == str(server.root)


def test_a_command_prints_what_the_server_answers(server: Server) -> None:
    done = server.command("query", "退款 refund", "--index", INDEX, "--json")
    assert done.returncode == 0, done.stderr
    with server.own() as client:
        answer = client.post("/edge/query", json={"query": "退款 refund", "index": INDEX})
    printed, returned = json.loads(done.stdout), answer.json()["result"]
    printed.pop("timings")
    returned.pop("timings")
    assert printed == returned
    assert {hit["file"] for hit in printed["hits"]} == {"docs/refunds.md", "docs/退款.md"}


def test_an_error_comes_through_with_its_exit_code(server: Server) -> None:
    done = server.command("query", "x", "--index", "hlep", "--json")
    assert (done.returncode, done.stdout) == (3, "")
    assert INDEX in json.loads(done.stderr)["errors"][0]["edge"]["hint"]


def test_a_second_server_is_told_of_the_first(server: Server) -> None:
    done = server.command("serve", "--port", "0")
    assert done.returncode == 1
    assert f"already runs at {server.ready['address']} (process {server.process.pid})" in done.stderr
    assert server.file.exists()
    with server.http() as client:
        assert client.get("/healthy").status_code == 404


def test_two_at_once_are_both_answered(server: Server) -> None:
    def ask(number: int) -> dict[str, Any]:
        del number
        with server.http() as client:
            return client.post(GENERATE, json=SHORT).json()

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(ask, range(2))
    assert first["success"] and second["success"]
    assert first["result"]["response"] == second["result"]["response"] != ""


def test_a_stream_is_not_broken_by_a_second_request(server: Server) -> None:
    with server.http() as client, client.stream("POST", GENERATE, json=LONG | {"max_tokens": 60}) as stream:
        lines = stream.iter_lines()
        next(lines)
        with server.http() as other:
            assert other.post(EMBED, json={"text": "退款"}).json()["result"]["shape"] == [1, 384]
            assert other.post(GENERATE, json=SHORT).json()["success"]
        rest = [line for line in lines if line]
    assert rest[-1] == "data: [DONE]"
    assert json.loads(rest[-2].removeprefix("data: "))["usage"]["completion_tokens"] > 0


def test_a_client_that_leaves_frees_the_model(server: Server) -> None:
    with server.http() as client:
        started = time.monotonic()
        whole = client.post(GENERATE, json=LONG | {"stream": False, "max_tokens": 60}).json()["result"]["usage"]
        seconds_per_token = (time.monotonic() - started) / whole["completion_tokens"]
    with server.http() as client, client.stream("POST", GENERATE, json=LONG) as stream:
        next(stream.iter_lines())
    with server.http() as client:
        started = time.monotonic()
        assert client.post(GENERATE, json=SHORT).json()["success"]
        waited = time.monotonic() - started
    assert waited < seconds_per_token * LONG["max_tokens"] / 2, "the answer nobody reads was written to its end"


def test_a_command_that_leaves_a_stream_does_not_hang_the_server(server: Server) -> None:
    project = load_project(cwd=server.root, config=None, env=None)
    with Client.connect(project) as client:
        events = client.events("POST", "/edge/ask", json={"question": "refund?", "index": INDEX, "stream": True})
        assert next(events)["event"] == "sources"
        events.close()
        answer = client.call("POST", "/edge/ask", json={"question": "refund within how many days?", "index": INDEX})
    assert answer["sources"]


def test_cloudflares_sdk(server: Server) -> None:
    client = cloudflare.Cloudflare(api_token="any", base_url=f"{server.ready['address']}/client/v4")
    account = {"account_id": "local"}
    said = client.ai.run("@edge/smollm2-135m-instruct", **account, prompt="Say hello.", max_tokens=8)
    assert isinstance(said, dict) and said["response"].strip()
    embedded = client.ai.run("@edge/all-minilm-l6-v2", **account, text=["refund", "退款"])
    assert embedded["shape"] == [2, 384]
    indexes = client.vectorize.indexes
    found = indexes.query(INDEX, **account, vector=embedded["data"][0], top_k=1, return_metadata="all")
    assert found is not None and found.matches
    assert found.matches[0].metadata["file"] == "docs/refunds.md"
    described = indexes.get(INDEX, **account)
    assert described is not None and described.config is not None
    assert (described.config.dimensions, described.config.metric) == (384, "cosine")
    with pytest.raises(cloudflare.NotFoundError):
        indexes.get("nothing", **account)


def test_many_strangers_do_no_harm(server: Server) -> None:
    def knock(number: int) -> int:
        with server.http() as client:
            return client.get("/edge/status" if number % 2 else "/healthz").status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(knock, range(40))) == [200] * 20 + [401] * 20
