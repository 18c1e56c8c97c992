"""Vectorize's limits, and the errors for what lies beyond them.

The numbers are Cloudflare's of August 2026; the numeric codes are those its API answers with.
"""

from __future__ import annotations

import re

from edgecli.errors import EdgeError, NotFoundError, UsageError, did_you_mean

MAX_NAME_BYTES = 64
MAX_ID_BYTES = 64
MAX_NAMESPACE_BYTES = 64
MAX_METADATA_BYTES = 10 * 1024
MAX_FILTER_BYTES = 2048
MAX_FILTER_KEY_CHARACTERS = 512
MAX_TOP_K = 100
MAX_TOP_K_WITH_VALUES = 50
MAX_BATCH = 5000
MAX_UPLOAD_BYTES = 100 * 1024 * 1024
MAX_REQUEST_BYTES = 8 * 1024 * 1024
"""A query, or ids: no upload."""
MAX_LINE_BYTES = 4 * 1024 * 1024
"""One vector as JSON: 65,536 numbers and the largest metadata, written wastefully."""
MAX_LINES = 100_000
"""Of one upload, blank and unparsable ones too."""
MAX_METADATA_INDEXES = 10
MAX_LIST = 1000
MAX_METADATA_DEPTH = 64
INDEXED_STRING_BYTES = 64
UNREADABLE_VECTORS = 40023

_NAME = re.compile(r"[a-z]+[a-z0-9_-]*[a-z0-9]+")


def check_name(name: str) -> str:
    """Return the name of a new index. Raises UsageError if it is none."""
    if _NAME.fullmatch(name) is None or len(name) > MAX_NAME_BYTES:
        raise UsageError(
            f"`{name}` is no name for an index.",
            hint="Use 2 to 64 of a-z, 0-9, `-` and `_`; begin with a letter, end with a letter or digit.",
            code="invalid_index_name",
            cf_code=3003,
        )
    return name


def check_dimensions(dimensions: int, maximum: int) -> int:
    """Return the width of a new index. Raises UsageError if it is not 1 to `maximum`."""
    if not 1 <= dimensions <= maximum:
        raise UsageError(
            f"An index has 1 to {maximum} dimensions, not {dimensions}.",
            hint="Take that of the embedding model; `edgecli models show MODEL` prints it.",
            code="invalid_dimensions",
            cf_code=3003,
        )
    return dimensions


def index_not_found(name: str, known: list[str]) -> NotFoundError:
    """Return the error for an index that does not exist."""
    hint = did_you_mean(name, known) or f"`edgecli vectorize create {name} --dimensions N --metric cosine` creates it."
    return NotFoundError(
        f'vectorize.index.not_found - Index name "{name}"', hint=hint, code="index_not_found", cf_code=3000
    )


def duplicate_name(name: str) -> EdgeError:
    """Return the error for a name that is taken."""
    return EdgeError(
        f'vectorize.index.duplicate_name - Index name "{name}"',
        hint=f"Choose another name, or delete the index with `edgecli vectorize delete {name}`.",
        code="index_exists",
        cf_code=3002,
        status=400,
    )


def malformed_body(what: str, *, hint: str | None = None) -> UsageError:
    """Return the error for a request body that cannot be read."""
    return UsageError(
        f"Failed to parse the request body as JSON: {what}", hint=hint, code="malformed_body", cf_code=40026
    )


def unreadable_vectors(what: str, *, hint: str | None = None) -> UsageError:
    """Return the error for vectors to be written that cannot be read."""
    return UsageError(
        f"failed to parse upsert vectors request: {what}",
        hint=hint,
        code="unreadable_vectors",
        cf_code=UNREADABLE_VECTORS,
    )


def wrong_query_width(expected: int, got: int) -> UsageError:
    """Return the error for a query vector whose width is not the index's."""
    return UsageError(
        f"invalid query vector, expected {expected} dimensions, and got {got} dimensions",
        hint="Embed the question with the model that the index was filled with.",
        code="wrong_dimensions",
        cf_code=40006,
    )
