"""From a line of a bundle to the line that the user wrote: source maps, version 3 (ECMA-426)."""

from __future__ import annotations

import bisect
import json
import re
import string
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from edgecli.workers.process import Place

_BASE64 = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
_DIGITS = {character: value for value, character in enumerate(_BASE64)}
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
        self._lines: list[tuple[list[int], list[tuple[int, int, int]]]] | None = None
        self._sources: list[str] = []

    def place(self, line: int, column: int) -> Place | None:
        """Return where the code at a line and column of the bundle, both from 1, is from; None if nobody wrote it."""
        lines = self._lines if self._lines is not None else self._decode()
        if not 0 < line <= len(lines):
            return None
        starts, origins = lines[line - 1]
        index = bisect.bisect_right(starts, column - 1) - 1
        if index < 0:
            return None
        source, source_line, source_column = origins[index]
        if not 0 <= source < len(self._sources):
            return None
        return Place(self._sources[source], source_line + 1, source_column + 1)

    def _decode(self) -> list[tuple[list[int], list[tuple[int, int, int]]]]:
        lines: list[tuple[list[int], list[tuple[int, int, int]]]] = []
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            self._sources = [self._name(content.get("sourceRoot") or "", source or "") for source in content["sources"]]
            source = line = column = 0
            for mappings in content["mappings"].split(";"):
                starts: list[int] = []
                origins: list[tuple[int, int, int]] = []
                start = 0
                for mapping in mappings.split(",") if mappings else ():
                    numbers = _numbers(mapping)
                    start += numbers[0]
                    if len(numbers) >= 4:
                        source, line, column = source + numbers[1], line + numbers[2], column + numbers[3]
                        starts.append(start)
                        origins.append((source, line, column))
                lines.append((starts, origins))
        except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
            lines = []  # an upload's map may be anything; without one the bundle's own lines are shown
        self._lines = lines
        return lines

    def _name(self, above: str, source: str) -> str:
        if re.match(r"[a-z][a-z0-9+.-]+:", source):
            return source
        path = (self._path.parent / above / unquote(source)).resolve()
        return str(path.relative_to(self._root) if path.is_relative_to(self._root) else path)


def _numbers(mapping: str) -> list[int]:
    """Decode the base64 VLQs of one mapping."""
    numbers: list[int] = []
    value = shift = 0
    for character in mapping:
        digit = _DIGITS[character]
        value |= (digit & 31) << shift
        if digit & 32:
            shift += 5
        else:
            numbers.append(-(value >> 1) if value & 1 else value >> 1)
            value = shift = 0
    return numbers


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
