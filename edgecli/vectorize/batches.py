"""Vectors on their way into an index, checked as a whole before the first is written."""

from __future__ import annotations

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
    """Which vector of a batch is being checked; `number` counts from 1."""

    number: int
    id: str = ""

    def error(self, message: str, code: str, cf_code: int = 40023) -> UsageError:
        return UsageError(
            message,
            hint=f"It is row {self.number} of the batch; nothing of the batch was written.",
            code=code,
            cf_code=cf_code,
            details={"row": self.number, "id": self.id[:200]},
        )

    def wrong_width(self, expected: int, got: int) -> UsageError:
        message = f'invalid vector for id="{self.id}", expected {expected} dimensions, and got {got} dimensions'
        return self.error(message, "wrong_dimensions", 40012)


def batch_of_rows(rows: Iterable[Any], dimensions: int) -> Batch:
    """Check vectors in their wire shape, `{"id", "values", "namespace"?, "metadata"?}`.

    Raises UsageError that names the first row at fault.
    """
    ids: list[str] = []
    values: list[NDArray[np.float32]] = []
    namespaces: list[str | None] = []
    metadata: list[str | None] = []
    for number, raw in enumerate(rows, start=1):
        if not isinstance(raw, Mapping):
            raise unreadable_vectors(f"row {number} is no object", hint='Like {"id": "a", "values": [0.1, 0.2]}.')
        given = cast("Mapping[str, Any]", raw)
        row = _Row(number, check_id(given.get("id"), number))
        ids.append(row.id)
        values.append(_values(given.get("values"), row, dimensions))
        namespaces.append(_namespace(given.get("namespace"), row))
        metadata.append(_metadata_text(given.get("metadata"), row))
    matrix = np.stack(values) if values else np.empty((0, dimensions), np.float32)
    _check_finite(matrix, ids)
    return Batch(ids, matrix, namespaces, metadata)


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
        check_id(vector_id, number)
    if len(ids) and matrix.shape[1] != dimensions:
        raise _Row(1, ids[0]).wrong_width(dimensions, matrix.shape[1])
    _check_finite(matrix, ids)
    texts = [_metadata_text(item, _Row(number, ids[number - 1])) for number, item in enumerate(metadata, start=1)]
    return Batch(list(ids), matrix, [_namespace(namespace, _Row(1))] * len(ids), texts)


def check_id(vector_id: Any, number: int) -> str:
    """Return an id; a whole number becomes text. Raises UsageError if it is no string of 1 to 64 bytes."""
    if type(vector_id) is int:
        vector_id = str(vector_id)
    row = _Row(number, str(vector_id))
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


def _values(values: Any, row: _Row, dimensions: int) -> NDArray[np.float32]:
    if not isinstance(values, list | tuple):
        raise row.error(f'values of id="{row.id}" are no array', "invalid_values")
    numbers = cast("Sequence[Any]", values)
    if len(numbers) != dimensions:
        raise row.wrong_width(dimensions, len(numbers))
    if not all(type(number) is float or type(number) is int for number in numbers):
        raise row.error(f'values of id="{row.id}" are not all numbers', "invalid_values")
    with np.errstate(over="ignore"):
        return np.asarray(numbers, dtype=np.float64).astype(np.float32)


def _check_finite(matrix: NDArray[np.float32], ids: Sequence[str]) -> None:
    finite = np.isfinite(matrix).all(axis=1)
    if not finite.all():
        row = _Row(int(np.argmin(finite)) + 1, ids[int(np.argmin(finite))])
        raise row.error(f'values of id="{row.id}" hold NaN, infinity, or more than float32 can', "not_finite")


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
