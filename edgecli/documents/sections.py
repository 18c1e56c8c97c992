"""Group a document's blocks into sections, and small sections into groups that share a chunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from edgecli.documents.schema import Block, BlockKind
from edgecli.documents.tokens import TokenIndex

TINY = 4
"""A section, or a chunk, of less than one part in `TINY` of a chunk looks for company."""


@dataclass(slots=True)
class Section:
    """Blocks that follow each other under one heading path, with the headings that introduce them."""

    path: tuple[str, ...]
    blocks: list[Block]
    depth: int
    """The longest heading path inside; longer than `path` where sections were merged."""

    @property
    def start(self) -> int:
        return self.blocks[0].start

    @property
    def end(self) -> int:
        return self.blocks[-1].end


def split_sections(blocks: Sequence[Block], tokens: TokenIndex, size: int) -> list[Section]:
    """Cut the blocks where a heading stands or the heading path changes.

    No section is only headings: a heading without text of its own goes to the text that follows it, and one
    at the end of the document to the text before it.
    """
    sections: list[Section] = []
    headings: list[Block] = []
    for block in _demote_outlines(blocks, tokens, size):
        if block.kind is BlockKind.HEADING:
            headings.append(block)
        elif headings or not sections or sections[-1].path != block.path:
            sections.append(Section(block.path, [*headings, block], len(block.path)))
            headings = []
        else:
            sections[-1].blocks.append(block)
    if headings:
        sections[-1].blocks.extend(headings)
    return sections


def _demote_outlines(blocks: Sequence[Block], tokens: TokenIndex, size: int) -> list[Block]:
    """Turn headings into text where they are the text: an outline, or a heading as long as a paragraph."""
    result: list[Block] = []
    for is_heading, run in groupby(blocks, lambda block: block.kind is BlockKind.HEADING):
        found = list(run)
        if is_heading:
            half = size // 2
            found = [_as_text(b) if tokens.count(b.start, b.end) > half else b for b in found]
            if tokens.count(found[0].start, found[-1].end) > half:
                found = [*map(_as_text, found[:-1]), found[-1]]
        result.extend(found)
    if all(block.kind is BlockKind.HEADING for block in result):
        return [_as_text(block) for block in result]
    return result


def _as_text(block: Block) -> Block:
    return block._replace(kind=BlockKind.PARAGRAPH)


def merge_small(sections: Sequence[Section], tokens: TokenIndex, size: int) -> list[Section]:
    """Join neighbours of which one is tiny, where together they fit and one heading path covers them."""
    merged: list[Section] = []
    for section in sections:
        if merged and _belong_together(merged[-1], section, tokens, size):
            last = merged[-1]
            depth = max(last.depth, section.depth)
            merged[-1] = Section(_common(last.path, section.path), [*last.blocks, *section.blocks], depth)
        else:
            merged.append(section)
    return merged


def _belong_together(left: Section, right: Section, tokens: TokenIndex, size: int) -> bool:
    if tokens.count(left.start, right.end) > size:
        return False
    smaller = min(tokens.count(left.start, left.end), tokens.count(right.start, right.end))
    if smaller * TINY >= size:
        return False
    common = len(_common(left.path, right.path))
    shallower = min(len(left.path), len(right.path))
    return common >= shallower - 1 and (common > 0 or max(left.depth, right.depth) <= 1)


def _common(left: tuple[str, ...], right: tuple[str, ...]) -> tuple[str, ...]:
    length = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        length += 1
    return left[:length]
