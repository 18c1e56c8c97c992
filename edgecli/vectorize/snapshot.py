"""An index as queries see it: its values and codes through memory maps, and the columns that filters asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from edgecli.vectorize.batches import Batch
from edgecli.vectorize.filters import Comparable, Condition, Filter, Source, comparable
from edgecli.vectorize.mirror import Mirror

if TYPE_CHECKING:
    from numpy.typing import NDArray


_EQUALITY = {"$eq", "$ne", "$in", "$nin"}
_COMPARISONS = {"$lt": np.less, "$lte": np.less_equal, "$gt": np.greater, "$gte": np.greater_equal}


class Column:
    """One property of all rows, as codes into its distinct values: a test runs once for each of those."""

    def __init__(self, slots: int) -> None:
        self._values: list[Comparable] = [None]
        self._codes: dict[Any, int] = {(type(None), None): 0}
        self._code_of_slot = np.zeros(slots, np.int32)
        self._as_numbers = np.empty(0, np.float64)

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

    def mask(self, condition: Condition) -> NDArray[np.bool_]:
        """Return for each slot whether its value passes."""
        return self._passing(condition)[self._code_of_slot]

    def _passing(self, condition: Condition) -> NDArray[np.bool_]:
        """Return for each distinct value whether it passes, in one step where there may be many of them."""
        operator, operand = condition.operator, condition.operand
        if operator in _EQUALITY:
            codes = [
                self._codes.get((type(one), one)) for one in (operand if isinstance(operand, tuple) else [operand])
            ]
            passing = np.zeros(len(self._values), np.bool_)
            passing[[code for code in codes if code is not None]] = True
            return ~passing if operator in {"$ne", "$nin"} else passing
        if isinstance(operand, float):
            return _COMPARISONS[operator](self._numbers(), operand)
        return np.fromiter((condition.accepts(value) for value in self._values), np.bool_, len(self._values))

    def _numbers(self) -> NDArray[np.float64]:
        """Return the distinct values as float64; NaN, which passes no comparison, is what is no number."""
        fresh = self._values[len(self._as_numbers) :]
        if fresh:
            numbers = [value if isinstance(value, float) else np.nan for value in fresh]
            self._as_numbers = np.concatenate([self._as_numbers, np.array(numbers)])
        return self._as_numbers


class Snapshot:
    """The state of one index in memory, kept in step with this process's writes."""

    def __init__(self, mirror: Mirror, uid: str) -> None:
        self._mirror = mirror
        self._uid = uid
        self.values = mirror.values(uid)
        self.coded = mirror.coded(uid)
        dead = mirror.dead_slots(uid)
        self._alive = np.ones(len(self.values), np.bool_)
        self._alive[dead] = False
        self._columns: dict[Source, Column] = {}
        self._namespaces: Column | None = None

    def selected(self, namespace: str | None, criterion: Filter | None) -> NDArray[np.intp] | None:
        """Return the slots that compete, ascending, or None where all do."""
        if namespace is None and criterion is None and self._alive.all():
            return None
        mask = self._alive.copy()
        if namespace is not None:
            mask &= self._namespace_column().mask(Condition((), "$eq", namespace))
        if criterion is not None:
            self._load({condition.source for condition in criterion.conditions})
            for condition in criterion.conditions:
                mask &= self._columns[condition.source].mask(condition)
        return np.flatnonzero(mask)

    def _namespace_column(self) -> Column:
        if self._namespaces is None:
            found = list(self._mirror.column(self._uid, "namespace"))
            self._namespaces = Column(len(self.values))
            self._namespaces.put([slot for slot, _ in found], [name for _, name in found], size=len(self.values))
        return self._namespaces

    def _load(self, sources: set[Source]) -> None:
        """Read the columns of properties that no filter has named before, in one pass over the metadata."""
        missing = list(sources - self._columns.keys())
        if not missing:
            return
        slots: list[int] = []
        found: list[list[Comparable]] = [[] for _ in missing]
        columns = [self._mirror.column(self._uid, name) for name in ("metadata", "ordinal")]
        for (slot, text), (_, ordinal) in zip(*columns, strict=True):
            metadata = orjson.loads(text) if text else None
            slots.append(slot)
            for values, source in zip(found, missing, strict=True):
                values.append(source.value(metadata, ordinal))
        for source, values in zip(missing, found, strict=True):
            column = Column(len(self.values))
            column.put(slots, values, size=len(self.values))
            self._columns[source] = column

    def wrote(self, slots: Sequence[int], batch: Batch) -> None:
        """Take over rows that the mirror has written at these slots."""
        self.values = self._mirror.values(self._uid)
        self.coded = self._mirror.coded(self._uid)
        size = len(self.values)
        self._alive = np.concatenate([self._alive, np.ones(size - len(self._alive), np.bool_)])
        if self._namespaces is not None:
            self._namespaces.put(slots, [comparable(name) for name in batch.namespaces], size=size)
        if self._columns:
            metadata = [orjson.loads(text) if text else None for text in batch.metadata]
            for source, column in self._columns.items():
                rows = zip(metadata, batch.ordinals, strict=True)
                column.put(slots, [source.value(*row) for row in rows], size=size)

    def erased(self, slots: Sequence[int]) -> None:
        """Take over that the rows at these slots were deleted."""
        self._alive[list(slots)] = False
