"""Compare the rows that the mirror and Chroma hold, by their checksums."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from edgecli.vectorize.chroma_reader import Reading
from edgecli.vectorize.mirror import Mirror


@dataclass(slots=True)
class Differences:
    """Ids of rows that are `wrong` or `missing` in Chroma or `extra` there, by what the mirror has noted."""

    wrong: list[str] = field(default_factory=list[str])
    missing: list[str] = field(default_factory=list[str])
    extra: list[str] = field(default_factory=list[str])

    def __bool__(self) -> bool:
        return bool(self.wrong or self.missing or self.extra)

    def __str__(self) -> str:
        kinds = (("wrong", self.wrong), ("missing", self.missing), ("not expected", self.extra))
        return ", ".join(f"{len(ids)} {kind} (`{ids[0]}`)" for kind, ids in kinds if ids)


def compare(mirror: Mirror, uid: str, readings: Iterable[Reading]) -> Differences:
    """Compare an index of the mirror with all that Chroma holds of it."""
    found = Differences()
    seen = np.zeros(mirror.slots(uid), np.bool_)
    for reading in readings:
        noted = mirror.checksums_of(uid, reading.ids)
        for vector_id, checksum in zip(reading.ids, reading.checksums, strict=True):
            slot, expected = noted.get(vector_id, (-1, -1))
            if slot < 0:
                found.extra.append(vector_id)
                continue
            seen[slot] = True
            if checksum != expected:
                found.wrong.append(vector_id)
    found.missing = [vector_id for slot, vector_id in mirror.column(uid, "id") if not seen[slot]]
    return found
