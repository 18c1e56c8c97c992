"""Compact and migrate killed at random instants, a full disk for them, a killed server, many writers and readers."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from edgecli.vectorize.batches import batch_of_arrays
from edgecli.vectorize.care import CareStore
from edgecli.vectorize.places import Server
from edgecli.vectorize.schema import QueryRequest
from tests.vectorize.conftest import Life, place_on

ROOT = Path(__file__).parents[2]
COUNT, WIDTH = 1500, 32
VALUES = np.random.default_rng(6).standard_normal((COUNT, WIDTH)).astype(np.float32)
IDS = [f"v{number}" for number in range(COUNT)]


def fill(directory: Path) -> None:
    store = CareStore(directory)
    store.create("kept", WIDTH, "euclidean", "")
    store.write("kept", batch_of_arrays(IDS, VALUES, [{"n": one} for one in IDS], None, WIDTH), replace=True)
    store.erase("kept", IDS[:100])
    store.close()


def start_mover(directory: Path, action: str, server: Server, *, limit: int = 0) -> subprocess.Popen[str]:
    arguments = [str(directory), action, server.url, server.database, str(limit)]
    command = [sys.executable, "-m", "tests.vectorize.mover", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def kill_at_random(mover: subprocess.Popen[str], chance: random.Random, seconds: float) -> None:
    assert mover.stdout is not None
    assert mover.stdout.readline() == "ready\n"
    time.sleep(chance.uniform(0, seconds))
    mover.kill()
    assert "error" not in mover.stdout.read()
    mover.wait()


def is_whole(store: CareStore) -> None:
    """Each vector is in the mirror and in Chroma as it was written."""
    found = {row.id: values for row, values in store.rows("kept", IDS)}
    assert list(found) == IDS[100:]
    assert np.array_equal(np.stack(list(found.values())), VALUES[100:])
    report = store.verify(None, repair=False)
    assert report.ok
    assert [each.problems for each in report.indexes] == [[]]


NOWHERE = Server("http://127.0.0.1:9")


@pytest.mark.parametrize("times", [1, pytest.param(25, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
@pytest.mark.slow
def test_a_killed_compact_leaves_one_whole_index(tmp_path: Path, times: int) -> None:
    fill(tmp_path)
    chance = random.Random(times)
    for _ in range(times):
        kill_at_random(start_mover(tmp_path, "compact", NOWHERE), chance, 2.0)
        store = CareStore(tmp_path)
        is_whole(store)
        store.close()
    store = CareStore(tmp_path)
    store.compact("kept")
    is_whole(store)
    store.close()
    assert len(list((tmp_path / "chroma").glob("*/"))) == 1


@pytest.mark.parametrize("times", [1, pytest.param(25, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
@pytest.mark.slow
def test_a_killed_move_leaves_the_index_whole_in_one_place(tmp_path: Path, chroma_server: str, times: int) -> None:
    fill(tmp_path)
    server = Server(**place_on(chroma_server))
    chance = random.Random(times)
    for _ in range(times):
        kill_at_random(start_mover(tmp_path, "migrate", server), chance, 3.0)
        held = 0
        for store in (CareStore(tmp_path), CareStore(tmp_path, server)):
            if store.records():
                is_whole(store)
                held += 1
            store.close()
        assert held


@pytest.mark.parametrize(("action", "limit"), [("compact", 50_000), ("export", 100_000)])
@pytest.mark.slow
def test_a_full_disk_is_an_error_and_leaves_the_index_whole(tmp_path: Path, action: str, limit: int) -> None:
    fill(tmp_path)
    output, _ = start_mover(tmp_path, action, NOWHERE, limit=limit).communicate(timeout=120)
    assert output == "ready\nerror vector_store\n"
    store = CareStore(tmp_path)
    is_whole(store)
    store.close()


class Served:
    """A real `edgecli serve` on a project without models."""

    def __init__(self, root: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edgecli", "serve", "--port", "0", "--json"],
            cwd=root,
            env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        address = json.loads(self.process.stdout.readline())["address"]
        indexes = f"{address}/client/v4/accounts/local/vectorize/v2/indexes"
        self._client = httpx2.Client(timeout=60)
        self._indexes = indexes

    def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._client.request(method, self._indexes + path, json=body)
        assert answer.status_code < 300, answer.text
        return answer.json()["result"]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._client.close()


def upsert(server: Served, number: int) -> str:
    rows = [{"id": f"v{number}-{each}", "values": [number, each]} for each in range(50)]
    return server.call("POST", "/kept/upsert", {"vectors": rows})["mutationId"]


@pytest.mark.parametrize("times", [1, pytest.param(15, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
@pytest.mark.slow
def test_a_killed_server_has_all_that_it_acknowledged(tmp_path: Path, times: int) -> None:
    (tmp_path / "wrangler.toml").write_text('name = "test"\n', encoding="utf-8")
    server = Served(tmp_path)
    server.call("POST", "", {"name": "kept", "config": {"dimensions": 2, "metric": "euclidean"}})
    chance = random.Random(7)
    number, receipts = 0, [upsert(server, 0)]
    for _ in range(times):
        killer = subprocess.Popen(["sh", "-c", f"sleep {chance.uniform(0, 1)}; kill -9 {server.process.pid}"])
        try:
            while True:
                receipts.append(upsert(server, number + 1))
                number += 1
        except httpx2.TransportError:
            killer.wait()
            server.kill()
        server = Served(tmp_path)
        last = server.call("GET", "/kept/info")["processedUpToMutation"]
        # The write that was cut off may be there, and then it is the last.
        assert last == receipts[-1] or last not in receipts
        for each in range(number + 1):
            found = server.call("POST", "/kept/get_by_ids", {"ids": [f"v{each}-{row}" for row in range(50)]})
            assert [vector["values"] for vector in found] == [[each, row] for row in range(50)]
        # Killed with nothing under way: the receipt is the mutation that `info` reports.
        number += 1
        receipts.append(upsert(server, number))
        server.kill()
        server = Served(tmp_path)
        assert server.call("GET", "/kept/info")["processedUpToMutation"] == receipts[-1]
    server.kill()


@pytest.mark.slow
def test_sixteen_readers_see_sixteen_writers_batches_whole_and_in_order(life: Life) -> None:
    life(life.service.create("kept", 2, "euclidean"))
    rounds, rows = 6, 20
    acknowledged = [0] * 16
    running = 16

    def batch(writer: int, version: int) -> list[dict[str, Any]]:
        facts = {"namespace": f"w{writer}", "metadata": {"version": version}}
        return [{"id": f"{writer}-{row}", "values": [version, row], **facts} for row in range(rows)]

    async def write(writer: int) -> None:
        nonlocal running
        for version in range(1, rounds + 1):
            await life.service.upsert("kept", batch(writer, version))
            acknowledged[writer] = version
        running -= 1

    async def read(reader: int) -> int:
        seen, reads = [0] * 16, 0
        chance = random.Random(reader)
        while running:
            writer = chance.randrange(16)
            least = max(acknowledged[writer], seen[writer])
            if reader % 2:
                found = await life.service.get_by_ids("kept", [f"{writer}-{row}" for row in range(rows)])
                versions = [(vector.metadata or {})["version"] for vector in found]
                assert [vector.values for vector in found] == [[float(one), row] for row, one in enumerate(versions)]
            else:
                request = QueryRequest(vector=[0.0, 0.0], top_k=50, namespace=f"w{writer}", return_metadata="all")
                result = await life.service.query("kept", request)
                versions = [(match.metadata or {})["version"] for match in result.matches]
            assert len(versions) in ({rows} if least else {0, rows})
            assert len(set(versions)) <= 1
            seen[writer] = max(versions, default=0)
            assert seen[writer] >= least
            reads += 1
        return reads

    async def all_at_once() -> list[Any]:
        return await asyncio.gather(*(write(writer) for writer in range(16)), *(read(one) for one in range(16)))

    reads = [count for count in life(all_at_once()) if count is not None]
    assert len(reads) == 16 and min(reads) > 0
    assert life(life.service.info("kept")).vector_count == 16 * rows
