"""The lines at the bottom of the screen that may still change."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import IO

from rich.cells import cell_len

_STYLE = re.compile(r"\x1b\[[0-9;:]*m")
# Terminals that know it show all between the two as one frame; the others ignore it.
_FRAME_BEGIN, _FRAME_END = "\x1b[?2026h", "\x1b[?2026l"


class Region:
    """Rewrite only what changed, and let finished lines go into the scrollback.

    A line that has left the screen cannot be changed any more, so of lines that are not final no more are
    shown than fit on the screen.
    """

    def __init__(self, file: IO[str], size: Callable[[], tuple[int, int]], *, plain: bool = False) -> None:
        self._file = file
        self._size = size
        self._plain = plain
        """The terminal cannot move its cursor (`TERM=dumb`): only final lines are shown."""
        self._shown: list[str] = []

    def draw(self, final: list[str], changing: list[str]) -> None:
        """Put `final` lines, which stay, and `changing` lines in the place of the changing lines so far."""
        if self._plain:
            self._write("".join(f"{line}\n" for line in final))
            return
        width, height = self._size()
        target = [*final, *_last_rows(changing, width, height - 1)]
        same = 0
        while same < min(len(self._shown), len(target)) and self._shown[same] == target[same]:
            same += 1
        if same < max(len(self._shown), len(target)):
            self._write(_rewrite(self._shown[same:], target[same:], width))
        self._shown = target[len(final) :]

    def _write(self, text: str) -> None:
        self._file.write(text)
        self._file.flush()


def _rewrite(old: list[str], new: list[str], width: int) -> str:
    """Return what puts `new` lines in the place of the `old` ones above the cursor.

    Each row is erased by itself: some terminals answer an erasure of the whole screen by moving it into the
    scrollback.
    """
    before = sum(_rows(line, width) for line in old)
    surplus = max(0, before - sum(_rows(line, width) for line in new))
    up = f"\x1b[{before}A\r" if before else ""
    # At the end of a full row the cursor has not moved on yet, and an erasure would take its last character.
    lines = "".join(line + ("\n" if _fills_row(line, width) else "\x1b[K\n") for line in new)
    rest = "\x1b[K\n" * surplus + f"\x1b[{surplus}A" if surplus else ""
    return f"{_FRAME_BEGIN}{up}{lines}{rest}{_FRAME_END}"


def _fills_row(line: str, width: int) -> bool:
    return _folded(line, width)[1] == width


def _rows(line: str, width: int) -> int:
    return _folded(line, width)[0]


def _folded(line: str, width: int) -> tuple[int, int]:
    """Return how many rows a line takes, as the terminal folds it, and how many cells of the last one."""
    plain = _STYLE.sub("", line)
    cells = cell_len(plain)
    if cells <= width:
        return 1, cells
    rows, used = 1, 0
    for character in plain:
        size = cell_len(character)
        if used + size > width:  # a wide character does not fit into the last cell
            rows, used = rows + 1, 0
        used += size
    return rows, used


def _last_rows(lines: list[str], width: int, limit: int) -> list[str]:
    """Return the last lines that fit into `limit` rows."""
    rows = 0
    for count, line in enumerate(reversed(lines)):
        rows += _rows(line, width)
        if rows > limit:
            return lines[len(lines) - count :]
    return lines
