"""What was acknowledged is there after the writer was killed at a random instant, or the disk was full."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edgecli.vectorize.store import VectorStore
from tests.vectorize.writer import BATCH, values_of

ROOT = Path(__file__).parents[2]


def start_writer(directory: Path, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.vectorize.writer", str(directory), *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def check(directory: Path, acknowledged: int) -> None:
    """All batches up to `acknowledged` are whole; the one after may be there in part, each vector whole."""
    store = VectorStore(directory)
    try:
        names = [f"v{number}" for number in range((acknowledged // 2 + 2) * BATCH)]
        found = {row.id: (row, values) for row, values in store.rows("written", names)}
        assert store.progress("written").count == len(found)
        for number in range((acknowledged // 2 + 1) * BATCH):
            row, values = found[f"v{number}"]
            versions = [0, 1] if number // BATCH == (acknowledged + 1) // 2 else [acknowledged % 2]
            if number // BATCH < acknowledged // 2:
                versions = [1]
            version = round(float(values[0] - number) * 256)
            assert version in versions
            assert np.array_equal(values, values_of(number, version))
            assert f'"version":{version}' in (row.metadata or "")
            nearest = store.search("written", values, 1, namespace=None, criterion=None)
            assert nearest[0].row.id == row.id
    finally:
        store.close()


def kill_at_random(directory: Path, times: int, seed: int) -> None:
    chance = random.Random(seed)
    acknowledged = -1
    for _ in range(times):
        writer = start_writer(directory, acknowledged + 1)
        assert writer.stdout is not None
        lines = [writer.stdout.readline()]
        time.sleep(chance.uniform(0, 0.15))
        writer.kill()
        lines += writer.stdout.readlines()
        writer.wait()
        acknowledged = max(int(line) for line in lines if line.endswith("\n"))
        check(directory, acknowledged)


@pytest.mark.slow
def test_a_killed_writer_loses_nothing_acknowledged(tmp_path: Path) -> None:
    kill_at_random(tmp_path, times=2, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_writer_killed_many_times_loses_nothing(tmp_path: Path) -> None:
    kill_at_random(tmp_path, times=100, seed=2)


@pytest.mark.slow
def test_a_full_disk_is_an_error_and_loses_nothing(tmp_path: Path) -> None:
    writer = start_writer(tmp_path, 0, 500_000)
    output, _ = writer.communicate(timeout=120)
    *numbers, last = output.splitlines()
    assert last == "error vector_store"
    check(tmp_path, int(numbers[-1]))
