"""What damage is found, and what verify, compact, export and migrate do about it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecli.errors import NotFoundError, StateError
from edgecli.vectorize.schema import QueryRequest
from tests.vectorize.conftest import Life

COUNT, WIDTH = 1300, 8
VALUES = np.random.default_rng(4).standard_normal((COUNT, WIDTH)).astype(np.float32)


@pytest.fixture
def place() -> dict[str, str]:
    """These tests look into Chroma's directory."""
    return {}


@pytest.fixture
def kept(life: Life) -> Life:
    """An index `kept` of 1300 vectors less one: the graph of Chroma is on the disk for most of them."""
    life(life.service.create("kept", WIDTH, "euclidean"))
    ids, metadata = [f"v{number}" for number in range(COUNT)], [{"n": number} for number in range(COUNT)]
    life(life.service.upsert_arrays("kept", ids, VALUES, metadata))
    life(life.service.delete_by_ids("kept", ["v7"]))
    return life


def lines(life: Life, name: str = "kept") -> list[dict[str, Any]]:
    async def read() -> bytes:
        return b"".join([piece async for piece in await life.service.export(name)])

    return [json.loads(line) for line in life(read()).splitlines()]


def is_whole(life: Life) -> None:
    header, *rows = lines(life)
    assert header["index"]["name"] == "kept"
    expected = [number for number in range(COUNT) if number != 7]
    assert [row["id"] for row in rows] == [f"v{number}" for number in expected]
    assert np.array([row["values"] for row in rows], np.float32).tobytes() == VALUES[expected].tobytes()
    assert [row["metadata"] for row in rows] == [{"n": number} for number in expected]


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def scramble(path: Path) -> None:
    path.write_bytes(np.random.default_rng(1).bytes(path.stat().st_size))


def change_some(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\x11\x22\x33\x44" * 10)


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("chroma.sqlite3", cut),
        pytest.param("chroma.sqlite3", scramble, marks=pytest.mark.slow),
        pytest.param("chroma.sqlite3", empty, marks=pytest.mark.slow),
        pytest.param("chroma.sqlite3", Path.unlink, marks=pytest.mark.slow),
        pytest.param("*/data_level0.bin", cut, marks=pytest.mark.slow),
        # Chroma's process dies of this one.
        ("*/data_level0.bin", scramble),
        ("*/data_level0.bin", change_some),
        pytest.param("*/data_level0.bin", Path.unlink, marks=pytest.mark.slow),
        pytest.param("*/header.bin", scramble, marks=pytest.mark.slow),
        pytest.param("*/index_metadata.pickle", cut, marks=pytest.mark.slow),
    ],
)
@pytest.mark.slow
def test_a_damaged_chroma_is_found_at_open_and_made_again(
    kept: Life, file: str, damage: Callable[[Path], None]
) -> None:
    mutation = kept(kept.service.info("kept")).processed_up_to_mutation
    kept(kept.service.close())
    damage(next((kept.directory / "chroma").glob(file)))
    for _ in range(2):
        kept.service = kept.open()
        with pytest.raises(StateError, match="damaged") as caught:
            kept(kept.service.query("kept", QueryRequest(vector=[0.0] * WIDTH)))
        assert "`edgecli vectorize verify --repair`" in (caught.value.hint or "")
        kept(kept.service.close())
    kept.service = kept.open()
    assert not kept(kept.service.verify(None, repair=False)).ok
    report = kept(kept.service.verify(None, repair=True))
    assert report.ok and report.indexes[0].problems
    assert all(each.where == "chroma" and each.repaired for each in report.indexes[0].problems)
    is_whole(kept)
    assert kept(kept.service.info("kept")).processed_up_to_mutation == mutation
    kept.reopen()
    assert kept(kept.service.verify("kept", repair=False)).model_dump() == {
        "ok": True,
        "indexes": [{"name": "kept", "vectors": COUNT - 1, "problems": []}],
    }
    kept.remove("mirror")
    is_whole(kept)


@pytest.mark.slow
def test_where_both_are_damaged_nothing_is_thrown_away(kept: Life) -> None:
    kept(kept.service.close())
    scramble(next((kept.directory / "chroma").glob("*/data_level0.bin")))
    cut(kept.directory / "mirror" / "mirror.db")
    for repair in (False, True, True):
        kept.service = kept.open()
        with pytest.raises(StateError, match="no whole copy") as caught:
            kept(kept.service.verify(None, repair=repair))
        assert "backup" in (caught.value.hint or "")
        kept(kept.service.close())
    assert (kept.directory / "mirror-damaged" / "mirror.db").exists()
    assert list((kept.directory / "chroma").glob("*/data_level0.bin"))
    kept.service = kept.open()


def test_a_lost_chroma_beside_a_damaged_copy_is_no_empty_project(kept: Life) -> None:
    kept(kept.service.close())
    shutil.rmtree(kept.directory / "chroma")
    cut(kept.directory / "mirror" / "mirror.db")
    kept.service = kept.open()
    for call in (kept.service.list, lambda: kept.service.create("new", 2, "cosine")):
        with pytest.raises(StateError, match="its database is gone"):
            kept(call())
    with pytest.raises(StateError, match="no whole copy"):
        kept(kept.service.verify(None, repair=True))
    assert list((kept.directory / "mirror-damaged").glob("*.f32"))


def test_where_nothing_was_written_nothing_is_damaged(life: Life) -> None:
    assert life(life.service.list()) == []
    for repair in (True, False, False):
        report = life(life.service.verify(None, repair=repair))
        assert (report.ok, report.indexes) == (True, [])
    life(life.service.create("first", 2, "cosine"))
    assert life(life.reopen().verify(None, repair=False)).ok


def test_a_chroma_whose_files_only_look_newer_is_whole(kept: Life) -> None:
    kept(kept.service.close())
    shutil.copytree(kept.directory / "chroma", kept.directory / "copy", copy_function=shutil.copyfile)
    shutil.rmtree(kept.directory / "chroma")
    (kept.directory / "copy").rename(kept.directory / "chroma")
    kept.service = kept.open()
    is_whole(kept)


def change_value(mirror: Path) -> None:
    change_some(next(mirror.glob("*.f32")))


def change_code(mirror: Path) -> None:
    change_some(next(mirror.glob("*.i8")))


def change_text(mirror: Path) -> None:
    with closing(sqlite3.connect(mirror / "mirror.db", isolation_level=None)) as database:
        database.execute("UPDATE vectors SET metadata = '{\"n\":0}' WHERE id = 'v9'")


@pytest.mark.parametrize("damage", [change_value, change_code, change_text])
@pytest.mark.slow
def test_a_copy_that_has_changed_is_mended_from_chroma(kept: Life, damage: Callable[[Path], None]) -> None:
    kept(kept.service.close())
    damage(kept.directory / "mirror")
    kept.service = kept.open()
    report = kept(kept.service.verify("kept", repair=False))
    assert [(each.where, each.repaired) for each in report.indexes[0].problems] == [("mirror", False)]
    assert not report.ok
    assert kept(kept.service.verify("kept", repair=True)).ok
    is_whole(kept)
    assert kept(kept.service.verify("kept", repair=False)).indexes[0].problems == []


@pytest.mark.parametrize(("damage", "wrong"), [(change_value, "v650"), (change_text, "v9")])
@pytest.mark.slow
def test_a_vector_that_has_changed_is_not_given_out(kept: Life, damage: Callable[[Path], None], wrong: str) -> None:
    kept(kept.service.close())
    damage(kept.directory / "mirror")
    kept.service = kept.open()
    assert kept(kept.service.get_by_ids("kept", ["v1", "v2"]))
    by_id = QueryRequest(vector_id=wrong)
    for call in (kept.service.get_by_ids("kept", ["v1", wrong]), kept.service.query("kept", by_id)):
        with pytest.raises(StateError, match=f"`{wrong}` .* is not what was written") as caught:
            kept(call)
        assert "verify --repair" in (caught.value.hint or "")
    assert kept(kept.service.verify("kept", repair=True)).ok
    assert kept(kept.service.query("kept", by_id)).matches[0].id == wrong


@pytest.mark.slow
def test_a_row_that_is_wrong_in_both_copies_is_named_and_kept(kept: Life) -> None:
    kept(kept.service.close())
    change_text(kept.directory / "mirror")
    with closing(sqlite3.connect(kept.directory / "chroma" / "chroma.sqlite3", isolation_level=None)) as database:
        text = '{"namespace":null,"metadata":{"n":1},"ordinal":1}'
        chosen = "(SELECT id FROM embeddings WHERE embedding_id = ?)"
        query = f"UPDATE embedding_metadata SET string_value = ? WHERE id = {chosen}"
        database.execute(query, (text, "v9"))
    with closing(sqlite3.connect(kept.directory / "mirror" / "mirror.db", isolation_level=None)) as database:
        # Or else what another program wrote into Chroma would count.
        database.execute("INSERT INTO state VALUES ('damage', 'for this test')")
    kept.service = kept.open()
    report = kept(kept.service.verify("kept", repair=True))
    assert not report.ok
    assert [each.where for each in report.indexes[0].problems] == ["both"]
    assert "`v9`" in report.indexes[0].problems[0].what
    kept(kept.service.upsert("kept", [{"id": "v9", "values": VALUES[9].tolist(), "metadata": {"n": 9}}]))
    assert kept(kept.service.verify("kept", repair=False)).ok
    is_whole(kept)


@pytest.mark.slow
def test_compact_gives_the_space_of_deleted_rows_back(kept: Life) -> None:
    random = np.random.default_rng(5).standard_normal((4000, WIDTH)).astype(np.float32)
    ids = [f"gone{number}" for number in range(4000)]
    kept(kept.service.upsert_arrays("kept", ids, random, [{"text": "x" * 500}] * 4000))
    kept(kept.service.create("dropped", WIDTH, "cosine"))
    kept(kept.service.upsert_arrays("dropped", ids, random, [{"text": "x" * 500}] * 4000))
    kept(kept.service.delete("dropped"))
    kept(kept.service.delete_by_ids("kept", ids))
    left = [kept.directory / "mirror" / name for name in ("uid.3.f32", "uid.3.i8", "uid.frozen")]
    for file in left:
        file.touch()  # as a crash leaves them
    done = kept(kept.service.compact("kept"))
    assert done.vectors == COUNT - 1
    assert not any(file.exists() for file in left)
    assert done.bytes_after < done.bytes_before / 4
    assert done.bytes_after == sum(one.stat().st_size for one in kept.directory.rglob("*") if one.is_file())
    for again in (lambda: kept.service, kept.reopen, lambda: kept.remove("mirror")):
        again()
        is_whole(kept)
        assert len(list((kept.directory / "chroma").glob("*/"))) == 1
    kept(kept.service.upsert("kept", [{"id": "new", "values": [0.0] * WIDTH}]))
    assert kept(kept.service.verify(None, repair=False)).ok
    with pytest.raises(NotFoundError):
        kept(kept.service.compact("nobody"))


def test_an_export_is_the_index_at_its_beginning(kept: Life) -> None:
    async def read() -> bytes:
        pieces: list[bytes] = []
        async for piece in await kept.service.export("kept"):
            if not pieces:
                await kept.service.upsert("kept", [{"id": "v1", "values": [0.0] * WIDTH}])
                await kept.service.delete_by_ids("kept", [f"v{number}" for number in range(2, COUNT)])
            pieces.append(piece)
        return b"".join(pieces)

    text = kept(read())
    assert kept(kept.service.info("kept")).vector_count == 2
    header, *rows = text.splitlines()
    assert json.loads(header) == {
        "index": {
            "name": "kept",
            "description": "",
            "config": {"dimensions": WIDTH, "metric": "euclidean"},
            "metadataIndexes": [],
            "vectorCount": COUNT - 1,
        }
    }
    kept(kept.service.delete("kept"))
    kept(kept.service.create("kept", WIDTH, "euclidean"))
    kept(kept.service.insert("kept", [json.loads(row) for row in rows]))
    is_whole(kept)
    assert not list((kept.directory / "mirror").glob("*.frozen"))
