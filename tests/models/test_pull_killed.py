"""Pulls in processes that are killed, and several at once."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import time

import pytest

from edgecli.errors import NotFoundError
from edgecli.models.pull import pull
from edgecli.models.schema import ModelFile, ModelSpec
from edgecli.models.store import Store
from tests.models.conftest import Steps, files_below, model, noise, sha256
from tests.models.file_server import FileServer

FILES = {f"part-{number}.bin": noise(400_000, seed=number) for number in range(4)}
PULL = """
import sys
from pathlib import Path
from edgecli.models.pull import pull
from edgecli.models.schema import ModelFile, ModelSpec, Task
from edgecli.models.store import Store
home, *sources = sys.argv[1:]
files = tuple(ModelFile(source, source.rsplit("/", 1)[-1]) for source in sources)
spec = ModelSpec("@test/model", Task.TEXT_GENERATION, "llama_cpp", files)
pull(spec, Store(Path(home)), offline=False, progress=lambda step: print(step.phase, step.done, flush=True))
"""


def serve(server: FileServer) -> ModelSpec:
    return model(*(ModelFile(server.add(f"/{name}", content), name) for name, content in FILES.items()))


def start(spec: ModelSpec, store: Store) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PULL, str(store.home), *(file.source for file in spec.files)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize("seed", range(6))
def test_a_killed_pull_leaves_no_model_or_a_whole_one(server: FileServer, store: Store, seed: int) -> None:
    spec = serve(server)
    chance = random.Random(seed)
    for _ in range(3):
        process = start(spec, store)
        assert process.stdout is not None
        for _ in range(chance.randrange(1, 120)):
            process.stdout.readline()
        process.send_signal(chance.choice([signal.SIGKILL, signal.SIGTERM]))
        process.communicate(timeout=30)
        try:
            assert files_below(store.get(spec).path) == FILES
        except NotFoundError:
            assert store.installed() == []
    installed = pull(spec, store, offline=False, progress=Steps())
    assert files_below(installed.path) == FILES
    assert store.verify(spec) == []
    left = {path.relative_to(store.home).parts[0] for path in store.home.rglob("*") if path.is_file()}
    assert left == {"blobs", "installed", "sources", "locks"}
    assert {path.name for path in store.blobs.iterdir()} == {f"sha256-{sha256(each)}" for each in FILES.values()}


def test_three_processes_fetch_each_file_once(server: FileServer, store: Store) -> None:
    spec = serve(server)
    processes = [start(spec, store) for _ in range(3)]
    outputs = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert sorted("done" in output for output in outputs) == [False, False, True]
    assert all(len(server.ranges(f"/{name}")) == 1 for name in FILES)
    assert files_below(store.get(spec).path) == FILES


def test_processes_may_pull_and_remove_at_once(server: FileServer, store: Store) -> None:
    spec = serve(server)
    for _ in range(2):
        process = start(spec, store)
        while process.poll() is None:
            time.sleep(0.01)
            with contextlib.suppress(NotFoundError):
                store.remove(spec)
        assert process.returncode == 0, process.communicate()[0]
    assert files_below(pull(spec, store, offline=False, progress=Steps()).path) == FILES
