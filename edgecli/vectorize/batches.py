"""Vectors on their way into an index, checked as a whole before the first is written."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import orjson

from edgecli.errors import UsageError
from edgecli.vectorize.limits import (
    MAX_ID_BYTES,
    MAX_METADATA_BYTES,
    MAX_METADATA_DEPTH,
    MAX_NAMESPACE_BYTES,
    unreadable_vectors,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(slots=True)
class Batch:
    """Vectors that may be written: ids, values `(n, d)` float32, metadata as JSON text."""

    ids: list[str]
    values: NDArray[np.float32]
    namespaces: list[str | None]
    metadata: list[str | None]
    ordinals: list[int] = field(default_factory=list[int])
    """Which mutation of the index wrote each row; the store numbers what comes without."""

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, places: Sequence[int]) -> Batch:
        """Return the rows at these places."""
        return Batch(
            [self.ids[place] for place in places],
            self.values[np.asarray(places, np.intp)],
            [self.namespaces[place] for place in places],
            [self.metadata[place] for place in places],
            [self.ordinals[place] for place in places] if self.ordinals else [],
        )

    def without_duplicates(self, *, last_wins: bool) -> Batch:
        """Return one row for each id: the last of them, or else the first, at the place of the first."""
        if len(set(self.ids)) == len(self.ids):
            return self
        places: dict[str, int] = {}
        for place, vector_id in enumerate(self.ids):
            if last_wins or vector_id not in places:
                places[vector_id] = place
        return self.take(list(places.values()))


class _Row(NamedTuple):
    """Which vector of a batch is being checked; `number` and `line`, that of the body, count from 1."""

    number: int
    id: str = ""
    line: int | None = None

    def error(self, message: str, code: str, cf_code: int = 40023) -> UsageError:
        place = f"row {self.number}" if self.line is None else f"row {self.number} (line {self.line})"
        return UsageError(
            message,
            hint=f"It is {place} of the batch; nothing of the batch was written.",
            code=code,
            cf_code=cf_code,
            details={"row": self.number, "id": self.id[:200]},
        )

    def wrong_width(self, expected: int, got: int) -> UsageError:
        message = f'invalid vector for id="{self.id}", expected {expected} dimensions, and got {got} dimensions'
        return self.error(message, "wrong_dimensions", 40012)


class BatchBuilder:
    """Take vectors in their wire shape, `{"id", "values", "namespace"?, "metadata"?}`, one after the other.

    Each is checked as it comes, and its values kept as float32 only. With `most`, more rows are refused.
    """

    def __init__(self, dimensions: int, *, most: int | None = None) -> None:
        self._dimensions = dimensions
        self._most = most
        self._ids: list[str] = []
        self._values = bytearray()
        self._namespaces: list[str | None] = []
        self._metadata: list[str | None] = []

    def add(self, raw: Any, *, line: int | None = None) -> None:
        """Check one vector and keep it. Raises UsageError that names the row, and its line if it is given."""
        number = len(self._ids) + 1
        row = _Row(number, line=line)
        if self._most is not None and number > self._most:
            raise unreadable_vectors(
                f"more than {self._most} vectors in one request", hint="Send them in several requests."
            )
        if not isinstance(raw, Mapping):
            raise row.error(f"failed to parse upsert vectors request: row {number} is no object", "unreadable_vectors")
        given = cast("Mapping[str, Any]", raw)
        row = row._replace(id=_checked_id(given.get("id"), row))
        self._values += _values(given.get("values"), row, self._dimensions)
        self._namespaces.append(_namespace(given.get("namespace"), row))
        self._metadata.append(_metadata_text(given.get("metadata"), row))
        self._ids.append(row.id)

    def batch(self) -> Batch:
        """Return what was taken."""
        matrix = np.frombuffer(self._values, np.float32).reshape(len(self._ids), self._dimensions)
        return Batch(self._ids, matrix, self._namespaces, self._metadata)


def batch_of_rows(rows: Iterable[Any], dimensions: int) -> Batch:
    """Check vectors in their wire shape. Raises UsageError that names the first row at fault."""
    builder = BatchBuilder(dimensions)
    for raw in rows:
        builder.add(raw)
    return builder.batch()


def batch_of_arrays(
    ids: Sequence[str],
    values: NDArray[np.float32],
    metadata: Sequence[Mapping[str, Any] | None],
    namespace: str | None,
    dimensions: int,
) -> Batch:
    """Check vectors that come as `(n, d)` float32 with their ids and metadata.

    Raises UsageError that names the first row at fault.
    """
    matrix = np.ascontiguousarray(values, dtype=np.float32)
    if matrix.ndim != 2 or not len(ids) == len(matrix) == len(metadata):
        raise unreadable_vectors(
            f"{len(ids)} ids, values of shape {matrix.shape} and {len(metadata)} metadata differ in number"
        )
    for number, vector_id in enumerate(ids, start=1):
        _checked_id(vector_id, _Row(number))
    if len(ids) and matrix.shape[1] != dimensions:
        raise _Row(1, ids[0]).wrong_width(dimensions, matrix.shape[1])
    _check_finite(matrix, ids)
    texts = [_metadata_text(item, _Row(number, ids[number - 1])) for number, item in enumerate(metadata, start=1)]
    return Batch(list(ids), matrix, [_namespace(namespace, _Row(1))] * len(ids), texts)


def _checked_id(vector_id: Any, row: _Row) -> str:
    """Return an id; a whole number becomes text."""
    if type(vector_id) is int:
        vector_id = str(vector_id)
    row = row._replace(id=str(vector_id))
    if not isinstance(vector_id, str) or not vector_id:
        raise row.error(f"a vector's id is a string of 1 to {MAX_ID_BYTES} bytes", "invalid_id")
    size = _bytes(vector_id, row)
    if size > MAX_ID_BYTES:
        raise row.error(f"id too long; max is {MAX_ID_BYTES} bytes, got {size} bytes", "id_too_long", 40008)
    return vector_id


def _bytes(text: str, row: _Row) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise row.error("a text holds half of a surrogate pair, which is no Unicode", "invalid_text") from error


def _values(values: Any, row: _Row, dimensions: int) -> array[float]:
    if not isinstance(values, list | tuple):
        raise row.error(f'values of id="{row.id}" are no array', "invalid_values")
    numbers = cast("Sequence[Any]", values)
    if len(numbers) != dimensions:
        raise row.wrong_width(dimensions, len(numbers))
    try:
        converted = array("f", numbers)
    except (TypeError, OverflowError) as error:
        raise row.error(f'values of id="{row.id}" are not all numbers: {error}', "invalid_values") from error
    view = np.frombuffer(converted, np.float32)
    if not np.isfinite(view).all():
        raise _not_finite(row)
    # Python takes true and false for numbers; only where a 1 or a 0 is can one of them have been.
    if any(isinstance(numbers[place], bool) for place in np.flatnonzero((view == 0) | (view == 1)).tolist()):
        raise row.error(f'values of id="{row.id}" are not all numbers: there is a boolean', "invalid_values")
    return converted


def _not_finite(row: _Row) -> UsageError:
    return row.error(f'values of id="{row.id}" hold NaN, infinity, or more than float32 can', "not_finite")


def _check_finite(matrix: NDArray[np.float32], ids: Sequence[str]) -> None:
    finite = np.isfinite(matrix).all(axis=1)
    if not finite.all():
        raise _not_finite(_Row(int(np.argmin(finite)) + 1, ids[int(np.argmin(finite))]))


def _namespace(namespace: Any, row: _Row) -> str | None:
    if namespace is None or namespace == "":
        return None
    if not isinstance(namespace, str) or _bytes(namespace, row) > MAX_NAMESPACE_BYTES:
        raise row.error(f"a namespace is a string of at most {MAX_NAMESPACE_BYTES} bytes", "invalid_namespace")
    return namespace


def _metadata_text(metadata: Any, row: _Row) -> str | None:
    if metadata is None:
        return None
    if not isinstance(metadata, Mapping):
        raise row.error(f'metadata of id="{row.id}" is no object', "invalid_metadata")
    _check_keys(cast("Mapping[Any, Any]", metadata), row)
    try:
        text = orjson.dumps(metadata)
    except TypeError as error:
        raise row.error(f'metadata of id="{row.id}" is no JSON: {error}', "invalid_metadata") from error
    if len(text) > MAX_METADATA_BYTES:
        sizes = f"max is {MAX_METADATA_BYTES} bytes, got {len(text)} bytes"
        raise row.error(f'metadata of id="{row.id}" too large; {sizes}', "metadata_too_large")
    return text.decode()


def _check_keys(metadata: Mapping[Any, Any], row: _Row, depth: int = 1) -> None:
    if depth > MAX_METADATA_DEPTH:
        raise row.error(f'metadata of id="{row.id}" is nested deeper than {depth - 1}', "invalid_metadata")
    for key, value in metadata.items():
        if not isinstance(key, str) or not key or key[0] == "$" or "." in key or '"' in key:
            fault = "empty, no string, begins with `$`, or holds `.` or a double quote"
            raise row.error(f"metadata key `{key}` is {fault}", "invalid_metadata_key")
        if isinstance(value, Mapping):
            _check_keys(cast("Mapping[Any, Any]", value), row, depth + 1)
