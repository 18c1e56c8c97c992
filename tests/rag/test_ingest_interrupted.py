"""Ingest, cut off at any instant: the index stays readable, and the next run brings it in step."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from edgecli.rag import ingest
from edgecli.rag.schema import IngestRequest
from tests.conftest import Run
from tests.rag.conftest import INDEX, Engines, Room

pytestmark = pytest.mark.models

FILES = 40
# Small batches spread one run over many writes, so that a signal meets every kind of instant.
SMALL_BATCHES = """
import sys
import edgecli.rag.ingest
edgecli.rag.ingest.BATCH_CHUNKS = 8
from edgecli.entry import main
main()
"""


@pytest.fixture
def room(tmp_path: Path, engines: Engines) -> Iterator[Room]:
    """A project whose chunks are small, so that embedding them costs little."""
    room = Room(tmp_path, engines, "[edgecli.ingest]\nchunk_tokens = 24\nchunk_overlap = 0\n")
    room.create_index()
    yield room
    room.close()


def _document(number: int, edition: int) -> str:
    parts = (f"## Rule {part}\n\n" + f"Article {number} edition{edition} part {part}. " * 2 for part in range(6))
    return f"# Article {number}\n\n" + "\n\n".join(parts) + "\n"


def _fill(room: Room, edition: int = 0) -> None:
    for number in range(FILES):
        room.file(f"{number}.md", _document(number, edition))


def _start(room: Room, home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SMALL_BATCHES, "ingest", "docs", "--index", INDEX],
        cwd=room.root,
        env=os.environ | {"EDGECLI_HOME": str(home), "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _changes(database: Path) -> tuple[int, str]:
    if not database.exists():
        return (0, "")
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return connection.execute("SELECT count(*), coalesce(max(changed_at), '') FROM rag_documents").fetchone()
    except sqlite3.OperationalError:
        return (0, "")
    finally:
        connection.close()


def _wait_for_writes(process: subprocess.Popen[str], room: Room, before: tuple[int, str]) -> None:
    database = room.root / ".edgecli" / "edge.db"
    while process.poll() is None and _changes(database) == before:
        time.sleep(0.01)


def _cut_off(room: Room, home: Path, number: int, *, after: float) -> tuple[int, str]:
    """Run an ingest in a process, send it a signal that long after its first write, and return how it ended."""
    room.close()
    before = _changes(room.root / ".edgecli" / "edge.db")
    process = _start(room, home)
    _wait_for_writes(process, room, before)
    time.sleep(after)
    process.send_signal(number)
    _, complaints = process.communicate(timeout=120)
    room.open()
    return process.returncode, complaints


def _assert_shows_only_live_documents(room: Room) -> None:
    shown = {hit.id for hit in room.query("article rule part", top_k=100).hits}
    assert shown <= room.live_ids()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_was_stopped_is_taken_up(room: Room, edgecli_home: Path, number: int, code: int) -> None:
    _fill(room)
    ended, complaints = _cut_off(room, edgecli_home, number, after=0)
    assert ended == code, complaints
    assert "Traceback" not in complaints
    assert not (room.root / ".edgecli" / "owner.json").exists()
    _assert_shows_only_live_documents(room)
    already = len([document for document in room.documents() if document.state == "live"])
    assert already < FILES
    if already:
        assert f" of {FILES} new or changed files are in the index" in complaints
    assert "The same command " in complaints
    report = room.ingest()
    assert (report.added, report.unchanged, report.failed) == (FILES - already, already, [])
    room.assert_in_step()


@pytest.mark.slow
def test_a_run_that_was_killed_at_any_instant_leaves_nothing_wrong(room: Room, edgecli_home: Path) -> None:
    chance = random.Random(20240229)
    _fill(room)
    for edition in range(1, 6):
        _cut_off(room, edgecli_home, signal.SIGKILL, after=chance.uniform(0, 1.5))
        _assert_shows_only_live_documents(room)
        for number in chance.sample(range(FILES), 10):
            path = room.root / "docs" / f"{number}.md"
            if path.exists() and chance.random() < 0.3:
                path.unlink()
            else:
                room.file(path.name, _document(number, edition))
    assert room.ingest().failed == []
    room.assert_in_step()
    on_disk = {f"docs/{path.name}": path.read_text(encoding="utf-8") for path in (room.root / "docs").iterdir()}
    entries = room.metadata()
    assert {entry["file"] for entry in entries} == set(on_disk)
    assert all(on_disk[entry["file"]][entry["start"] : entry["end"]] == entry["text"] for entry in entries)


@pytest.mark.slow
def test_a_stream_that_is_left_stops_the_run(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "BATCH_CHUNKS", 4)
    monkeypatch.setattr(ingest, "PROGRESS_SECONDS", 0.01)
    _fill(room)

    async def leave_after_the_first_write() -> None:
        before = asyncio.all_tasks()  # this one, and those of models that other tests loaded
        async with aclosing(room.runtime.ingest.run(IngestRequest(path="docs", index=INDEX))) as events:
            async for event in events:
                if event.get("chunks"):
                    break
        assert asyncio.all_tasks() <= before, "somebody still works on the run"

    room.run(leave_after_the_first_write())
    _assert_shows_only_live_documents(room)
    assert len([document for document in room.documents() if document.state == "live"]) < FILES
    report = room.ingest()
    assert report.added + report.unchanged == FILES
    room.assert_in_step()


@pytest.mark.slow
def test_a_second_process_is_told_who_holds_the_state(room: Room, edgecli: Run, edgecli_home: Path) -> None:
    room.ingest()
    done = edgecli("ingest", "docs", "--cwd", str(room.root), "--index", INDEX, EDGECLI_HOME=str(edgecli_home))
    assert done.returncode == 1
    assert f"in use by process {os.getpid()}" in done.stderr
    assert "edgecli serve" in done.stderr


@pytest.mark.slow
def test_a_slow_machine_writes_after_some_seconds(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Embedding is made slow: what is written in one go, and lost with it, must be few passages."""
    monkeypatch.setattr(ingest, "WRITE_SECONDS", 0.2)
    monkeypatch.setattr(ingest, "PROGRESS_SECONDS", 0.01)
    embed, write = ingest.IngestService.embed, ingest.IngestService.write
    sizes: list[int] = []

    async def slowly(self: ingest.IngestService, model: str, texts: list[str]) -> object:
        await asyncio.sleep(0.05 * len(texts))
        return await embed(self, model, texts)

    async def counting(self: ingest.IngestService, known: object, batch: ingest.Batch, vectors: object) -> object:
        sizes.append(len(batch))
        return await write(self, known, batch, vectors)  # type: ignore[arg-type]

    monkeypatch.setattr(ingest.IngestService, "embed", slowly)
    monkeypatch.setattr(ingest.IngestService, "write", counting)
    _fill(room)
    events = room.events()
    assert max(sizes) <= 40
    # The reader is some batches ahead: those have the first size.
    assert len(sizes) > 8 and max(sizes[6:]) <= 8
    progress = [event for event in events if event["event"] == "progress"]
    assert [event["event"] for event in events[:2]] == ["scan", "load"]
    assert next(event for event in progress if event["chunks"])["seconds_left"] > 0
    assert events[-1]["report"]["added"] == FILES
    room.assert_in_step()
