"""A server's life: it cleans up after itself, and a dead one stands in nobody's way."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path

import httpx
import pytest

from edgecli.client import Client
from edgecli.config import load_project
from edgecli.errors import UpstreamError
from edgecli.server import process
from tests.conftest import Run
from tests.server.conftest import GENERATE, Server

pytestmark = [pytest.mark.models, pytest.mark.slow]

STORY = {"prompt": "Tell a long story about the sea.", "max_tokens": 4000, "temperature": 0, "stream": True}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("warm", ["--warm", "--no-warm"])
def test_a_signal_ends_it_and_nothing_stays(
    other_project: Path, edgecli_home: Path, number: int, code: int, warm: str
) -> None:
    server = Server(other_project, edgecli_home, warm)
    assert server.file.exists()
    ended, complaints = server.end(number)
    assert ended == code, complaints
    assert "Traceback" not in complaints
    assert not server.file.exists()
    assert not (other_project / ".edgecli" / "owner.json").exists()
    with pytest.raises(httpx.ConnectError), server.http() as client:
        client.get("/healthz")


def test_a_stream_does_not_hold_the_end_up(other_project: Path, edgecli_home: Path) -> None:
    server = Server(other_project, edgecli_home, "--no-warm")
    with server.http() as client, client.stream("POST", GENERATE, json=STORY) as stream:
        lines = stream.iter_lines()
        next(lines)
        server.process.terminate()
        with pytest.raises(httpx.HTTPError):
            assert "data: [DONE]" not in list(lines)
            raise httpx.HTTPError("the stream ended early")
    _, complaints = server.process.communicate(timeout=60)
    assert server.process.returncode == 143, complaints
    assert "Traceback" not in complaints
    assert not server.file.exists()


def test_commands_do_without_a_server_that_was_killed(other_project: Path, edgecli_home: Path) -> None:
    server = Server(other_project, edgecli_home, "--no-warm")
    ended, _ = server.end(signal.SIGKILL)
    assert ended == -signal.SIGKILL
    assert server.file.exists(), "nobody was there to remove it"
    with Client.connect(load_project(cwd=other_project, config=None, env=None)) as client:
        assert not client.warm
    created = server.command("vectorize", "create", "notes", "--dimensions=8", "--metric=cosine", "--json")
    assert created.returncode == 0, created.stderr
    again = Server(other_project, edgecli_home, "--no-warm")
    listed = again.command("vectorize", "list", "--json")
    assert [index["name"] for index in json.loads(listed.stdout)] == ["notes"]
    assert again.end()[0] == 143


def test_a_server_that_dies_under_a_command_is_named(other_project: Path, edgecli_home: Path) -> None:
    server = Server(other_project, edgecli_home, "--no-warm")
    with Client.connect(load_project(cwd=other_project, config=None, env=None)) as client:
        events = client.events("POST", GENERATE, json=STORY)
        assert next(events)["response"]
        server.end(signal.SIGKILL)
        with pytest.raises(UpstreamError, match=f"process {server.process.pid}") as caught:
            list(events)
    assert caught.value.code == "server_gone"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7"])
def test_other_addresses_want_a_token(other_project: Path, edgecli: Run, host: str) -> None:
    done = edgecli("serve", "--host", host, "--port", "0", "--cwd", str(other_project))
    assert (done.returncode, done.stdout) == (2, "")
    assert f"Refusing to listen on `{host}` without a token" in done.stderr
    assert "EDGECLI_SERVER_TOKEN" in done.stderr


def test_another_port_than_the_usual_one_is_said(
    other_project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def not_at_all(*arguments: object, **options: object) -> None: ...

    monkeypatch.setattr(process, "_serve", not_at_all)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("EDGECLI_SERVER_PORT", str(port))
        project = load_project(cwd=other_project)
        companion = process.Plain(warm=False, json=False)
        process.run_server(project, host=None, port=None, token=None, verbose=False, companion=companion)
    assert f"Port {port} is in use by another program, so this server takes " in capsys.readouterr().err


def test_a_port_that_is_taken_is_named(other_project: Path, edgecli: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = edgecli("serve", "--port", str(port), "--json", "--cwd", str(other_project))
    assert (done.returncode, done.stdout) == (1, "")
    error = json.loads(done.stderr)["errors"][0]
    assert error["edge"]["code"] == "port_in_use"
    assert str(port) in error["message"]


def test_models_that_are_not_pulled_do_not_stop_it(other_project: Path, tmp_path: Path) -> None:
    server = Server(other_project, tmp_path / "empty")
    with server.http() as client:
        answer = client.post(GENERATE, json={"prompt": "Hi"})
    assert answer.json()["errors"][0]["edge"]["code"] == "model_not_pulled"
    ended, complaints = server.end()
    assert ended == 143
    assert "`@edge/smollm2-135m-instruct` is not ready" in complaints
