"""What Vectorize does: indexes, and the vectors in them.

Writes happen one after the other in one thread, reads in another; the store lets a read see whole writes only. A
write is answered when it is visible, so every call that begins after the answer sees it. With `simulate_delay` it is
answered when it is durable, and applied before the first call that comes after the delay.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import orjson

from edgecli.config.settings import seconds
from edgecli.errors import ConfigError, NotFoundError, UsageError, did_you_mean
from edgecli.vectorize import limits
from edgecli.vectorize.batches import BatchBuilder, batch_of_arrays, batch_of_rows
from edgecli.vectorize.care import CareStore, Compacted, Migrated, Report
from edgecli.vectorize.listing import Listings
from edgecli.vectorize.mutations import Mutations
from edgecli.vectorize.places import configured_server
from edgecli.vectorize.queries import answer
from edgecli.vectorize.records import IndexRecord
from edgecli.vectorize.schema import (
    PRESETS,
    Index,
    IndexConfig,
    IndexInfo,
    MetadataIndexList,
    Metric,
    MutationResult,
    NewMetadataIndex,
    QueryRequest,
    QueryResult,
    Vector,
    VectorPage,
)

if TYPE_CHECKING:
    import numpy as np
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
        delay = seconds(self._settings.simulate_delay)
        pending = f"pending{self._server.suffix}" if self._server else "pending"
        self._mutations = Mutations(self._store, state_dir / pending, delay)
        self._listings = Listings(self._store, state_dir / "lists")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="vectorize-write")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="vectorize-read")
        self.on_delete: Callable[[str], Awaitable[None]] | None = None
        """Is told the `uid` of each index that was deleted."""

    async def _read(self, work: Callable[..., T], *args: Any, **options: Any) -> T:
        if self._mutations.is_due():
            await self._run(self._writer, self._mutations.settle)
        return await self._run(self._reader, functools.partial(work, *args, **options))

    async def _change(self, work: Callable[..., T], *args: Any, **options: Any) -> T:
        def settled() -> T:
            self._mutations.settle()
            return work(*args, **options)

        return await self._run(self._writer, settled)

    async def _run(self, thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(thread, work)

    async def close(self) -> None:
        """Finish what is queued and give the store back."""
        await self._run(self._reader, lambda: None)
        await self._run(self._writer, self._store.close)
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
        await self._read(self._listings.forget, uid)
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
            # In the thread that may be reading the next piece for a caller who has gone.
            with suppress(RuntimeError):  # it has been shut down, and `lines` with it
                self._reader.submit(lines.close)

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
        # What waits would find its index gone.
        self._mutations.settle(early=True)
        with closing(CareStore(self._state_dir)) as local:
            Mutations(local, self._state_dir / "pending", 0).settle()
            source, target = (local, self._store) if to == "server" else (self._store, local)
            try:
                return source.move_to(target, name)
            except NotFoundError:
                if any(record.name == name for record in target.records()):
                    raise UsageError(
                        f"The index `{name}` is there already.", hint="Nothing is to be moved.", code="index_is_there"
                    ) from None
                raise

    # Vectors.

    async def rows(self, name: str, most: int | None = None) -> BatchBuilder:
        """Return what takes vectors for an index, up to `most` of them, one by one. Raises NotFoundError."""
        return BatchBuilder((await self._read(self._store.record, name)).dimensions, most=most)

    async def insert(self, name: str, vectors: Iterable[Mapping[str, Any]] | BatchBuilder) -> MutationResult:
        """Write vectors in their wire shape; one whose id is stored is left as it is."""
        return await self._change(self._write, name, vectors, replace=False)

    async def upsert(self, name: str, vectors: Iterable[Mapping[str, Any]] | BatchBuilder) -> MutationResult:
        """Write vectors in their wire shape; one whose id is stored is replaced whole."""
        return await self._change(self._write, name, vectors, replace=True)

    def _write(
        self, name: str, vectors: Iterable[Mapping[str, Any]] | BatchBuilder, *, replace: bool
    ) -> MutationResult:
        if isinstance(vectors, BatchBuilder):
            batch = vectors.batch()
        else:
            batch = batch_of_rows(vectors, self._store.record(name).dimensions)
        return self._mutations.write(name, batch, replace=replace)

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
            return self._mutations.write(name, batch, replace=True)

        return await self._change(write)

    async def get_by_ids(self, name: str, ids: Sequence[str]) -> list[Vector]:
        """Return the stored vectors with these ids, in the order asked; others are left out."""
        return await self._read(self._vectors, name, ids)

    def _vectors(self, name: str, ids: Sequence[str]) -> list[Vector]:
        # To check what was checked when it was written would take longer than to read it.
        return [
            Vector.model_construct(
                id=row.id,
                values=values.tolist(),
                namespace=row.namespace,
                metadata=orjson.loads(row.metadata) if row.metadata else None,
            )
            for row, values in self._store.rows(name, ids)
        ]

    async def get_metadata(self, name: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the metadata of each id that is stored; it is empty where the vector has none."""
        texts = await self._read(self._store.metadata, name, ids)
        return {vector_id: orjson.loads(text) if text else {} for vector_id, text in texts.items()}

    async def delete_by_ids(self, name: str, ids: Sequence[str]) -> MutationResult:
        """Delete vectors; unknown ids are ignored."""
        return await self._change(self._mutations.delete, name, ids)

    async def list_vectors(self, name: str, count: int = 100, cursor: str | None = None) -> VectorPage:
        """Return up to `count` ids in the order of insertion, those of one moment for all pages of a list.

        Raises UsageError for a count that is not 1 to 1000, and a cursor that is of no use here.
        """
        return await self._read(self._listings.page, name, count, cursor)

    async def query(self, name: str, request: QueryRequest) -> QueryResult:
        """Return the vectors nearest to one that is given or stored, best first.

        Scores: cosine similarity; L2 distance; the dot product with the sign of the settings.
        """
        return await self._read(answer, self._store, self._settings, name, request)

    # Metadata indexes.

    async def metadata_indexes(self, name: str) -> MetadataIndexList:
        """Return the properties of an index that have a metadata index, oldest first. Raises NotFoundError."""
        record = await self._read(self._store.record, name)
        return MetadataIndexList(
            metadata_indexes=[
                NewMetadataIndex.model_validate({"propertyName": index.property_name, "indexType": index.index_type})
                for index in record.metadata_indexes
            ]
        )

    async def create_metadata_index(self, name: str, wanted: NewMetadataIndex) -> MutationResult:
        """Make an index of a property for the vectors that are written from now on; one that is there stays.

        Raises UsageError for a wrong name, another type than before, or an eleventh index.
        """
        return await self._change(self._mutations.create_metadata_index, name, wanted.property_name, wanted.index_type)

    async def delete_metadata_index(self, name: str, property_name: str) -> MutationResult:
        """Delete the index of a property. Raises NotFoundError if there is none."""
        return await self._change(self._mutations.delete_metadata_index, name, property_name)


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
