"""Source code and configuration: cut at definitions and blank lines. The text stays as it is."""

from __future__ import annotations

from edgecli.documents.formats.definitions import LEADS, defined_name
from edgecli.documents.formats.lines import HeadingStack, Line, lines_of
from edgecli.documents.schema import Block, BlockKind, Parsed

_TAB = 4
_CLOSING = "})]"


def parse(source: str) -> Parsed:
    """Find the blocks of a source file; a block's path names the definitions that enclose it."""
    lines = lines_of(source)
    blocks: list[Block] = []
    headings = HeadingStack()
    group: list[Line] = []
    path: tuple[str, ...] = ()
    for line in lines:
        name = None if line.blank else defined_name(line.text)
        if group and (line.blank or name):
            leads = _leads(group) if name else 0
            _close(blocks, group[: len(group) - leads], path)
            group = group[len(group) - leads :]
        if line.blank:
            continue
        if name:
            path = headings.enter(_level(line.text), name)
        elif not group and line.text.lstrip()[0] not in _CLOSING:
            path = headings.leave(_indent(line.text))
        group.append(line)
    _close(blocks, group, path)
    return Parsed("", source, blocks)


def _indent(line: str) -> int:
    expanded = line.expandtabs(_TAB)
    return len(expanded) - len(expanded.lstrip())


def _level(line: str) -> int:
    """Return a definition's depth; the keys under a `[table]` are not indented and still belong to it."""
    return -1 if line[0] == "[" else _indent(line)


def _leads(group: list[Line]) -> int:
    """Return how many lines at the end of the group are comments or decorators of what comes next."""
    count = 0
    while count < len(group) and LEADS.match(group[-1 - count].text):
        count += 1
    return count


def _close(blocks: list[Block], group: list[Line], path: tuple[str, ...]) -> None:
    if group:
        blocks.append(Block(group[0].start, group[-1].end, BlockKind.CODE, path))
