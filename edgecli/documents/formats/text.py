"""Plain text: paragraphs; and logs, where each line stands for itself."""

from __future__ import annotations

from edgecli.documents.formats.lines import LIST_ITEM, Line, lines_of
from edgecli.documents.schema import MAX_LABEL, Block, BlockKind, Parsed

_WRAPPED = 120
"""Characters; a longer line is a paragraph of its own, not a part of a wrapped one."""


def parse(source: str) -> Parsed:
    """Find the paragraphs of a plain text, by blank lines, indents and, in CJK text, line ends."""
    lines = lines_of(source)
    blocks: list[Block] = []
    paragraph: list[Line] = []
    for line in lines:
        if paragraph and (line.blank or _starts_paragraph(paragraph[-1], line)):
            blocks.append(_block(paragraph))
            paragraph = []
        if not line.blank:
            paragraph.append(line)
    if paragraph:
        blocks.append(_block(paragraph))
    return Parsed(_first_line(lines), source, blocks)


def parse_lines(source: str) -> Parsed:
    """Take a log: one block that is cut between lines."""
    return Parsed("", source, [Block(0, len(source), BlockKind.CODE)])


def _starts_paragraph(before: Line, line: Line) -> bool:
    return (
        line.text[0] in " \t\u3000"
        or len(before.text) > _WRAPPED
        or before.text.rstrip()[-1] in "。！？…：」”"
        or LIST_ITEM.match(line.text) is not None
    )


def _block(lines: list[Line]) -> Block:
    kind = BlockKind.ITEM if LIST_ITEM.match(lines[0].text) else BlockKind.PARAGRAPH
    return Block(lines[0].start, lines[-1].end, kind)


def _first_line(lines: list[Line]) -> str:
    first = next((line.text.strip() for line in lines if not line.blank), "")
    return first if len(first) <= MAX_LABEL else ""
