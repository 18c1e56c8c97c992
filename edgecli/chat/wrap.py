"""Break a paragraph into lines of a terminal, Chinese, Japanese and Korean text included.

Text without spaces may break between any two wide characters, except before closing punctuation and after
opening punctuation (a small part of JIS X 4051 and UAX #14); other words break at spaces, and inside only
where a word alone is wider than the line.
"""

from __future__ import annotations

import re

from rich.cells import cell_len
from rich.text import Text

_OPENING = "（〔［｛「『【《〈“‘"
_CLOSING = "，。、；：？！）〕］｝」』】》〉”’…—·,.;:?!)]}%％"
_WIDE = (
    r"[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6"
    r"\U0001f300-\U0001faff\U00020000-\U0003fffd]"
)
# What stays on one line: a wide character, or a run of others without a space, with its punctuation and the
# spaces after it.
_UNIT = re.compile(rf"(?:[{_OPENING}(\[{{]*(?:{_WIDE}|(?:(?!{_WIDE})[^\s{_OPENING}])+)[{re.escape(_CLOSING)}]*|\S)?\s*")


def wrap(text: Text, width: int) -> list[Text]:
    """Return the lines of `text`, none wider than `width` cells, with their styles."""
    lines: list[Text] = []
    for paragraph in text.split("\n", allow_blank=True):
        for line in paragraph.divide(_breaks(paragraph.plain, max(width, 2))):
            line.rstrip()
            lines.append(line)
    return lines


def _breaks(plain: str, width: int) -> list[int]:
    """Return the offsets at which new lines begin."""
    offsets: list[int] = []
    used = 0
    for match in _UNIT.finditer(plain):
        unit, start = match.group(), match.start()
        if used and used + cell_len(unit.rstrip()) > width:
            offsets.append(start)
            used = 0
        if cell_len(unit.rstrip()) > width:
            inside = _fold(unit, start, width)
            offsets += inside
            used = cell_len(plain[inside[-1] : match.end()])
        else:
            used += cell_len(unit)
    return offsets


def _fold(word: str, start: int, width: int) -> list[int]:
    offsets: list[int] = []
    used = 0
    for number, character in enumerate(word):
        size = cell_len(character)
        if used and used + size > width and not character.isspace():
            offsets.append(start + number)
            used = 0
        used += size
    return offsets
