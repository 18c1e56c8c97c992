"""Bring documents into an index: read, chunk, embed, write, all at once, in bounded memory.

scan ─> diff with the manifest ─> [read and chunk] ─> queue ─> [embed] ─> queue ─> [write] ─> report
          (a thread)                                  (its own process)     (store's threads)
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecli.errors import ConfigError, EdgeError, UsageError
from edgecli.rag.manifest import Plan, Work, plan_run
from edgecli.rag.scan import Scanner, Selection
from edgecli.rag.schema import FailedFile, IngestReport, IngestRequest
from edgecli.rag.store import DocumentRow, KnownIndex, RagStore, WrittenDocument, chunk_ids

if TYPE_CHECKING:
    import numpy as np

    from edgecli.ai.engines.embedding import Tokens
    from edgecli.ai.service import AiService
    from edgecli.config.project import Project
    from edgecli.documents.schema import Chunk, Document
    from edgecli.vectorize.service import VectorizeService

BATCH_CHUNKS = 256
"""Chunks that are embedded and written together, at most."""
FIRST_BATCH = 32
WRITE_SECONDS = 4.0
"""Seconds of embedding after which a batch is written: more would be lost when the run is stopped."""
TURN_CHUNKS = 64
"""Chunks that are embedded before another caller of the engine has its turn."""
WAITING_BATCHES = 2
PROGRESS_SECONDS = 0.2
MAX_METADATA = 10 * 1024
"""Bytes of metadata a vector, Vectorize's limit."""
MAX_FRONT_MATTER = 2 * 1024
"""Bytes of a document's own metadata; with more of it, none is kept."""


@dataclass(slots=True)
class Prepared:
    """A file that has been read and chunked."""

    work: Work
    document: Document
    chunks: list[Chunk]
    written: int = 0


@dataclass(slots=True)
class Batch:
    """Chunks of one or more files, in order; a large file spans several batches."""

    pieces: list[tuple[Prepared, list[Chunk]]] = field(default_factory=list[tuple[Prepared, "list[Chunk]"]])

    def __len__(self) -> int:
        return sum(len(chunks) for _, chunks in self.pieces)

    def texts(self) -> list[str]:
        return [passage_text(one.document.title, chunk) for one, chunks in self.pieces for chunk in chunks]


def passage_text(title: str, chunk: Chunk) -> str:
    """Return what is embedded for a chunk: where it stands, then what it says."""
    place = " > ".join(part for part in (title, chunk.heading) if part and not chunk.heading.startswith(f"{part} >"))
    return f"{place}\n{chunk.text}" if place else chunk.text


class IngestService:
    """Keep indexes in step with folders of documents."""

    def __init__(self, project: Project, ai: AiService, vectorize: VectorizeService, store: RagStore) -> None:
        self._project = project
        self._settings = project.settings
        self._ai = ai
        self._vectorize = vectorize
        self._store = store
        self._running: dict[str, asyncio.Lock] = {}

    @property
    def _max_bytes(self) -> int:
        return self._settings.ingest.max_file_mb * 1024 * 1024

    async def run(self, request: IngestRequest) -> AsyncGenerator[dict[str, Any]]:
        """Bring a file or folder into an index; yield `scan`, `load`, `progress`, at last `done` with the report.

        After a run the index holds, below that folder, exactly the files that the call selects. Files that could
        not be read keep the version they had and are listed in the report. Raises EdgeError if the run cannot
        start or the index cannot be written.
        """
        started = time.monotonic()
        root = self._absolute(request.path)
        name = resolve_index(self._project, request.index)
        model = self._settings.embedding_model
        uid = await self._vectorize.uid(name)
        # A second run on the index would take this one's unfinished documents for leftovers of a killed run.
        async with self._running.setdefault(uid, asyncio.Lock()):
            known = await self._store.find_index(uid)
            documents = await self._store.documents(known) if known else []
            self._check_model(known, documents, model)
            scanner = self._scanner(root, request, documents)
            plan = await asyncio.to_thread(plan_run, scanner, documents, self._fingerprint(model))
            report = IngestReport(index=name, dry_run=request.dry_run, unchanged=plan.unchanged)
            report.notes = _notes_of(scanner, plan)
            report.failed = [
                FailedFile(file=place, error=f"cannot be read: {reason}", code="unreadable")
                for place, reason in scanner.unreadable.items()
            ]
            yield {"event": "scan", "files": plan.found, "to_do": len(plan.work), "to_delete": len(plan.gone)}
            if request.dry_run:
                report.failed += await asyncio.to_thread(self._known_failures, plan)
                _report_plan(report, plan)
            else:
                if plan.work:
                    yield {"event": "load", "model": self._ai.spec(model).id}
                    await self._check_dimensions(name, model)
                if known is None or not documents:
                    known = await self._store.register_index(uid, name, self._ai.spec(model).id)
                await self._clear_leftovers(known, plan)
                await self._store.touch(known, plan.touched)
                async with aclosing(_Run(self, known, model, plan, report).events()) as events:
                    async for event in events:
                        yield event
                await self._delete_gone(known, plan, report)
        report.seconds = round(time.monotonic() - started, 3)
        yield {"event": "done", "report": report.model_dump(exclude={"files"} if not request.dry_run else None)}

    def _scanner(self, root: Path, request: IngestRequest, documents: Sequence[DocumentRow]) -> Scanner:
        ingest = self._settings.ingest
        return Scanner(
            root,
            self._project.root,
            Selection(request.glob, [*ingest.exclude, *request.exclude], ingest.gitignore),
            known=(document.version.path for document in documents if document.state == "live"),
        )

    def _known_failures(self, plan: Plan) -> list[FailedFile]:
        """Return the files of which it is cheap to know that they cannot be read; take them out of the plan's work."""
        from edgecli.documents.read import check_document

        failed: list[FailedFile] = []
        for work in plan.work:
            try:
                check_document(work.file.path, max_bytes=self._max_bytes)
            except EdgeError as error:
                failed.append(FailedFile(file=work.file.name, error=error.message, code=error.code))
        names = {one.file for one in failed}
        plan.work = [work for work in plan.work if work.file.name not in names]
        return failed

    def _absolute(self, path: str) -> Path:
        if not path.strip():
            raise UsageError("The path is empty.", hint="Name a file or a folder of documents.", code="bad_request")
        return self._project.root / Path(path).expanduser()

    def _check_model(self, known: KnownIndex | None, documents: Sequence[DocumentRow], model: str) -> None:
        if known is not None and documents and self._ai.spec(model).id != known.embedding_model:
            raise ConfigError(
                f"The index `{known.name}` was filled with `{known.embedding_model}`, but `embedding_model` now means "
                f"`{self._ai.spec(model).id}`: their vectors cannot be compared.",
                hint=f"Set it back, or `edgecli vectorize delete {known.name}`, create it again and ingest.",
                code="other_embedding_model",
            )

    async def _check_dimensions(self, name: str, model: str) -> None:
        width = (await self._ai.embedding_model(model)).dimensions
        index = await self._vectorize.get(name)
        if index.config.dimensions != width:
            raise UsageError(
                f"The index `{name}` has {index.config.dimensions} dimensions, but `{model}` makes vectors of {width}.",
                hint=f"Create an index with `--dimensions={width}`, or choose another `embedding_model`.",
                code="wrong_dimensions",
                cf_code=40012,
            )

    def _fingerprint(self, model: str) -> str:
        from edgecli.documents.schema import PIPELINE_VERSION

        ingest = self._settings.ingest
        parts = (PIPELINE_VERSION, self._ai.spec(model).id, ingest.chunk_tokens, ingest.chunk_overlap)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    async def _clear_leftovers(self, known: KnownIndex, plan: Plan) -> None:
        """Delete what a killed run left: vectors of documents that never became, or are no longer, live."""
        for document in plan.leftovers:
            await self._delete_vectors(known, document.chunk_ids())
        await self._store.forget(known, [document.doc_id for document in plan.leftovers])

    async def _delete_gone(self, known: KnownIndex, plan: Plan, report: IngestReport) -> None:
        dead = await self._store.remove(known, [document.doc_id for document in plan.gone])
        for document in dead:
            await self._delete_vectors(known, document.chunk_ids())
        await self._store.forget(known, [document.doc_id for document in dead])
        report.deleted = len(dead)

    async def _delete_vectors(self, known: KnownIndex, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), 1000):
            await self._vectorize.delete_by_ids(known.name, list(ids[start : start + 1000]))

    # What a run needs of the service, one step each.

    def prepare(self, work: Work, tokens: Tokens) -> Prepared:
        """Read and chunk one file, in the reading thread."""
        from edgecli.documents.chunk import chunk_document
        from edgecli.documents.read import read_document

        ingest = self._settings.ingest
        document = read_document(work.file.path, max_bytes=self._max_bytes)
        chunks = chunk_document(
            document, tokens=tokens, chunk_tokens=ingest.chunk_tokens, overlap_tokens=ingest.chunk_overlap
        )
        prepared = Prepared(work, document, chunks)
        for chunk in chunks:
            _check_size(_metadata(prepared, chunk), chunk)
        return prepared

    async def tokens(self, model: str) -> Tokens:
        """Return the embedding model's tokenizer."""
        return await self._ai.embedding_model(model)

    async def embed(self, model: str, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of passages, `(n, d)` float32.

        They go to the engine by length, a few at a time: a query that comes meanwhile waits for a few only.
        """
        import numpy as np

        prefix = self._ai.spec(model).passage_prefix
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        vectors: np.ndarray | None = None
        for start in range(0, len(order), TURN_CHUNKS):
            places = order[start : start + TURN_CHUNKS]
            part = await self._ai.embed(model, [prefix + texts[place] for place in places])
            if vectors is None:
                vectors = np.empty((len(texts), part.shape[1]), dtype=np.float32)
            vectors[places] = part
        return np.empty((0, 0), dtype=np.float32) if vectors is None else vectors

    async def write(self, known: KnownIndex, batch: Batch, vectors: np.ndarray) -> list[Prepared]:
        """Write a batch; return those of its files that are whole now."""
        await self._store.begin(
            known,
            [(one.work.doc_id, len(one.chunks), one.work.version) for one, _ in batch.pieces if not one.written],
        )
        ids = [f"{one.work.doc_id}:{chunk.index}" for one, chunks in batch.pieces for chunk in chunks]
        metadata = [_metadata(one, chunk) for one, chunks in batch.pieces for chunk in chunks]
        if ids:
            await self._vectorize.upsert_arrays(known.name, ids, vectors, metadata)
        for one, chunks in batch.pieces:
            one.written += len(chunks)
        complete = [one for one, _ in batch.pieces if one.written == len(one.chunks)]
        replaced = await self._store.finish(
            known, [WrittenDocument(one.work.doc_id, one.document.title, one.chunks) for one in complete]
        )
        for document in replaced:
            await self._delete_vectors(known, chunk_ids(document.doc_id, document.chunks))
        await self._store.forget(known, [document.doc_id for document in replaced])
        return complete


def _metadata(one: Prepared, chunk: Chunk) -> dict[str, Any]:
    own: dict[str, Any] = {
        "docId": one.work.doc_id,
        "file": one.work.version.path,
        "title": one.document.title,
        "heading": chunk.heading,
        "start": chunk.start,
        "end": chunk.end,
        "text": chunk.text,
    }
    page = getattr(chunk, "page", None)
    if page is not None:
        own["page"] = page
    front = {key: _storable(value) for key, value in one.document.metadata.items() if _usable_key(key)}
    if len(json.dumps(front, ensure_ascii=False).encode()) > MAX_FRONT_MATTER:
        front = {}
    return front | own


def _storable(value: Any) -> Any:
    """Keep integers that JSON's readers hold exactly; a longer one is text."""
    return str(value) if isinstance(value, int) and abs(value) >= 2**63 else value


def _check_size(metadata: Mapping[str, Any], chunk: Chunk) -> None:
    size = len(json.dumps(metadata, ensure_ascii=False).encode("utf-8", "replace"))
    if size > MAX_METADATA:
        raise EdgeError(
            f"chunk {chunk.index} is too large to be stored: {size} bytes of at most {MAX_METADATA}",
            hint="Make `chunk_tokens` under [edgecli.ingest] smaller.",
            code="chunk_too_large",
        )


def _usable_key(key: str) -> bool:
    """Tell whether Vectorize takes a metadata key: not empty, no `.` or `"`, no leading `$`."""
    return bool(key) and not key.startswith("$") and "." not in key and '"' not in key


def _notes_of(scanner: Scanner, plan: Plan) -> list[str]:
    notes: list[str] = []
    if scanner.vanished and plan.gone:
        notes.append(f"`{scanner.name_of(scanner.root)}` is no longer there: the index is to hold nothing of it.")
    if scanner.outside:
        first, more = scanner.outside[0], len(scanner.outside) - 1
        rest = f" and {more} more" if more else ""
        notes.append(f"Left out, as links that lead out of the folder: {first}{rest}.")
    return notes


def _report_plan(report: IngestReport, plan: Plan) -> None:
    report.added = sum(not work.replaces for work in plan.work)
    report.updated = sum(work.replaces for work in plan.work)
    report.deleted = len(plan.gone)
    report.files = {
        "added": [work.file.name for work in plan.work if not work.replaces],
        "updated": [work.file.name for work in plan.work if work.replaces],
        "deleted": [document.version.path for document in plan.gone],
    }


def resolve_index(project: Project, name: str | None) -> str:
    """Return the index that a call means: named, or by its binding, or the only one of the project.

    Raises UsageError, code `which_index`, if none is named and the project has none or several.
    """
    bindings = {binding.binding: binding.index_name for binding in project.vectorize}
    if name:
        return bindings.get(name, name)
    indexes = sorted(set(bindings.values()))
    if len(indexes) == 1:
        return indexes[0]
    if not indexes:
        raise UsageError(
            "No index was named, and the project's configuration has no [[vectorize]] binding.",
            hint="Name one with `--index NAME`.",
            code="which_index",
        )
    raise UsageError(
        "No index was named, and the project has several: " + ", ".join(f"`{index}`" for index in indexes) + ".",
        hint="Name one with `--index NAME`.",
        code="which_index",
    )


class _Run:
    """One run's pipeline: three stages with short queues between them."""

    def __init__(self, service: IngestService, known: KnownIndex, model: str, plan: Plan, report: IngestReport) -> None:
        self._service = service
        self._known = known
        self._model = model
        self._plan = plan
        self._report = report
        self._files_done = 0
        self._kept = 0
        self._batch_chunks = min(FIRST_BATCH, BATCH_CHUNKS)
        self._bytes = sum(work.file.size for work in plan.work)
        self._bytes_done = 0.0
        self._embedding_since: float | None = None
        self._embedded_at: float | None = None
        """When the last batch that has been embedded was."""
        self._prepared: asyncio.Queue[Batch | None] = asyncio.Queue(WAITING_BATCHES)
        self._embedded: asyncio.Queue[tuple[Batch, np.ndarray] | None] = asyncio.Queue(WAITING_BATCHES)

    async def events(self) -> AsyncGenerator[dict[str, Any]]:
        """Run the pipeline to its end, telling of its progress now and then."""
        if not self._plan.work:
            return
        started = time.monotonic()
        pipeline = asyncio.create_task(self._pipeline())
        try:
            while not pipeline.done():
                await asyncio.wait([pipeline], timeout=PROGRESS_SECONDS)
                yield self._progress(time.monotonic() - started)
            await pipeline
        except ExceptionGroup as group:
            raise _first_error(group) from group
        finally:
            pipeline.cancel()
            await asyncio.gather(pipeline, return_exceptions=True)

    def _progress(self, seconds: float) -> dict[str, Any]:
        return {
            "event": "progress",
            "files": self._files_done,
            "files_total": len(self._plan.work),
            "files_kept": self._kept,
            "chunks": self._report.chunks,
            "chunks_per_second": round(self._report.chunks / max(seconds, 1e-6), 1),
            "seconds_left": self._seconds_left(),
        }

    def _seconds_left(self) -> float | None:
        """Return how long embedding the rest will take, by its bytes; None before the first passages."""
        if self._embedding_since is None or self._embedded_at is None or not self._bytes_done:
            return None
        spent = self._embedded_at - self._embedding_since
        rest = max(self._bytes - self._bytes_done, 0) / self._bytes_done * spent
        return round(max(rest - (time.monotonic() - self._embedded_at), 0), 1)

    async def _pipeline(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read())
            group.create_task(self._embed())
            group.create_task(self._write())

    async def _read(self) -> None:
        tokens = await self._service.tokens(self._model)
        loop = asyncio.get_running_loop()
        batch = Batch()
        thread = ThreadPoolExecutor(1, thread_name_prefix="read")
        try:
            for work in self._plan.work:
                try:
                    prepared = await loop.run_in_executor(thread, self._service.prepare, work, tokens)
                except EdgeError as error:
                    self._fail(work, error)
                    continue
                except Exception as error:  # a parser that one file breaks must not stop the others
                    self._fail(work, EdgeError(f"{type(error).__name__}: {error}"[:300], code="malformed"))
                    continue
                # A file of no chunks still joins a batch, so that it becomes live and is not read again.
                self._note(prepared)
                start = 0
                while start < len(prepared.chunks) or not start:
                    piece = prepared.chunks[start : start + self._batch_chunks]
                    batch.pieces.append((prepared, piece))
                    start += max(1, len(piece))
                    if len(batch) >= self._batch_chunks:
                        await self._prepared.put(batch)
                        batch = Batch()
        finally:
            # Waiting for the file that is being read would stop the whole event loop.
            thread.shutdown(wait=False)
        if batch.pieces:
            await self._prepared.put(batch)
        await self._prepared.put(None)

    def _note(self, one: Prepared) -> None:
        if one.document.note:
            self._report.notes.append(f"{one.work.file.name}: {one.document.note}")
        if not one.chunks:
            self._bytes_done += one.work.file.size

    def _fail(self, work: Work, error: EdgeError) -> None:
        self._files_done += 1
        self._bytes_done += work.file.size
        self._report.failed.append(FailedFile(file=work.file.name, error=error.message, code=error.code))

    async def _embed(self) -> None:
        while (batch := await self._prepared.get()) is not None:
            began = time.monotonic()
            self._embedding_since = self._embedding_since or began
            vectors = await self._service.embed(self._model, batch.texts())
            self._embedded_at = time.monotonic()
            self._measure(batch, self._embedded_at - began)
            await self._embedded.put((batch, vectors))
        await self._embedded.put(None)

    def _measure(self, batch: Batch, seconds: float) -> None:
        """Learn from a batch how large the next ones may be, and how far the run has come."""
        if not len(batch):
            return
        for one, chunks in batch.pieces:
            self._bytes_done += one.work.file.size * len(chunks) / max(1, len(one.chunks))
        wanted = int(len(batch) * WRITE_SECONDS / max(seconds, 1e-3))
        # A batch that held little says little: never more than twice the size before.
        self._batch_chunks = max(1, min(wanted, 2 * self._batch_chunks, BATCH_CHUNKS))

    async def _write(self) -> None:
        while (item := await self._embedded.get()) is not None:
            batch, vectors = item
            complete = await self._service.write(self._known, batch, vectors)
            for one in complete:
                if not one.chunks:
                    self._report.empty += 1
                elif one.work.replaces:
                    self._report.updated += 1
                else:
                    self._report.added += 1
            self._report.chunks += len(batch)
            self._files_done += len(complete)
            self._kept += len(complete)


def _first_error(group: ExceptionGroup[Any]) -> BaseException:
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            return _first_error(error)
        if isinstance(error, EdgeError):
            return error
    return group.exceptions[0]
