"""An index as queries see it: its values through a memory map, and the columns that filters asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from edgecli.vectorize import scoring
from edgecli.vectorize.batches import Batch
from edgecli.vectorize.filters import Comparable, Filter, comparable, lookup
from edgecli.vectorize.mirror import Mirror

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Column:
    """One property of all rows, as codes into its distinct values: a test runs once for each of those."""

    def __init__(self, slots: int) -> None:
        self._values: list[Comparable] = [None]
        self._codes: dict[Any, int] = {(type(None), None): 0}
        self._code_of_slot = np.zeros(slots, np.int32)

    def put(self, slots: Sequence[int], values: Iterable[Comparable], *, size: int) -> None:
        """Set the values at these slots, growing the column to `size` slots."""
        grown = size - len(self._code_of_slot)
        if grown > 0:
            self._code_of_slot = np.concatenate([self._code_of_slot, np.zeros(grown, np.int32)])
        self._code_of_slot[list(slots)] = [self._code(value) for value in values]

    def _code(self, value: Comparable) -> int:
        # The type is part of the key because Python holds True and 1.0 for equal.
        key = (type(value), value)
        code = self._codes.get(key)
        if code is None:
            code = self._codes[key] = len(self._values)
            self._values.append(value)
        return code

    def mask(self, test: Callable[[Comparable], bool]) -> NDArray[np.bool_]:
        """Return for each slot whether its value passes."""
        passes = np.fromiter((test(value) for value in self._values), np.bool_, len(self._values))
        return passes[self._code_of_slot]


class Snapshot:
    """The state of one index in memory, kept in step with this process's writes."""

    def __init__(self, mirror: Mirror, uid: str) -> None:
        self._mirror = mirror
        self._uid = uid
        self.values = mirror.values(uid)
        dead = mirror.dead_slots(uid)
        self._alive = np.ones(len(self.values), np.bool_)
        self._alive[dead] = False
        self._columns: dict[tuple[str, ...], Column] = {}
        self._namespaces: Column | None = None

    @cached_property
    def squares(self) -> NDArray[np.float64]:
        """|v|² of each slot, `(slots,)` float64."""
        return scoring.squared_norms(self.values)

    def selected(self, namespace: str | None, criterion: Filter | None) -> NDArray[np.intp] | None:
        """Return the slots that compete, ascending, or None where all do."""
        if namespace is None and criterion is None and self._alive.all():
            return None
        mask = self._alive.copy()
        if namespace is not None:
            mask &= self._namespace_column().mask(lambda value: value == namespace)
        if criterion is not None:
            by_path = sorted(criterion.conditions, key=lambda condition: condition.path)
            self._load({condition.path for condition in by_path})
            for path, group in groupby(by_path, key=lambda condition: condition.path):
                conditions = list(group)
                mask &= self._columns[path].mask(
                    lambda value, wanted=conditions: all(c.accepts(value) for c in wanted)
                )
        return np.flatnonzero(mask)

    def _namespace_column(self) -> Column:
        if self._namespaces is None:
            found = list(self._mirror.column(self._uid, "namespace"))
            self._namespaces = Column(len(self.values))
            self._namespaces.put(
                [slot for slot, _ in found], [name for _, name in found], size=len(self.values)
            )
        return self._namespaces

    def _load(self, paths: set[tuple[str, ...]]) -> None:
        """Read the columns of properties that no filter has named before, in one pass over the metadata."""
        missing = sorted(paths - self._columns.keys())
        if not missing:
            return
        slots: list[int] = []
        found: list[list[Comparable]] = [[] for _ in missing]
        for slot, text in self._mirror.column(self._uid, "metadata"):
            metadata = orjson.loads(text) if text else None
            slots.append(slot)
            for values, path in zip(found, missing, strict=True):
                values.append(lookup(metadata, path))
        for path, values in zip(missing, found, strict=True):
            column = Column(len(self.values))
            column.put(slots, values, size=len(self.values))
            self._columns[path] = column

    def wrote(self, slots: Sequence[int], batch: Batch) -> None:
        """Take over rows that the mirror has written at these slots."""
        self.values = self._mirror.values(self._uid)
        size = len(self.values)
        self._alive = np.concatenate([self._alive, np.ones(size - len(self._alive), np.bool_)])
        if "squares" in self.__dict__:
            squares = np.concatenate([self.squares, np.zeros(size - len(self.squares))])
            squares[list(slots)] = scoring.squared_norms(batch.values)
            self.__dict__["squares"] = squares
        if self._namespaces is not None:
            self._namespaces.put(slots, [comparable(name) for name in batch.namespaces], size=size)
        if self._columns:
            metadata = [orjson.loads(text) if text else None for text in batch.metadata]
            for path, column in self._columns.items():
                column.put(slots, [lookup(item, path) for item in metadata], size=size)

    def erased(self, slots: Sequence[int]) -> None:
        """Take over that the rows at these slots were deleted."""
        self._alive[list(slots)] = False
