"""From a line of a bundle to the line that the user wrote: source maps, version 3 (ECMA-426)."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt

from edgecli.workers.process import Place

IntArray = npt.NDArray[np.int64]

_NO_DIGIT, _NEXT_SEGMENT, _NEXT_LINE = -1, -2, -3
_BASE64 = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
_DIGITS = np.full(256, _NO_DIGIT, np.int64)
_DIGITS[np.frombuffer(_BASE64.encode(), np.uint8)] = np.arange(64)
_DIGITS[ord(",")], _DIGITS[ord(";")] = _NEXT_SEGMENT, _NEXT_LINE
_POSITION = re.compile(r"(?P<module>[^\s()]+):(?P<line>\d+):(?P<column>\d+)")
_BASE = "file:///bundle/"
"""What newer compatibility dates put before a module's name."""
OUR_MODULES = ("edgecli-entry.mjs", "node-internal:", "cloudflare-internal:")


class SourceMap:
    """One bundle's map. It is decoded when it is first asked: most bundles never fail."""

    def __init__(self, path: Path, root: Path) -> None:
        """`path` is the map's file; sources below `root` are named from there."""
        self._path = path
        self._root = root
        self._table: IntArray | None = None
        self._sources: list[str] = []

    def place(self, line: int, column: int) -> Place | None:
        """Return where the code at a line and column of the bundle, both from 1, is from; None if nobody wrote it."""
        if self._table is None:
            self._table = self._read()
        rows = self._table
        first, after = np.searchsorted(rows[:, 0], (line - 1, line))
        row = first + np.searchsorted(rows[first:after, 1], column - 1, side="right") - 1
        if row < first:
            return None
        source, source_line, source_column = (int(each) for each in rows[row, 2:])
        if not 0 <= source < len(self._sources):
            return None
        return Place(self._sources[source], source_line + 1, source_column + 1)

    def _read(self) -> IntArray:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            self._sources = [self._name(content.get("sourceRoot") or "", source or "") for source in content["sources"]]
            return _decode(content["mappings"].encode("ascii"))
        except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
            # An upload's map may be anything; without one the bundle's own lines are shown.
            return np.empty((0, 5), np.int64)

    def _name(self, above: str, source: str) -> str:
        if re.match(r"[a-z][a-z0-9+.-]+:", source):
            return source
        path = (self._path.parent / above / unquote(source)).resolve()
        return str(path.relative_to(self._root) if path.is_relative_to(self._root) else path)


def _decode(mappings: bytes) -> IntArray:
    """Return rows of line, column, source, source's line and source's column, all from 0, in the bundle's order.

    `(n, 5)`. Array by array, because a bundle of some packages has half a million mappings. Raises ValueError and
    IndexError.
    """
    digits = _DIGITS[np.frombuffer(mappings, np.uint8)]
    if (digits == _NO_DIGIT).any():
        raise ValueError("not base64")
    is_digit = digits >= 0
    segment = np.cumsum(~is_digit)[is_digit]  # the separators before each digit
    segment_line = np.concatenate(([0], np.cumsum(digits[~is_digit] == _NEXT_LINE)))
    digits = digits[is_digit]
    if not len(digits):
        return np.empty((0, 5), np.int64)

    begins = np.concatenate(([True], (digits[:-1] & 32) == 0))
    starts = np.flatnonzero(begins)
    shifts = 5 * (np.arange(len(digits)) - starts[np.cumsum(begins) - 1])
    values = np.add.reduceat((digits & 31) << np.minimum(shifts, 55), starts)
    numbers = np.where(values & 1, -(values >> 1), values >> 1)
    owner = segment[starts]

    first = np.flatnonzero(np.concatenate(([True], owner[1:] != owner[:-1])))
    fields = np.diff(np.append(first, len(numbers)))
    line = segment_line[owner[first]]
    column = np.cumsum(numbers[first])
    line_starts = np.flatnonzero(np.concatenate(([True], line[1:] != line[:-1])))
    before = np.concatenate(([0], column))[line_starts]
    column -= np.repeat(before, np.diff(np.append(line_starts, len(line))))  # columns start anew in each line

    known = fields >= 4
    origins = [np.cumsum(numbers[first[known] + field]) for field in (1, 2, 3)]
    return np.stack([line[known], column[known], *origins], axis=1)


def map_trace(trace: str, maps: Mapping[str, SourceMap]) -> tuple[str, Place | None]:
    """Return a trace with the user's own files and lines, without edgecli's frames, and its innermost place.

    `maps` holds a source map for each module that has one, by the module's name.
    """
    innermost: Place | None = None

    def mapped(found: re.Match[str]) -> str:
        nonlocal innermost
        known = maps.get(unquote(found["module"]).removeprefix(_BASE))
        place = known.place(int(found["line"]), int(found["column"])) if known else None
        if place is None:
            return found[0]
        innermost = innermost or place
        return f"{place.file}:{place.line}:{place.column}"

    lines = [line for line in trace.splitlines() if not (line.lstrip().startswith("at ") and _is_ours(line))]
    return "\n".join(_POSITION.sub(mapped, line) for line in lines), innermost


def _is_ours(line: str) -> bool:
    return any(module in line for module in OUR_MODULES)
