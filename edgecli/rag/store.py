"""The manifest of what was ingested, and the full-text index beside it, in `edge.db`.

A document's life, so that a crash at any instant loses nothing and leaves nothing behind:

    (nothing) ──begin──> writing ──finish──> live ──finish of the next version, or remove──> dead ──> (nothing)

`begin` is on disk before the first vector is written, and `dead` before the first one is deleted. So every vector
that this room ever wrote can be found from here: a later run deletes the vectors of `writing` and `dead` documents.
Only `live` documents are shown. FTS rows exist for live documents alone and change in the same transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgecli.rag.lexical import match_expression, phrase, segment
from edgecli.state import Database, Migration, now

if TYPE_CHECKING:
    from edgecli.documents.schema import Chunk

_MIGRATIONS = (
    Migration(
        "rag-1-manifest",
        """
        CREATE TABLE rag_indexes (
            number INTEGER PRIMARY KEY,
            uid TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL,
            embedding_model TEXT NOT NULL
        );
        CREATE TABLE rag_documents (
            doc_id TEXT NOT NULL,
            index_number INTEGER NOT NULL REFERENCES rag_indexes(number) ON DELETE CASCADE,
            path TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('writing', 'live', 'dead')),
            size INTEGER NOT NULL,
            modified_ns INTEGER NOT NULL,
            sha256 TEXT NOT NULL,
            fingerprint TEXT NOT NULL,
            chunks INTEGER NOT NULL,
            changed_at TEXT NOT NULL,
            PRIMARY KEY (index_number, doc_id)
        ) WITHOUT ROWID;
        CREATE UNIQUE INDEX rag_live_path ON rag_documents(index_number, path) WHERE state = 'live';
        CREATE INDEX rag_not_live ON rag_documents(index_number, doc_id) WHERE state <> 'live';
        CREATE TABLE rag_chunks (
            number INTEGER PRIMARY KEY,
            index_number INTEGER NOT NULL REFERENCES rag_indexes(number) ON DELETE CASCADE,
            doc_id TEXT NOT NULL,
            position INTEGER NOT NULL
        );
        CREATE INDEX rag_chunks_of ON rag_chunks(index_number, doc_id)
        """,
    ),
)


@dataclass(frozen=True, slots=True)
class KnownIndex:
    """An index that documents were ingested into."""

    number: int
    uid: str
    name: str
    embedding_model: str


@dataclass(frozen=True, slots=True)
class FileVersion:
    """What identifies one version of one file."""

    path: str
    """As shown to users: relative to the project, with `/`."""
    size: int
    modified_ns: int
    sha256: str
    fingerprint: str
    """Of the settings that made the chunks: a change makes the file new."""


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """One document of the manifest."""

    doc_id: str
    state: str
    chunks: int
    version: FileVersion

    def chunk_ids(self) -> list[str]:
        """Return the ids of all vectors that belong to this document."""
        return chunk_ids(self.doc_id, self.chunks)


def chunk_ids(doc_id: str, count: int) -> list[str]:
    """Return `docId:0` … for a document of `count` chunks."""
    return [f"{doc_id}:{position}" for position in range(count)]


@dataclass(frozen=True, slots=True)
class WrittenDocument:
    """A document whose vectors have all been written, with the words to index."""

    doc_id: str
    title: str
    chunks: Sequence[Chunk]


class RagStore:
    """Read and change the manifest and the full-text index."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate(_MIGRATIONS)

    async def find_index(self, uid: str) -> KnownIndex | None:
        """Return what is known of the index with this unique id."""
        return await self._database.run(lambda connection: _find_index(connection, uid))

    async def register_index(self, uid: str, name: str, embedding_model: str) -> KnownIndex:
        """Remember an index and the model that fills it; forget indexes of the same name that no longer exist.

        An index that is known already and holds no document may get another model.
        """

        def work(connection: sqlite3.Connection) -> KnownIndex:
            for (stale,) in connection.execute(
                "SELECT number FROM rag_indexes WHERE name = ? AND uid <> ?", (name, uid)
            ).fetchall():
                _forget_index(connection, stale)
            connection.execute(
                "INSERT INTO rag_indexes (uid, name, embedding_model) VALUES (?, ?, ?) "
                "ON CONFLICT (uid) DO UPDATE SET embedding_model = excluded.embedding_model",
                (uid, name, embedding_model),
            )
            known = _find_index(connection, uid)
            assert known is not None
            connection.execute(
                f"CREATE VIRTUAL TABLE IF NOT EXISTS {_fts(known.number)} USING fts5("
                "title, heading, body, tokenize = 'porter unicode61 remove_diacritics 2')"
            )
            return known

        return await self._database.run(work)

    async def forget_index(self, uid: str) -> None:
        """Drop all that is known of an index, the words of its documents included, after it was deleted."""

        def work(connection: sqlite3.Connection) -> None:
            known = _find_index(connection, uid)
            if known is not None:
                _forget_index(connection, known.number)

        await self._database.run(work)

    async def documents(self, index: KnownIndex) -> list[DocumentRow]:
        """Return all documents of an index, in every state."""

        def work(connection: sqlite3.Connection) -> list[DocumentRow]:
            rows = connection.execute(
                "SELECT doc_id, state, chunks, path, size, modified_ns, sha256, fingerprint FROM rag_documents "
                "WHERE index_number = ?",
                (index.number,),
            )
            return [DocumentRow(row[0], row[1], row[2], FileVersion(*row[3:])) for row in rows]

        return await self._database.run(work)

    async def begin(self, index: KnownIndex, documents: Iterable[tuple[str, int, FileVersion]]) -> None:
        """Record documents, given as id, number of chunks and version, whose vectors are about to be written."""

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "INSERT OR REPLACE INTO rag_documents "
                "(doc_id, index_number, path, state, size, modified_ns, sha256, fingerprint, chunks, changed_at) "
                "VALUES (?, ?, ?, 'writing', ?, ?, ?, ?, ?, ?)",
                [
                    (
                        doc_id,
                        index.number,
                        version.path,
                        version.size,
                        version.modified_ns,
                        version.sha256,
                        version.fingerprint,
                        chunks,
                        now(),
                    )
                    for doc_id, chunks, version in documents
                ],
            )

        await self._database.run(work)

    async def finish(self, index: KnownIndex, documents: Sequence[WrittenDocument]) -> list[DocumentRow]:
        """Show these documents from now on; return the older versions that they replace, now dead."""

        def work(connection: sqlite3.Connection) -> list[DocumentRow]:
            replaced: list[DocumentRow] = []
            for document in documents:
                replaced += _kill(
                    connection,
                    index.number,
                    "path = (SELECT path FROM rag_documents WHERE index_number = ? AND doc_id = ?) AND doc_id <> ?",
                    (index.number, document.doc_id, document.doc_id),
                )
                connection.execute(
                    "UPDATE rag_documents SET state = 'live', changed_at = ? WHERE index_number = ? AND doc_id = ?",
                    (now(), index.number, document.doc_id),
                )
                _insert_words(connection, index.number, document)
            return replaced

        return await self._database.run(work)

    async def touch(self, index: KnownIndex, versions: Sequence[tuple[str, FileVersion]]) -> None:
        """Note new times of files, given with their document's id, whose content is unchanged."""

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "UPDATE rag_documents SET size = ?, modified_ns = ? WHERE index_number = ? AND doc_id = ?",
                [(version.size, version.modified_ns, index.number, doc_id) for doc_id, version in versions],
            )

        await self._database.run(work)

    async def remove(self, index: KnownIndex, doc_ids: Sequence[str]) -> list[DocumentRow]:
        """Show these documents no longer; return them, dead, so that their vectors can be deleted."""

        def work(connection: sqlite3.Connection) -> list[DocumentRow]:
            rows: list[DocumentRow] = []
            for doc_id in doc_ids:
                rows += _kill(connection, index.number, "doc_id = ?", (doc_id,))
            return rows

        return await self._database.run(work)

    async def forget(self, index: KnownIndex, doc_ids: Sequence[str]) -> None:
        """Drop documents that are not live, after their vectors have been deleted."""

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "DELETE FROM rag_documents WHERE index_number = ? AND doc_id = ? AND state <> 'live'",
                [(index.number, doc_id) for doc_id in doc_ids],
            )

        await self._database.run(work)

    async def hidden(self, index: KnownIndex) -> set[str]:
        """Return the ids of the documents that have vectors but must not be shown."""

        def work(connection: sqlite3.Connection) -> set[str]:
            rows = connection.execute(
                "SELECT doc_id FROM rag_documents WHERE index_number = ? AND state <> 'live'", (index.number,)
            )
            return {doc_id for (doc_id,) in rows}

        return await self._database.run(work)

    async def sizes(self, index: KnownIndex, doc_ids: Collection[str]) -> dict[str, int]:
        """Return how many chunks each of these documents has."""

        def work(connection: sqlite3.Connection) -> dict[str, int]:
            marks = ", ".join("?" * len(doc_ids))
            return dict(
                connection.execute(
                    f"SELECT doc_id, chunks FROM rag_documents WHERE index_number = ? AND doc_id IN ({marks})",
                    (index.number, *doc_ids),
                ).fetchall()
            )

        return await self._database.run(work)

    async def search(
        self, index: KnownIndex, question: str, *, limit: int, weights: tuple[float, float, float]
    ) -> list[tuple[str, float]]:
        """Return chunk ids with their BM25 score (more is better), best first.

        `weights` are those of a match in the title, in the heading and in the body.
        """
        expression = match_expression(question)
        if expression is None:
            return []
        table = _fts(index.number)

        def work(connection: sqlite3.Connection) -> list[tuple[str, float]]:
            rows = connection.execute(
                f"SELECT chunk.doc_id, chunk.position, found.score FROM "
                f"(SELECT rowid, -bm25({table}, ?, ?, ?) AS score FROM {table} WHERE {table} MATCH ? "
                f"ORDER BY score DESC LIMIT ?) AS found "
                "JOIN rag_chunks AS chunk ON chunk.number = found.rowid ORDER BY found.score DESC, found.rowid",
                (*weights, expression, limit),
            )
            return [(f"{doc_id}:{position}", score) for doc_id, position, score in rows]

        return await self._database.run(work)

    async def extent(self, index: KnownIndex) -> tuple[int, int]:
        """Return how many documents are shown, and how many chunks they have."""

        def work(connection: sqlite3.Connection) -> tuple[int, int]:
            return connection.execute(
                "SELECT count(*), coalesce(sum(chunks), 0) FROM rag_documents "
                "WHERE index_number = ? AND state = 'live'",
                (index.number,),
            ).fetchone()

        return await self._database.run(work)

    async def frequencies(self, index: KnownIndex, words: Collection[str]) -> dict[str, int]:
        """Return in how many chunks each of these words stands; CJK as pairs."""
        table = _fts(index.number)

        def work(connection: sqlite3.Connection) -> dict[str, int]:
            count = f"SELECT count(*) FROM {table} WHERE {table} MATCH ?"
            return {word: connection.execute(count, (phrase(word),)).fetchone()[0] for word in words}

        return await self._database.run(work)

    async def holders(self, index: KnownIndex, name: str, *, limit: int) -> list[str]:
        """Return the ids of up to `limit` chunks that hold a name, its parts one after another."""
        table = _fts(index.number)

        def work(connection: sqlite3.Connection) -> list[str]:
            rows = connection.execute(
                f"SELECT chunk.doc_id, chunk.position FROM {table} JOIN rag_chunks AS chunk "
                f"ON chunk.number = {table}.rowid WHERE {table} MATCH ? LIMIT ?",
                (phrase(name), limit),
            )
            return [f"{doc_id}:{position}" for doc_id, position in rows]

        return await self._database.run(work)


def _fts(number: int) -> str:
    return f"rag_fts_{number}"


def _find_index(connection: sqlite3.Connection, uid: str) -> KnownIndex | None:
    row = connection.execute(
        "SELECT number, uid, name, embedding_model FROM rag_indexes WHERE uid = ?", (uid,)
    ).fetchone()
    return KnownIndex(*row) if row else None


def _forget_index(connection: sqlite3.Connection, number: int) -> None:
    connection.execute(f"DROP TABLE IF EXISTS {_fts(number)}")
    connection.execute("DELETE FROM rag_indexes WHERE number = ?", (number,))


def _insert_words(connection: sqlite3.Connection, index_number: int, document: WrittenDocument) -> None:
    title = segment(document.title)
    for chunk in document.chunks:
        cursor = connection.execute(
            "INSERT INTO rag_chunks (index_number, doc_id, position) VALUES (?, ?, ?)",
            (index_number, document.doc_id, chunk.index),
        )
        connection.execute(
            f"INSERT INTO {_fts(index_number)} (rowid, title, heading, body) VALUES (?, ?, ?, ?)",
            (cursor.lastrowid, title, segment(chunk.heading), segment(chunk.text)),
        )


def _kill(
    connection: sqlite3.Connection, index_number: int, condition: str, parameters: tuple[object, ...]
) -> list[DocumentRow]:
    """Turn live documents that meet the condition dead and take their words out of the full-text index."""
    rows = connection.execute(
        "SELECT doc_id, 'dead', chunks, path, size, modified_ns, sha256, fingerprint FROM rag_documents "
        f"WHERE index_number = ? AND state = 'live' AND {condition}",
        (index_number, *parameters),
    ).fetchall()
    for row in rows:
        key = (index_number, row[0])
        connection.execute("UPDATE rag_documents SET state = 'dead' WHERE index_number = ? AND doc_id = ?", key)
        connection.execute(
            f"DELETE FROM {_fts(index_number)} WHERE rowid IN "
            "(SELECT number FROM rag_chunks WHERE index_number = ? AND doc_id = ?)",
            key,
        )
        connection.execute("DELETE FROM rag_chunks WHERE index_number = ? AND doc_id = ?", key)
    return [DocumentRow(row[0], row[1], row[2], FileVersion(*row[3:])) for row in rows]
