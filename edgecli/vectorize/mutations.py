"""Every change of an index: checked, given an id, and applied at once or, under `simulate_delay`, later.

All of it runs in the service's writer thread, but for `is_due`.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path

from edgecli.errors import NotFoundError, UsageError, did_you_mean
from edgecli.vectorize import limits
from edgecli.vectorize.batches import Batch
from edgecli.vectorize.filters import property_path
from edgecli.vectorize.pending import Action, Mutation, Pending
from edgecli.vectorize.records import IndexRecord, MetadataIndex
from edgecli.vectorize.schema import MetadataIndexType, MutationResult
from edgecli.vectorize.store import VectorStore


class Mutations:
    """The changes of one store; `delay` is in seconds, 0 for none."""

    def __init__(self, store: VectorStore, directory: Path, delay: float) -> None:
        self._store = store
        self._delay = delay
        self._pending = Pending(directory, delay)

    def is_due(self) -> bool:
        """Tell whether a mutation that was delayed is to be applied now."""
        return self._pending.is_due()

    def settle(self, *, early: bool = False) -> None:
        """Apply the mutations that are due, or all of them."""
        for mutation in self._pending.take(early=early):
            record = next((each for each in self._store.records() if each.uid == mutation.uid), None)
            if record is not None:  # what waits for an index that was deleted goes with it
                self._apply(record, mutation)

    def write(self, name: str, batch: Batch, *, replace: bool) -> MutationResult:
        """Write rows: of those whose id is stored or comes twice the last wins with `replace`, else the first."""
        record = self._store.record(name)
        if len(batch) and batch.values.shape[1] != record.dimensions:  # another index by now
            raise limits.index_not_found(name, [])
        action: Action = "upsert" if replace else "insert"
        single = batch.without_duplicates(last_wins=replace)
        messages: list[str] = []
        if len(single) < len(batch):
            kept = "last" if replace else "first"
            messages.append(f"{len(batch) - len(single)} of {len(batch)} rows share an id; the {kept} of each was kept")
        receipt = self._submit(record, Mutation(str(uuid.uuid4()), record.uid, action, batch=single))
        return receipt.model_copy(update={"messages": messages})

    def delete(self, name: str, ids: Sequence[str]) -> MutationResult:
        """Delete rows; unknown ids are ignored."""
        record = self._store.record(name)
        return self._submit(record, Mutation(str(uuid.uuid4()), record.uid, "delete", ids=tuple(ids)))

    def metadata_indexes(self, name: str) -> Sequence[MetadataIndex]:
        """Return an index's metadata indexes, oldest first, with those that wait."""
        record = self._store.record(name)
        known = record.metadata_indexes
        for mutation in self._pending.of_index(record.uid):
            known = _changed(known, mutation, since=0)
        return known

    def create_metadata_index(self, name: str, property_name: str, index_type: MetadataIndexType) -> MutationResult:
        """Make an index of a property for the rows that are written from now on; one that is there stays.

        Raises UsageError for a wrong name, another type than that of an index which is there, or an eleventh.
        """
        property_path(property_name)
        known = {index.property_name: index for index in self.metadata_indexes(name)}
        has = known.get(property_name)
        if has is not None and has.index_type != index_type:
            raise UsageError(
                f"`{property_name}` has a metadata index of type {has.index_type}, not {index_type}.",
                hint=f"`edgecli vectorize delete-metadata-index {name} --property-name {property_name}` deletes it.",
                code="metadata_index_exists",
            )
        if has is None and len(known) >= limits.MAX_METADATA_INDEXES:
            raise UsageError(
                f'index "{name}" has {len(known)} metadata indexes; max is {limits.MAX_METADATA_INDEXES}',
                hint="Delete one with `edgecli vectorize delete-metadata-index`.",
                code="too_many_metadata_indexes",
            )
        return self._change(name, "create_metadata_index", property_name, index_type)

    def delete_metadata_index(self, name: str, property_name: str) -> MutationResult:
        """Delete the index of a property. Raises NotFoundError if there is none."""
        known = [index.property_name for index in self.metadata_indexes(name)]
        if property_name not in known:
            raise NotFoundError(
                f'vectorize.metadata_index.not_found - property "{property_name}" of index "{name}"',
                hint=did_you_mean(property_name, known)
                or f"`edgecli vectorize list-metadata-index {name}` lists them.",
                code="metadata_index_not_found",
                cf_code=40005,
            )
        return self._change(name, "delete_metadata_index", property_name)

    def _change(
        self, name: str, action: Action, property_name: str, index_type: MetadataIndexType = "string"
    ) -> MutationResult:
        record = self._store.record(name)
        facts = (str(uuid.uuid4()), record.uid, action)
        return self._submit(record, Mutation(*facts, property_name=property_name, index_type=index_type))

    def _submit(self, record: IndexRecord, mutation: Mutation) -> MutationResult:
        if self._delay > 0:
            self._pending.put(mutation)
        else:
            self._apply(record, mutation)
        return MutationResult(mutation_id=mutation.id)

    def _apply(self, record: IndexRecord, mutation: Mutation) -> None:
        if mutation.batch is not None:
            replaces = mutation.action == "upsert"
            self._store.write(record.name, mutation.batch, replace=replaces, mutation=mutation.id)
        elif mutation.action == "delete":
            self._store.erase(record.name, mutation.ids, mutation=mutation.id)
        else:
            since = self._store.progress(record.name).ordinal
            changed = _changed(record.metadata_indexes, mutation, since=since)
            self._store.set_metadata_indexes(record.name, changed, mutation=mutation.id)


def _changed(known: tuple[MetadataIndex, ...], mutation: Mutation, *, since: int) -> tuple[MetadataIndex, ...]:
    names = {index.property_name for index in known}
    if mutation.action == "create_metadata_index" and mutation.property_name not in names:
        return (*known, MetadataIndex(mutation.property_name, mutation.index_type, since))
    if mutation.action == "delete_metadata_index":
        return tuple(index for index in known if index.property_name != mutation.property_name)
    return known
