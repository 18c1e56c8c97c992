"""Real rooms over temporary projects: one event loop and one pair of engines for all of them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from edgecli.ai.service import AiService
from edgecli.config import load_project
from edgecli.config.settings import Settings
from edgecli.models.catalog import Catalog
from edgecli.models.store import Store
from edgecli.rag.schema import Answer, AskRequest, IngestReport, IngestRequest, QueryRequest, QueryResult
from edgecli.rag.store import DocumentRow
from edgecli.runtime import Runtime

T = TypeVar("T")

INDEX = "help"


@dataclass
class _Models:
    catalog: Catalog
    store: Store


class Engines:
    """The event loop of the tests, and the models in it."""

    def __init__(self, home: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self.ai = AiService(_Models(Catalog.load(), Store(home / "models")), Settings(threads=1))

    def __call__(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)

    def end(self) -> None:
        self(self.ai.close())
        self(self._loop.shutdown_asyncgens())
        self._loop.close()


class Room:
    """One project with documents below `docs` and an index."""

    def __init__(self, root: Path, engines: Engines, settings: str = "") -> None:
        self.root = root
        self.run = engines
        (root / "docs").mkdir(parents=True, exist_ok=True)
        (root / "wrangler.toml").write_text(f'name = "test"\n{settings}', encoding="utf-8")
        self.open()

    def open(self) -> None:
        self._runtime: Runtime | None = Runtime(load_project(cwd=self.root, config=None, env=None))
        self._runtime.ai = self.run.ai

    @property
    def runtime(self) -> Runtime:
        assert self._runtime is not None, "the room is closed"
        return self._runtime

    def close(self) -> None:
        """Give the state back, so that another process can have it."""
        runtime, self._runtime = self._runtime, None
        if runtime is not None:
            del runtime.ai  # it belongs to all rooms
            self.run(runtime.close())

    def create_index(self, dimensions: int = 384) -> None:
        self.run(self.runtime.vectorize.create(INDEX, dimensions, "cosine"))

    def write(self, **files: str | bytes) -> None:
        """Write files below `docs`; `_` before the suffix stands for the dot: `a_md`."""
        for name, content in files.items():
            stem, _, suffix = name.rpartition("_")
            self.file(f"{stem}.{suffix}", content)

    def file(self, name: str, content: str | bytes) -> Path:
        path = self.root / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def events(self, path: str = "docs", **options: Any) -> list[dict[str, Any]]:
        async def collect() -> list[dict[str, Any]]:
            request = IngestRequest(path=path, index=INDEX, **options)
            return [event async for event in self.runtime.ingest.run(request)]

        return self.run(collect())

    def ingest(self, path: str = "docs", **options: Any) -> IngestReport:
        return IngestReport.model_validate(self.events(path, **options)[-1]["report"])

    def query(self, text: str, **options: Any) -> QueryResult:
        return self.run(self.runtime.retrieval.query(QueryRequest(query=text, index=INDEX, **options)))

    def ask(self, question: str, **options: Any) -> Answer:
        return self.run(self.runtime.answers.ask(AskRequest(question=question, index=INDEX, **options)))

    def documents(self) -> list[DocumentRow]:
        """Return the manifest."""

        async def read() -> list[DocumentRow]:
            known = await self.runtime.rag_store.find_index(await self.runtime.vectorize.uid(INDEX))
            return await self.runtime.rag_store.documents(known) if known else []

        return self.run(read())

    def live_ids(self) -> set[str]:
        """Return the chunk ids that the manifest shows."""
        return {chunk for document in self.documents() if document.state == "live" for chunk in document.chunk_ids()}

    def keyword_ids(self) -> set[str]:
        """Return the ids of all rows of the full-text index, read past our own code."""
        connection = sqlite3.connect(self.root / ".edgecli" / "edge.db")
        try:
            (table,) = (
                name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE sql LIKE '%USING fts5%'")
            )
            rows = connection.execute(
                f"SELECT doc_id, position FROM {table} JOIN rag_chunks ON rag_chunks.number = {table}.rowid"
            ).fetchall()
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (len(rows),)
            assert connection.execute("SELECT count(*) FROM rag_chunks").fetchone() == (len(rows),)
        finally:
            connection.close()
        return {f"{doc_id}:{position}" for doc_id, position in rows}

    def assert_in_step(self) -> None:
        """Check that vectors, full-text rows and manifest speak of the same chunks, and of no others."""
        assert {document.state for document in self.documents()} <= {"live"}
        live = self.live_ids()
        assert set(self.run(self.runtime.vectorize.get_metadata(INDEX, sorted(live)))) == live
        assert self.run(self.runtime.vectorize.info(INDEX)).vector_count == len(live)
        assert self.keyword_ids() == live

    def metadata(self) -> list[dict[str, Any]]:
        """Return the metadata of all vectors."""
        found = self.run(self.runtime.vectorize.get_metadata(INDEX, sorted(self.live_ids())))
        return [found[chunk_id] for chunk_id in sorted(found)]


@pytest.fixture(scope="session")
def engines(edgecli_home: Path) -> Iterator[Engines]:
    engines = Engines(edgecli_home)
    yield engines
    engines.end()


@pytest.fixture
def room(tmp_path: Path, engines: Engines) -> Iterator[Room]:
    """A project of its own with an empty index."""
    room = Room(tmp_path / "project", engines)
    room.create_index()
    yield room
    room.close()


LIBRARY: dict[str, str] = {
    "refunds.md": (
        "---\nyear: 2024\npublic: true\nteam: sales\n---\n# Refunds\n\n"
        "You can ask for a refund within 30 days of the purchase. The receipt must be attached.\n"
    ),
    "shipping.md": (
        "---\nyear: 2021\npublic: false\nteam: logistics\n---\n# Shipping\n\n"
        "Parcels leave the warehouse in Rotterdam every morning at eight. Express delivery takes two days.\n"
    ),
    "backup.md": (
        "---\nyear: 2022\npublic: true\n---\n# Backups\n\n"
        "The database is copied every night to a second site. Copies are kept for ninety days.\n"
    ),
    "退款.md": "---\nyear: 2024\npublic: true\n---\n# 退款政策\n\n购买后三十天内可以申请退款,必须附上收据。\n",
    "会议.md": "# 会议室\n\n三楼的会议室可以坐二十个人,需要提前一天预约。\n",
}


def library(root: Path, engines: Engines, settings: str = "") -> Room:
    """Return a project whose index holds five small documents, two of them Chinese."""
    room = Room(root, engines, settings)
    room.create_index()
    for name, text in LIBRARY.items():
        room.file(name, text)
    assert room.ingest().added == len(LIBRARY)
    return room
