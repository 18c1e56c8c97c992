"""Markdown: CommonMark's block structure, tables and front matter. The text stays as it is."""

from __future__ import annotations

import re
from collections.abc import Callable

from edgecli.documents.formats.front_matter import read_front_matter
from edgecli.documents.formats.lines import LIST_ITEM, HeadingStack, Line, lines_of
from edgecli.documents.schema import Block, BlockKind, Parsed

_ATX = re.compile(r" {0,3}(?P<marks>#{1,6})(?:[ \t]+(?P<title>.*))?$")
_SETEXT = re.compile(r" {0,3}(?P<mark>=+|-{2,})[ \t]*$")
_FENCE = re.compile(r"[ \t]*(?:>[ \t]*)*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?(?P<fence>`{3,}(?=[^`]*$)|~{3,})")
_RULER = re.compile(r" {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$")
_TABLE_RULER = re.compile(r"[ \t>]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_INDENTED = re.compile(r"(?: {4}|\t)[ \t]*\S")

_LONGEST_HEADING = 1000
_LINKS = re.compile(r"!?\[(?P<text>[^\[\]]*)\](?:\([^()]*(?:\([^()]*\)[^()]*)*\)|\[[^\[\]]*\])")
_NOISE = re.compile(r"</?[A-Za-z][^<>]*>|\{[^{}]*\}[ \t]*$|[*`~]+|(?<!\w)_+|_+(?!\w)|\\(?=[^\w\s])")


def parse(source: str) -> Parsed:
    """Find the blocks of a Markdown text; front matter is no part of any block."""
    metadata, start = read_front_matter(source)
    scanner = _Scanner(lines_of(source, start))
    blocks = scanner.scan()
    named = metadata.get("title")
    title = named if isinstance(named, str) and named.strip() else scanner.title
    return Parsed(title, source, blocks, metadata)


def heading_text(markdown: str) -> str:
    """Return a heading without the marks of links, emphasis, code and attributes."""
    line = markdown[:_LONGEST_HEADING].strip()
    closed = line.rstrip("#")
    if closed != line and closed[-1:] in ("", " ", "\t"):
        line = closed
    return _NOISE.sub("", _LINKS.sub(lambda link: link["text"], line)).strip()


class _Scanner:
    def __init__(self, lines: list[Line]) -> None:
        self._lines = lines
        self._headings = HeadingStack()
        self._blocks: list[Block] = []
        self._title_level = 7
        self.title = ""

    def scan(self) -> list[Block]:
        position = 0
        while position < len(self._lines):
            line = self._lines[position]
            position = position + 1 if line.blank else self._take(position, line)
        return self._blocks

    def _take(self, position: int, line: Line) -> int:
        """Add the block that starts at this line; return the position of the line after it."""
        if fence := _FENCE.match(line.text):
            return self._add(BlockKind.CODE, position, self._fence_end(position, fence["fence"]))
        if atx := _ATX.match(line.text):
            self._heading(position, position + 1, len(atx["marks"]), atx["title"] or "")
            return position + 1
        if _RULER.match(line.text):
            return self._add(BlockKind.PARAGRAPH, position, position + 1)
        if self._is_table(position):
            return self._add(BlockKind.TABLE, position, self._while(position + 2, lambda text: "|" in text))
        if LIST_ITEM.match(line.text):
            return self._add(BlockKind.ITEM, position, self._paragraph_end(position))
        if _INDENTED.match(line.text) and not self._in_list():
            return self._add(BlockKind.CODE, position, self._indented_end(position))
        return self._paragraph(position)

    def _add(self, kind: BlockKind, position: int, stop: int) -> int:
        first, last = self._lines[position], self._lines[stop - 1]
        self._blocks.append(Block(first.start, last.end, kind, self._headings.path))
        return stop

    def _heading(self, position: int, stop: int, level: int, markdown: str) -> None:
        title = heading_text(markdown)
        if title and level < self._title_level:
            self.title, self._title_level = title, level
        self._headings.enter(level, title)
        self._add(BlockKind.HEADING, position, stop)

    def _fence_end(self, position: int, fence: str) -> int:
        closing = re.compile(rf"[ \t]*(?:>[ \t]*)*{fence[0]}{{{len(fence)},}}[ \t]*$")
        for index in range(position + 1, len(self._lines)):
            if closing.match(self._lines[index].text):
                return index + 1
        return len(self._lines)

    def _is_table(self, position: int) -> bool:
        if "|" not in self._lines[position].text or position + 1 >= len(self._lines):
            return False
        ruler = self._lines[position + 1].text
        return "-" in ruler and ("|" in ruler or ":" in ruler) and _TABLE_RULER.match(ruler) is not None

    def _while(self, position: int, belongs: Callable[[str], bool]) -> int:
        while position < len(self._lines) and belongs(self._lines[position].text):
            position += 1
        return position

    def _in_list(self) -> bool:
        return bool(self._blocks) and self._blocks[-1].kind is BlockKind.ITEM

    def _indented_end(self, position: int) -> int:
        stop = position + 1
        for index in range(position + 1, len(self._lines)):
            line = self._lines[index]
            if _INDENTED.match(line.text):
                stop = index + 1
            elif not line.blank:
                break
        return stop

    def _paragraph_end(self, position: int) -> int:
        for index in range(position + 1, len(self._lines)):
            if self._ends_paragraph(index):
                return index
        return len(self._lines)

    def _ends_paragraph(self, index: int) -> bool:
        line = self._lines[index]
        starts_other = _ATX.match(line.text) or _FENCE.match(line.text) or LIST_ITEM.match(line.text)
        return line.blank or starts_other is not None or self._is_table(index)

    def _paragraph(self, position: int) -> int:
        """Add a paragraph, or the heading that it turns out to be when a line of `=` or `-` follows."""
        for index in range(position + 1, len(self._lines)):
            if underline := _SETEXT.match(self._lines[index].text):
                words = " ".join(line.text for line in self._lines[position:index])
                self._heading(position, index + 1, 1 if underline["mark"][0] == "=" else 2, words)
                return index + 1
            if self._ends_paragraph(index):
                return self._add(BlockKind.PARAGRAPH, position, index)
        return self._add(BlockKind.PARAGRAPH, position, len(self._lines))
