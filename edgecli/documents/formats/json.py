"""JSON: one block a member or item, the keys as its heading; JSON Lines: one block a line."""

from __future__ import annotations

import json
import re

from edgecli.documents.formats import code
from edgecli.documents.formats.lines import Line, lines_of
from edgecli.documents.schema import Block, BlockKind, Parsed, label

_LARGE = 600
"""Characters; a larger array or object is cut into its own members."""
_DEEPEST = 6
_SPACE = re.compile(r"\s*+")
_DECODER = json.JSONDecoder()


def parse(source: str) -> Parsed:
    """Find the members of a JSON text; one that is no strict JSON (comments, a cut) is taken as code."""
    try:
        blocks = _Members(source).blocks
    except (ValueError, IndexError, RecursionError) as error:
        return code.parse(source)._replace(note=f"{_why_no_json(error)}; read as text")
    return Parsed("", source, blocks)


def _why_no_json(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "JSON that is nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        return f"no valid JSON in line {error.lineno} ({error.msg})"
    return "no valid JSON"


def _string(source: str, position: int) -> tuple[str, int]:
    """Decode the string that starts at `position`; return it and the offset after it."""
    if source[position] != '"':
        raise ValueError("a key that is no string")
    return _DECODER.raw_decode(source, position)


def parse_lines(source: str) -> Parsed:
    """Take JSON Lines: one record a line."""
    lines = lines_of(source)
    blocks = [Block(line.start, line.end, BlockKind.ROW) for line in lines if not line.blank]
    return Parsed("", source, blocks, note=_bad_lines(lines))


def _bad_lines(lines: list[Line]) -> str:
    """Say which line is no JSON, empty if all are."""
    bad: list[int] = []
    for number, line in enumerate(lines, start=1):
        try:
            if not line.blank:
                json.loads(line.text)
        except (ValueError, RecursionError):
            bad.append(number)
    if not bad:
        return ""
    rest = f" and in {len(bad) - 1} more" if len(bad) > 1 else ""
    return f"no valid JSON in line {bad[0]}{rest}; read as text"


class _Members:
    """Walks down to members that are small, so that each level is decoded once and no deeper than needed."""

    def __init__(self, source: str) -> None:
        self._source = source
        self.blocks: list[Block] = []
        start = self._space(0)
        end = self._value(start)
        self._add(start, start, end, (), 0)
        if self._space(end) < len(source):
            raise ValueError("text after the JSON value")

    def _space(self, position: int) -> int:
        found = _SPACE.match(self._source, position)
        return found.end() if found else position

    def _value(self, position: int) -> int:
        return _DECODER.raw_decode(self._source, position)[1]

    def _add(self, start: int, value: int, end: int, path: tuple[str, ...], depth: int) -> None:
        """Add `source[start:end]`, whose value (after its key, if it has one) starts at `value`."""
        if self._source[value] not in "[{" or end - value <= _LARGE or depth >= _DEEPEST:
            self.blocks.append(Block(start, end, BlockKind.ROW, path))
            return
        is_object, position, number = self._source[value] == "{", self._space(value + 1), 0
        before = start
        while position < end - 1:
            name, inner = f"[{number}]", position
            if is_object:
                name, inner = _string(self._source, position)
                inner = self._space(self._space(inner) + 1)
            stop = self._value(inner)
            large = self._source[inner] in "[{" and stop - inner > _LARGE
            self._add(before, inner, stop, (*path, label(name)) if is_object or large else path, depth + 1)
            position = self._space(stop)
            if self._source[position] == ",":
                self._extend(position + 1)
                position = self._space(position + 1)
            before, number = position, number + 1
        self._extend(end)

    def _extend(self, end: int) -> None:
        """Let the last block hold the comma or the bracket behind it."""
        self.blocks[-1] = self.blocks[-1]._replace(end=end)
