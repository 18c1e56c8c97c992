"""Queries: what is asked, checked; what the store found, in the shape of an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import orjson

from edgecli.errors import NotFoundError, UsageError
from edgecli.vectorize import limits
from edgecli.vectorize.filters import first_bytes, parse_filter
from edgecli.vectorize.records import IndexRecord, MetadataIndex
from edgecli.vectorize.schema import Match, QueryRequest, QueryResult
from edgecli.vectorize.store import VectorStore

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgecli.config.settings import VectorizeSettings


def answer(store: VectorStore, settings: VectorizeSettings, name: str, request: QueryRequest) -> QueryResult:
    """Return the vectors nearest to the one that is given or stored, best first.

    Raises UsageError for a request that cannot be answered, NotFoundError for an unknown index or id.
    """
    record = store.record(name)
    _check_top_k(request)
    criterion = None if request.filter is None else parse_filter(request.filter)
    if criterion is not None and settings.strict_metadata_indexes:
        criterion = criterion.by(record.metadata_indexes, name)
    query = _query_vector(store, record, request)
    hits = store.search(name, query, request.top_k, namespace=request.namespace or None, criterion=criterion)
    negative = record.metric == "dot-product" and settings.dot_product_sign == "negative"
    shown = record.metadata_indexes if record.metadata_indexes or settings.strict_metadata_indexes else None
    matches = [
        Match(
            id=hit.row.id,
            score=-hit.score if negative else hit.score,
            values=hit.values.tolist() if request.return_values else None,
            namespace=hit.row.namespace,
            metadata=_metadata(hit.row.metadata, request, shown),
        )
        for hit in hits
    ]
    return QueryResult(count=len(matches), matches=matches)


def _query_vector(store: VectorStore, record: IndexRecord, request: QueryRequest) -> NDArray[np.float32]:
    if (request.vector is None) == (request.vector_id is None):
        raise limits.malformed_body("exactly one of vector and vectorId is expected")
    if request.vector_id is not None:
        found = store.rows(record.name, [request.vector_id])
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
    if not np.isfinite(query).all():
        raise limits.malformed_body("vector: NaN, infinity, or more than float32 can hold")
    return query


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
    hint = f"Ask for {'fewer matches' if request.top_k > most else 'at least one match'} (`--top-k`)."
    raise UsageError(message, hint=hint, code="top_k", cf_code=40025)


def _metadata(text: str | None, request: QueryRequest, shown: Sequence[MetadataIndex] | None) -> dict[str, Any] | None:
    if request.return_metadata == "none" or text is None:
        return None
    metadata = orjson.loads(text)
    if request.return_metadata == "all":
        return metadata
    if shown is None:
        return _shortened(metadata)
    found: dict[str, Any] = {}
    for index in shown:
        _copy(metadata, found, index.property_name.split("."))
    return _shortened(found)


def _copy(source: Mapping[str, Any], target: dict[str, Any], path: Sequence[str]) -> None:
    """Copy the property at a path, with the objects around it, if it is there."""
    key, rest = path[0], path[1:]
    if key not in source:
        return
    value = source[key]
    if not rest:
        target[key] = value
    elif isinstance(value, Mapping):
        inner = target.setdefault(key, {})
        if isinstance(inner, dict):
            _copy(cast("Mapping[str, Any]", value), cast("dict[str, Any]", inner), rest)


def _shortened(value: Any) -> Any:
    """Cut each string to what a metadata index holds of it."""
    if isinstance(value, str):
        return first_bytes(value)
    if isinstance(value, dict):
        return {key: _shortened(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    return value
