"""The Worker under test: the one at WORKER_URL, or an `edgecli dev` that runs as long as the tests do."""

import json
import os
import shlex
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import pytest

RUNNING = "To test one that runs already: WORKER_URL=http://localhost:8787 python -m pytest"
PROJECT = Path(__file__).resolve().parents[1]


class Answer:
    """The answer to a request, read whole."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.text = body.decode()

    def json(self):
        return json.loads(self.text)

    def events(self):
        """Return what the Server-Sent Events carry, without the last one, `[DONE]`."""
        data = [line.removeprefix("data:").strip() for line in self.text.splitlines() if line.startswith("data:")]
        assert data[-1] == "[DONE]"
        return [json.loads(each) for each in data[:-1]]


@pytest.fixture(scope="session")
def address():
    given = os.environ.get("WORKER_URL")
    if given:
        yield given.rstrip("/")
        return
    # EDGECLI is how to call edgecli, where it is not on the path.
    command = [*shlex.split(os.environ.get("EDGECLI", "edgecli")), "dev", "--port", "0", "--no-reload"]
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as said,
        subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=said, text=True) as process,
    ):
        try:
            ready = process.stdout.readline()  # Ready on http://localhost:PORT
            if not ready:
                said.seek(0)
                pytest.exit(f"`edgecli dev` does not start:\n{said.read()}{RUNNING}", returncode=1)
            yield ready.split()[-1]
        finally:
            process.terminate()


@pytest.fixture
def call(address):
    """Send a request: `call("POST", "/path", {"a": 1})`; a text goes as it is, anything else as JSON."""

    def send(method, path, body=None, **headers):
        data = body if body is None or isinstance(body, str) else json.dumps(body)
        request = urllib.request.Request(
            address + path, method=method, headers=headers, data=None if data is None else data.encode()
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())

    return send
