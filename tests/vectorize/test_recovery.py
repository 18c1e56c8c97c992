"""The mirror finds back to Chroma, whatever happened to either of them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from edgecli.errors import StateError
from edgecli.vectorize.batches import Batch, batch_of_rows
from edgecli.vectorize.chroma import Chroma
from edgecli.vectorize.codes import encode
from edgecli.vectorize.mirror import Mirror
from edgecli.vectorize.places import Directory
from edgecli.vectorize.records import IndexRecord
from edgecli.vectorize.schema import QueryRequest
from edgecli.vectorize.store import VectorStore
from tests.vectorize.conftest import Life

ROWS = [{"id": f"v{number}", "values": [number, 1.0], "metadata": {"n": number}} for number in range(30)]


@pytest.fixture
def place() -> dict[str, str]:
    """These tests look into Chroma's directory."""
    return {}


@pytest.fixture
def filled(life: Life) -> Life:
    """An index `kept` of 30 vectors, closed."""
    life(life.service.create("kept", 2, "euclidean"))
    life(life.service.upsert("kept", ROWS))
    life(life.service.delete_by_ids("kept", ["v0"]))
    life(life.service.close())
    return life


def contents(directory: Path) -> dict[str, tuple[list[float], str | None]]:
    store = VectorStore(directory)
    try:
        found = store.rows("kept", [str(row["id"]) for row in ROWS] + ["new"])
        return {row.id: (values.tolist(), row.metadata) for row, values in found}
    finally:
        store.close()


EXPECTED = {f"v{number}": ([float(number), 1.0], f'{{"n":{number}}}') for number in range(1, 30)}


def damage_nothing(mirror: Path) -> None:
    assert mirror.is_dir()


def remove_values(mirror: Path) -> None:
    next(mirror.glob("*.f32")).unlink()


def shorten_values(mirror: Path) -> None:
    path = next(mirror.glob("*.f32"))
    path.write_bytes(path.read_bytes()[:100])


def overwrite_database(mirror: Path) -> None:
    (mirror / "mirror.db").write_bytes(b"no database" * 1000)


def empty_database(mirror: Path) -> None:
    (mirror / "mirror.db").write_bytes(b"")


@pytest.mark.parametrize(
    "damage",
    [damage_nothing, shutil.rmtree, remove_values, shorten_values, overwrite_database, empty_database],
)
def test_a_damaged_mirror_is_made_again(filled: Life, damage: Callable[[Path], None]) -> None:
    damage(filled.directory / "mirror")
    assert contents(filled.directory) == EXPECTED
    filled.service = filled.open()


def test_a_write_that_reached_only_chroma_is_taken_over(filled: Life) -> None:
    mirror = Mirror(filled.directory / "mirror")
    (record,) = mirror.records()
    mirror.begin(record.uid, ["new", "v1", "v2"], "mutation")
    mirror.close()
    chroma = Chroma(Directory(filled.directory / "chroma"))
    batch = batch_of_rows([{"id": "new", "values": [7, 7]}, {"id": "v1", "values": [8, 8]}], 2)
    batch.ordinals = [2, 2]
    chroma.upsert(record.uid, batch)
    chroma.delete(record.uid, ["v2"])
    chroma.close()
    expected = EXPECTED | {"new": ([7.0, 7.0], None), "v1": ([8.0, 8.0], None)}
    del expected["v2"]
    assert contents(filled.directory) == expected
    filled.service = filled.open()
    assert filled(filled.service.info("kept")).processed_up_to_mutation == "mutation"


@pytest.mark.parametrize("ids", [["new", "v1"], ["new"], []])
def test_a_write_that_never_reached_chroma_is_forgotten(filled: Life, ids: list[str]) -> None:
    mirror = Mirror(filled.directory / "mirror")
    mirror.begin(mirror.records()[0].uid, ids, "mutation")
    mirror.close()
    assert contents(filled.directory) == EXPECTED
    filled.service = filled.open()


@pytest.mark.parametrize("restored", ["mirror", "chroma"])
def test_a_restored_backup_of_one_part_counts_as_chroma_says(filled: Life, tmp_path: Path, restored: str) -> None:
    backup = tmp_path / "backup"
    shutil.copytree(filled.directory / restored, backup)
    filled.service = filled.open()
    filled(filled.service.upsert("kept", [{"id": "v1", "values": [9, 9]}, {"id": "new", "values": [1, 1]}]))
    filled(filled.service.create("second", 2, "cosine"))
    filled(filled.service.close())
    shutil.rmtree(filled.directory / restored)
    shutil.copytree(backup, filled.directory / restored)
    later = EXPECTED | {"v1": ([9.0, 9.0], None), "new": ([1.0, 1.0], None)}
    assert contents(filled.directory) == (EXPECTED if restored == "chroma" else later)
    filled.service = filled.open()
    names = [index.name for index in filled(filled.service.list())]
    assert names == (["kept"] if restored == "chroma" else ["kept", "second"])


def test_gaps_are_closed_and_nothing_moves_to_another_id(life: Life) -> None:
    random = np.random.default_rng(3)
    values = random.standard_normal((2500, 4)).astype(np.float32)
    ids = [f"v{number}" for number in range(2500)]
    life(life.service.create("gaps", 4, "euclidean"))
    life(life.service.upsert_arrays("gaps", ids, values, [{"n": number} for number in range(2500)]))
    life(life.service.query("gaps", QueryRequest(vector=[0, 0, 0, 0], filter={"n": 7})))
    life(life.service.delete_by_ids("gaps", [name for number, name in enumerate(ids) if number % 5]))
    (file,) = (life.directory / "mirror").glob("*.f32")
    assert file.stat().st_size == 500 * 4 * 4
    for number in (0, 5, 1250, 2495):
        for wanted in (None, {"n": number}):
            request = QueryRequest(vector=values[number].tolist(), top_k=1, filter=wanted)
            (match,) = life(life.service.query("gaps", request)).matches
            assert (match.id, match.score) == (ids[number], 0.0)


def test_reading_needs_no_chromadb(filled: Life) -> None:
    program = f"""
import sys
from pathlib import Path
import numpy as np
from edgecli.vectorize.store import VectorStore
store = VectorStore(Path({str(filled.directory)!r}))
hits = store.search("kept", np.array([3, 1], np.float32), 2, namespace=None, criterion=None)
print([hit.row.id for hit in hits], store.progress("kept").count, "chromadb" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "['v3', 'v2'] 29 False\n"
    filled.service = filled.open()


def remove_codes(mirror: Path) -> None:
    next(mirror.glob("*.i8")).unlink()


def shorten_codes(mirror: Path) -> None:
    path = next(mirror.glob("*.i8"))
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize("damage", [remove_codes, shorten_codes])
def test_codes_that_are_missing_are_made_again_from_the_values(filled: Life, damage: Callable[[Path], None]) -> None:
    path = next((filled.directory / "mirror").glob("*.i8"))
    before = path.read_bytes()
    damage(filled.directory / "mirror")
    filled.service = filled.open()
    filled(filled.service.info("kept"))
    assert path.read_bytes() == before


def test_codes_follow_every_write(life: Life) -> None:
    random = np.random.default_rng(8)
    values = random.standard_normal((3000, 5)).astype(np.float32)
    ids = [f"v{number}" for number in range(3000)]
    life(life.service.create("codes", 5, "cosine"))
    life(life.service.upsert_arrays("codes", ids, values, [None] * 3000))
    life(life.service.query("codes", QueryRequest(vector=[1, 0, 0, 0, 0])))
    life(life.service.upsert_arrays("codes", ids[:50], values[50:100] * 3, [None] * 50))
    life(life.service.delete_by_ids("codes", ids[1000:]))
    (path,) = (life.directory / "mirror").glob("*.i8")
    expected = values[:1000].copy()
    expected[:50] = values[50:100] * 3
    assert path.read_bytes() == encode(expected).tobytes()


def test_rows_that_were_staged_for_an_older_mirror_are_written_again(tmp_path: Path) -> None:
    record = IndexRecord("uid", "name", "", 2, "cosine", "now", "now")
    batch = batch_of_rows([{"id": "a", "values": [1, 2]}, {"id": "b", "values": [3, 4]}], 2)
    batch.ordinals = [1, 1]
    mirror = Mirror(tmp_path)
    mirror.add(record, "mark")
    staged = mirror.stage("uid", batch)
    staged.put()
    other = batch_of_rows([{"id": "c", "values": [5, 6]}], 2)
    other.ordinals = [1]
    mirror.write("uid", other, mutation="other", mark="mark")
    slots = mirror.write("uid", batch, mutation="late", mark="mark", staged=staged)
    mirror.close()
    mirror = Mirror(tmp_path)
    assert slots == [1, 2]
    assert mirror.values("uid").tolist() == [[5, 6], [1, 2], [3, 4]]
    assert mirror.coded("uid").tobytes() == encode(np.array([[5, 6], [1, 2], [3, 4]], np.float32)).tobytes()
    mirror.close()


def test_a_read_that_fails_during_a_write_leaves_the_write_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = VectorStore(tmp_path)
    store.create("kept", 2, "euclidean", "")
    written, go_on = threading.Event(), threading.Event()
    upsert = Chroma.upsert

    def in_two_parts(chroma: Chroma, uid: str, batch: Batch) -> None:
        upsert(chroma, uid, batch.take(range(20)))
        written.set()
        assert go_on.wait(60)
        upsert(chroma, uid, batch.take(range(20, 30)))

    def fail(*_: object) -> None:
        raise OSError("no files left")

    monkeypatch.setattr(Chroma, "upsert", in_two_parts)
    with ThreadPoolExecutor(1) as threads:
        write = threads.submit(store.write, "kept", batch_of_rows(ROWS, 2), replace=True)
        assert written.wait(60)
        with pytest.raises(StateError, match="no files left"):
            store.ids("kept", fail)
        assert store.progress("kept").count == 0
        go_on.set()
        mutation = write.result()
    progress, rows = store.progress("kept"), store.rows("kept", [str(row["id"]) for row in ROWS])
    store.close()
    assert (progress.count, progress.mutation) == (30, mutation)
    assert [values.tolist() for _, values in rows] == [row["values"] for row in ROWS]
