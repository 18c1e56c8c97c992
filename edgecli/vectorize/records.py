"""What the stores know about an index."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class MetadataIndex:
    """A property that filters may name. It covers the rows whose ordinal is above `since`."""

    property_name: str
    index_type: str
    since: int


@dataclass(frozen=True, slots=True)
class IndexRecord:
    """The facts of an index. `uid` is unique to its life; a deleted name may come back."""

    uid: str
    name: str
    description: str
    dimensions: int
    metric: str
    created_on: str
    modified_on: str
    metadata_indexes: tuple[MetadataIndex, ...] = ()

    def to_json(self) -> str:
        """Return the record as JSON text."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> IndexRecord:
        """Read what `to_json` wrote; keys of later versions are ignored, those of earlier ones may be missing."""
        given = json.loads(text)
        given.setdefault("modified_on", given["created_on"])
        given["metadata_indexes"] = tuple(MetadataIndex(**each) for each in given.get("metadata_indexes", ()))
        return cls(**{key: given[key] for key in cls.__slots__})


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an index is: its rows, and the last write that is visible in it.

    `ordinal` is the number of the last mutation that wrote rows, counted from 1.
    """

    count: int
    ordinal: int
    mutation: str | None
    processed_on: str | None


@dataclass(frozen=True, slots=True)
class Row:
    """A stored vector without its values; `metadata` is JSON text."""

    slot: int
    id: str
    namespace: str | None
    metadata: str | None
    ordinal: int
    checksum: int
