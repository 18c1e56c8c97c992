"""What Vectorize does: indexes, and the vectors in them.

Writes happen one after the other in one thread, reads in another; the store lets a read see whole writes only. A
write is answered when it is visible, so every call that begins after the answer sees it.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
import orjson

from edgecli.errors import ConfigError, NotFoundError, UsageError, did_you_mean
from edgecli.vectorize import limits
from edgecli.vectorize.batches import batch_of_arrays, batch_of_rows
from edgecli.vectorize.care import CareStore, Compacted, Migrated, Report
from edgecli.vectorize.filters import parse_filter
from edgecli.vectorize.places import configured_server
from edgecli.vectorize.records import IndexRecord, Row
from edgecli.vectorize.schema import (
    PRESETS,
    Index,
    IndexConfig,
    IndexInfo,
    Match,
    Metric,
    MutationResult,
    QueryRequest,
    QueryResult,
    ReturnMetadata,
    Vector,
)
from edgecli.vectorize.store import Hit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgecli.config.settings import Settings

T = TypeVar("T")


class VectorizeService:
    """The vector indexes of one project, below the directory `state_dir`."""

    def __init__(self, state_dir: Path, settings: Settings) -> None:
        self._settings = settings.vectorize
        self._server = configured_server(self._settings)
        self._store = CareStore(state_dir, self._server)
        self._state_dir = state_dir
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="vectorize-write")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="vectorize-read")
        self.on_delete: Callable[[str], Awaitable[None]] | None = None
        """Is told the `uid` of each index that was deleted."""

    async def _read(self, work: Callable[..., T], *args: Any, **options: Any) -> T:
        return await self._run(self._reader, functools.partial(work, *args, **options))

    async def _change(self, work: Callable[..., T], *args: Any, **options: Any) -> T:
        return await self._run(self._writer, functools.partial(work, *args, **options))

    async def _run(self, thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(thread, work)

    async def close(self) -> None:
        """Finish what is queued and give the store back."""
        await self._read(lambda: None)
        await self._change(self._store.close)
        self._reader.shutdown()
        self._writer.shutdown()

    # Indexes.

    async def create(
        self,
        name: str,
        dimensions: int | None = None,
        metric: Metric | None = None,
        *,
        description: str = "",
        preset: str | None = None,
    ) -> Index:
        """Create an index of `dimensions` and `metric`, or of a preset's.

        Raises UsageError for a wrong name or size, EdgeError, code `index_exists`, if the name is taken.
        """
        config = _config(dimensions, metric, preset)
        limits.check_name(name)
        limits.check_dimensions(config.dimensions, self._settings.max_dimensions)
        return _index(await self._change(self._store.create, name, config.dimensions, config.metric, description))

    async def list(self) -> list[Index]:
        """Return every index, oldest first."""
        return [_index(record) for record in await self._read(self._store.records)]

    async def get(self, name: str) -> Index:
        """Return one index. Raises NotFoundError."""
        return _index(await self._read(self._store.record, name))

    async def uid(self, name: str) -> str:
        """Return what identifies an index for its life: a later index of the same name has another."""
        return (await self._read(self._store.record, name)).uid

    async def info(self, name: str) -> IndexInfo:
        """Return what an index holds. Raises NotFoundError."""
        record = await self._read(self._store.record, name)
        progress = await self._read(self._store.progress, name)
        return IndexInfo(
            dimensions=record.dimensions,
            vector_count=progress.count,
            processed_up_to_datetime=progress.processed_on,
            processed_up_to_mutation=progress.mutation,
        )

    async def delete(self, name: str) -> None:
        """Delete an index and all vectors in it, and tell `on_delete`. Raises NotFoundError."""
        uid = await self.uid(name)
        await self._change(self._store.drop, name)
        if self.on_delete is not None:
            await self.on_delete(uid)

    # Care.

    async def verify(self, name: str | None, *, repair: bool) -> Report:
        """Compare every vector of an index, or of all, with its checksum, and with `repair` mend what is wrong."""
        return await self._change(self._store.verify, name, repair=repair)

    async def compact(self, name: str) -> Compacted:
        """Give the disk space of what was deleted back. Raises NotFoundError."""
        return await self._change(self._store.compact, name)

    async def export(self, name: str) -> AsyncGenerator[bytes]:
        """Return an index as lines of JSON, as it is at the call, in pieces. Raises NotFoundError."""
        lines = await self._read(self._store.export, name)
        return self._pieces(lines)

    async def _pieces(self, lines: Generator[bytes]) -> AsyncGenerator[bytes]:
        try:
            while piece := await self._read(_next, lines):
                yield piece
        finally:
            lines.close()

    async def migrate(self, name: str, to: Literal["server", "local"]) -> Migrated:
        """Move an index to the configured Chroma server, or from there into the project.

        Raises NotFoundError, ConfigError, code `no_chroma_server`, and EdgeError, code `index_exists`.
        """
        if self._server is None:
            raise ConfigError(
                "No Chroma server is configured.",
                hint='Set `url = "http://HOST:8000"` in [edgecli.vectorize]; `chroma run` starts one.',
                code="no_chroma_server",
            )
        return await self._change(self._migrate, name, to)

    def _migrate(self, name: str, to: Literal["server", "local"]) -> Migrated:
        with closing(CareStore(self._state_dir)) as local:
            source, target = (local, self._store) if to == "server" else (self._store, local)
            return source.move_to(target, name)

    # Vectors.

    async def insert(self, name: str, vectors: Iterable[Mapping[str, Any]]) -> MutationResult:
        """Write vectors in their wire shape; one whose id is stored is left as it is."""
        return await self._change(self._write, name, vectors, replace=False)

    async def upsert(self, name: str, vectors: Iterable[Mapping[str, Any]]) -> MutationResult:
        """Write vectors in their wire shape; one whose id is stored is replaced whole."""
        return await self._change(self._write, name, vectors, replace=True)

    def _write(self, name: str, vectors: Iterable[Mapping[str, Any]], *, replace: bool) -> MutationResult:
        batch = batch_of_rows(vectors, self._store.record(name).dimensions)
        return MutationResult(mutation_id=self._store.write(name, batch, replace=replace))

    async def upsert_arrays(
        self,
        name: str,
        ids: Sequence[str],
        values: NDArray[np.float32],
        metadata: Sequence[Mapping[str, Any] | None],
        namespace: str | None = None,
    ) -> MutationResult:
        """Write vectors that come as `(n, d)` float32; those whose ids are stored are replaced whole."""

        def write() -> MutationResult:
            batch = batch_of_arrays(ids, values, metadata, namespace, self._store.record(name).dimensions)
            return MutationResult(mutation_id=self._store.write(name, batch, replace=True))

        return await self._change(write)

    async def get_by_ids(self, name: str, ids: Sequence[str]) -> list[Vector]:
        """Return the stored vectors with these ids, in the order asked; others are left out."""
        found = await self._read(self._store.rows, name, ids)
        return [
            Vector(id=row.id, values=values.tolist(), namespace=row.namespace, metadata=_metadata(row, "all"))
            for row, values in found
        ]

    async def get_metadata(self, name: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the metadata of each id that is stored; it is empty where the vector has none."""
        texts = await self._read(self._store.metadata, name, ids)
        return {vector_id: orjson.loads(text) if text else {} for vector_id, text in texts.items()}

    async def delete_by_ids(self, name: str, ids: Sequence[str]) -> MutationResult:
        """Delete vectors; unknown ids are ignored."""
        return MutationResult(mutation_id=await self._change(self._store.erase, name, ids))

    async def query(self, name: str, request: QueryRequest) -> QueryResult:
        """Return the vectors nearest to one that is given or stored, best first.

        Scores: cosine similarity; L2 distance; the dot product with the sign of the settings.
        """
        return await self._read(self._query, name, request)

    def _query(self, name: str, request: QueryRequest) -> QueryResult:
        record = self._store.record(name)
        _check_top_k(request)
        criterion = None if request.filter is None else parse_filter(request.filter)
        query = self._query_vector(record, request)
        hits = self._store.search(name, query, request.top_k, namespace=request.namespace or None, criterion=criterion)
        negative = record.metric == "dot-product" and self._settings.dot_product_sign == "negative"
        matches = [_match(hit, request, -1.0 if negative else 1.0) for hit in hits]
        return QueryResult(count=len(matches), matches=matches)

    def _query_vector(self, record: IndexRecord, request: QueryRequest) -> NDArray[np.float32]:
        if (request.vector is None) == (request.vector_id is None):
            raise limits.malformed_body("exactly one of vector and vectorId is expected")
        if request.vector_id is not None:
            found = self._store.rows(record.name, [request.vector_id])
            if not found:
                raise NotFoundError(
                    f'vectorize.vector.not_found - vector id "{request.vector_id}" in index "{record.name}"',
                    hint="A query by id needs the id of a vector that the index holds.",
                    code="vector_not_found",
                    cf_code=40004,
                )
            return found[0][1]
        with np.errstate(over="ignore"):
            query = np.asarray(request.vector, np.float64).astype(np.float32)
        if len(query) != record.dimensions:
            raise limits.wrong_query_width(record.dimensions, len(query))
        if not np.isfinite(query).all():
            raise limits.malformed_body("vector: NaN, infinity, or more than float32 can hold")
        return query


def _next(lines: Generator[bytes]) -> bytes:
    return next(lines, b"")


def _config(dimensions: int | None, metric: Metric | None, preset: str | None) -> IndexConfig:
    if preset is not None:
        if preset not in PRESETS:
            raise UsageError(
                f"`{preset}` is no preset.",
                hint=did_you_mean(preset, PRESETS) or f"The presets are {', '.join(PRESETS)}.",
                code="unknown_preset",
            )
        chosen = PRESETS[preset]
        if (dimensions or chosen.dimensions, metric or chosen.metric) != (chosen.dimensions, chosen.metric):
            raise UsageError(
                f"The preset `{preset}` means {chosen.dimensions} dimensions and the metric {chosen.metric}.",
                hint="Give a preset, or dimensions and metric, not both.",
            )
        return chosen
    if dimensions is None or metric is None:
        raise UsageError(
            "A new index needs its dimensions and its metric, or a preset.",
            hint="For example `--dimensions=384 --metric=cosine`.",
        )
    return IndexConfig(dimensions=dimensions, metric=metric)


def _index(record: IndexRecord) -> Index:
    return Index.model_validate(
        {
            "name": record.name,
            "description": record.description,
            "config": {"dimensions": record.dimensions, "metric": record.metric},
            "created_on": record.created_on,
            "modified_on": record.modified_on,
        }
    )


def _check_top_k(request: QueryRequest) -> None:
    full = request.return_values or request.return_metadata == "all"
    most = limits.MAX_TOP_K_WITH_VALUES if full else limits.MAX_TOP_K
    if 1 <= request.top_k <= most:
        return
    message = f"top K is 1 to {limits.MAX_TOP_K}, but got {request.top_k}"
    if full and request.top_k > most:
        message = (
            f"with returnValues=true or returnMetadata=all, max top K is {most}, but got {request.top_k}; "
            f"for a top K up to {limits.MAX_TOP_K}, retry with returnValues=false and returnMetadata=indexed"
        )
    raise UsageError(message, hint="Ask for fewer matches (`--top-k`).", code="top_k", cf_code=40025)


def _match(hit: Hit, request: QueryRequest, sign: float) -> Match:
    return Match(
        id=hit.row.id,
        score=sign * hit.score,
        values=hit.values.tolist() if request.return_values else None,
        namespace=hit.row.namespace,
        metadata=_metadata(hit.row, request.return_metadata),
    )


def _metadata(row: Row, level: ReturnMetadata) -> dict[str, Any] | None:
    if level == "none" or row.metadata is None:
        return None
    metadata = orjson.loads(row.metadata)
    return metadata if level == "all" else _shortened(metadata)


def _shortened(value: Any) -> Any:
    """Cut each string to what an index of Cloudflare holds of it: whole characters of at most 64 bytes."""
    if isinstance(value, str):
        return value.encode()[: limits.INDEXED_STRING_BYTES].decode(errors="ignore")
    if isinstance(value, dict):
        return {key: _shortened(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    return value
