"""reStructuredText: headings by underline, directives, literal blocks. The text stays as it is."""

from __future__ import annotations

import re

from edgecli.documents.formats.lines import LIST_ITEM, HeadingStack, Line, lines_of
from edgecli.documents.schema import Block, BlockKind, Parsed

_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1+[ \t]*$")
_CODE = re.compile(
    r"[ \t]*\.\.[ \t]+(?:code-block|code|sourcecode|literalinclude|parsed-literal|highlight|doctest|testcode"
    r"|testoutput|prompt|ipython|math|graphviz|mermaid|uml)::"
)
_TABLE = re.compile(r"[ \t]*(?:\+(?:[-=]+\+)+|=+(?:[ \t]+=+)+)[ \t]*$")
_ROLE = re.compile(r":[\w:+.-]+:`(?:([^`<]*?)[ \t]*<[^`>]*>|([^`]*))`|`+([^`]*)`+_{0,2}|\*+([^*]+)\*+|\|([^|]+)\|")


def parse(source: str) -> Parsed:
    """Find the blocks of a reStructuredText source."""
    scanner = _Scanner(lines_of(source))
    return Parsed(scanner.title, source, scanner.blocks)


def _plain(title: str) -> str:
    return _ROLE.sub(lambda found: next((group for group in found.groups() if group), ""), title).strip()


def _indent(line: Line) -> int:
    return len(line.text) - len(line.text.lstrip())


class _Scanner:
    def __init__(self, lines: list[Line]) -> None:
        self._lines = lines
        self._headings = HeadingStack()
        self._styles: list[str] = []
        """Adornments in order of appearance, which is what gives them their level."""
        self._literal_next = False
        self.blocks: list[Block] = []
        self.title = ""
        position = 0
        while position < len(lines):
            position = position + 1 if lines[position].blank else self._take(position)

    def _take(self, position: int) -> int:
        line = self._lines[position]
        if self._literal_next and _indent(line) > 0:
            self._literal_next = False
            return self._add(BlockKind.CODE, position, self._indented_end(position, _indent(line)))
        self._literal_next = False
        if stop := self._heading_end(position):
            return self._heading(position, stop)
        if _CODE.match(line.text):
            return self._add(BlockKind.CODE, position, self._indented_end(position + 1, _indent(line) + 1))
        stop = self._paragraph_end(position)
        if _TABLE.match(line.text):
            return self._add(BlockKind.TABLE, position, self._table_end(position))
        if line.text.lstrip().startswith(">>> "):
            return self._add(BlockKind.CODE, position, stop)
        self._literal_next = self._lines[stop - 1].text.rstrip().endswith("::")
        return self._add(BlockKind.ITEM if LIST_ITEM.match(line.text) else BlockKind.PARAGRAPH, position, stop)

    def _add(self, kind: BlockKind, position: int, stop: int) -> int:
        first, last = self._lines[position], self._lines[stop - 1]
        self.blocks.append(Block(first.start, last.end, kind, self._headings.path))
        return stop

    def _text(self, position: int) -> str:
        return self._lines[position].text if position < len(self._lines) else ""

    def _heading_end(self, position: int) -> int:
        """Return the position after the heading that starts here, 0 where none does."""
        first, second, third = (self._text(position + offset) for offset in range(3))
        if _ADORNMENT.match(first):
            overlined = second.strip() and _ADORNMENT.match(third) and third.rstrip() == first.rstrip()
            return position + 3 if overlined else 0
        is_title = not first[0].isspace() and _ADORNMENT.match(second)
        return position + 2 if is_title and len(second.rstrip()) >= min(3, len(first.rstrip())) else 0

    def _heading(self, position: int, stop: int) -> int:
        overlined = stop - position == 3
        style = self._text(stop - 1)[0] * (2 if overlined else 1)
        if style not in self._styles:
            self._styles.append(style)
        title = _plain(self._text(position + 1 if overlined else position))
        self.title = self.title or title
        self._headings.enter(self._styles.index(style) + 1, title)
        return self._add(BlockKind.HEADING, position, stop)

    def _indented_end(self, position: int, indent: int) -> int:
        """Return the position after the lines indented by `indent` or more, with blank lines between."""
        stop = position
        for index in range(position, len(self._lines)):
            if not self._lines[index].blank:
                if _indent(self._lines[index]) < indent:
                    break
                stop = index + 1
        return stop

    def _table_end(self, position: int) -> int:
        """Return the position after a table; a simple one may hold blank lines and ends at its last ruler."""
        stop = self._paragraph_end(position)
        if self._text(position).lstrip().startswith("+"):
            return stop
        rulers = 0
        for index in range(position, len(self._lines)):
            rulers += _TABLE.match(self._text(index)) is not None
            if rulers == 3 or (rulers == 2 and index + 1 < len(self._lines) and self._lines[index + 1].blank):
                return max(stop, index + 1)
            if self._lines[index].blank and self._lines[index - 1].blank:
                break
        return stop

    def _paragraph_end(self, position: int) -> int:
        for index in range(position + 1, len(self._lines)):
            line = self._lines[index]
            if line.blank or LIST_ITEM.match(line.text):
                return index
        return len(self._lines)
