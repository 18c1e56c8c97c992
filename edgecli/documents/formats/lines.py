"""Lines with their offsets, and the stack of headings above them."""

from __future__ import annotations

import re
from typing import NamedTuple

from edgecli.documents.schema import label

_LINE = re.compile(r"[^\r\n]*+(?:\r\n|\n|\r|\Z)")
LIST_ITEM = re.compile(r"[ \t]*(?:[-*+•]|\(?(?:\d{1,9}|#|[A-Za-z])[.)])(?:[ \t]+|$)")


class Line(NamedTuple):
    start: int
    end: int
    """Offset after the last character, the line break not counted."""
    text: str

    @property
    def blank(self) -> bool:
        return not self.text or self.text.isspace()


def lines_of(text: str, start: int = 0) -> list[Line]:
    """Return the lines of `text` from `start` on, whatever ends them: LF, CRLF or CR."""
    lines: list[Line] = []
    for found in _LINE.finditer(text, start):
        line = found[0].rstrip("\r\n")
        begin = found.start()
        lines.append(Line(begin, begin + len(line), line))
    return lines


class HeadingStack:
    """The headings that the current line lies under."""

    def __init__(self) -> None:
        self._open: list[tuple[int, str]] = []
        self.path: tuple[str, ...] = ()

    def enter(self, level: int, title: str) -> tuple[str, ...]:
        """Open a heading, close those of its level and deeper, and return the new path."""
        self.leave(level)
        self._open.append((level, label(title)))
        self.path = tuple(text for _, text in self._open if text)
        return self.path

    def leave(self, level: int) -> tuple[str, ...]:
        """Close the headings of this level and deeper, and return the new path."""
        while self._open and self._open[-1][0] >= level:
            self._open.pop()
        self.path = tuple(text for _, text in self._open if text)
        return self.path
