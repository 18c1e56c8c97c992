"""What the stores know about an index."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class IndexRecord:
    """The facts of an index that never change. `uid` is unique to its life; a deleted name may come back."""

    uid: str
    name: str
    description: str
    dimensions: int
    metric: str
    created_on: str

    def to_json(self) -> str:
        """Return the record as JSON text."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> IndexRecord:
        """Read what `to_json` wrote; keys of later versions are ignored."""
        given = json.loads(text)
        return cls(**{key: given[key] for key in cls.__slots__})


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an index is: its rows, and the last write that is visible in it."""

    count: int
    mutation: str | None
    processed_on: str | None


@dataclass(frozen=True, slots=True)
class Row:
    """A stored vector without its values; `metadata` is JSON text."""

    slot: int
    id: str
    namespace: str | None
    metadata: str | None
