"""Cut the blocks of a section into units that fit: the smallest parts that chunks are packed from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from edgecli.documents.schema import Block, BlockKind
from edgecli.documents.sentences import sentence_ends
from edgecli.documents.tokens import TokenIndex

_PROSE = frozenset((BlockKind.PARAGRAPH, BlockKind.ITEM))
_BLANK_LINES = re.compile(r"\n[^\S\n]*\n\s*")
_LINE_BREAK = re.compile(r"\n")


class Unit(NamedTuple):
    """A part of a section that is never cut again: `text[start:end]`, headings before it included."""

    start: int
    end: int
    body: int
    """Where the text after the headings starts."""
    prose: bool


def section_units(text: str, blocks: Sequence[Block], tokens: TokenIndex, size: int) -> list[Unit]:
    """Return the units of a section, in order; none has more than `size` tokens.

    Headings are glued to what follows them, or, at the end of a document, to what stands before them.
    """
    units: list[Unit] = []
    headings: list[Block] = []
    for block in blocks:
        if block.kind is BlockKind.HEADING:
            headings.append(block)
            continue
        taken = tokens.count(headings[0].start, block.start) if headings else 0
        if taken > size // 2:
            # A ruler of hundreds of signs stands between the headings and their text.
            units.append(_bare(headings))
            headings, taken = [], 0
        prose = block.kind in _PROSE
        for start, end in _fitting(text, block, tokens, size - taken):
            units.append(Unit(headings[0].start if headings else start, end, start, prose))
            headings = []
    if headings:
        _append_headings(units, headings, text, tokens, size)
    return units


def sentences_of(text: str, unit: Unit) -> list[Unit]:
    """Return the unit's sentences, the first with the unit's headings."""
    starts = [unit.body, *sentence_ends(text, unit.body, unit.end)]
    parts = [unit._replace(start=a, body=a, end=b) for a, b in pairwise(starts) if b > a]
    if parts:
        parts[0] = parts[0]._replace(start=unit.start)
    return parts or [unit]


def _bare(headings: list[Block]) -> Unit:
    return Unit(headings[0].start, headings[-1].end, headings[-1].end, False)


def _append_headings(units: list[Unit], headings: list[Block], text: str, tokens: TokenIndex, size: int) -> None:
    """Put the headings that end a document into its last unit, which is cut where they need the room."""
    last, end = units.pop(), headings[-1].end
    room = size - tokens.count(last.end, end)
    if room < size // 2:
        units.extend((last, _bare(headings)))
        return
    if tokens.count(last.start, last.end) > room:
        pieces = list(_windows(text, last.start, last.end, tokens, room))
        units.extend(last._replace(start=a, body=max(a, min(last.body, b)), end=b) for a, b in pieces[:-1])
        last = last._replace(start=pieces[-1][0], body=pieces[-1][0])
    units.append(last._replace(end=end, prose=False))


def _fitting(text: str, block: Block, tokens: TokenIndex, size: int) -> Iterator[tuple[int, int]]:
    if tokens.count(block.start, block.end) <= size:
        yield block.start, block.end
        return
    if block.kind in _PROSE:
        starts = [block.start, *sentence_ends(text, block.start, block.end)]
    elif block.kind is BlockKind.CODE:
        starts = _code_cuts(text, block, tokens, size)
    else:
        starts = _cuts(_LINE_BREAK, text, block.start, block.end)
    for start, end in pairwise(starts):
        yield from _windows(text, start, end, tokens, size)


def _code_cuts(text: str, block: Block, tokens: TokenIndex, size: int) -> list[int]:
    """Cut at blank lines, and between lines where what stands between blank lines does not fit."""
    groups = _cuts(_BLANK_LINES, text, block.start, block.end)
    cuts = [block.start]
    for start, end in pairwise(groups):
        fits = tokens.count(start, end) <= size
        cuts.extend([end] if fits else _cuts(_LINE_BREAK, text, start, end)[1:])
    return cuts


def _cuts(separator: re.Pattern[str], text: str, start: int, end: int) -> list[int]:
    inner = [found.end() for found in separator.finditer(text, start, end)]
    return [start, *(cut for cut in inner if cut < end), end]


def _windows(text: str, start: int, end: int, tokens: TokenIndex, size: int) -> Iterator[tuple[int, int]]:
    """Cut what has no better place to be cut: after a comma or colon, between words, between tokens."""
    while tokens.count(start, end) > size:
        stop = min(tokens.reach(start, size), end)
        late = start + (stop - start) * 3 // 5
        cut = max(text.rfind(mark, late, stop) for mark in "，、,:：;；") + 1
        if not cut:
            cut = max(text.rfind(space, start + 1, stop) for space in " \n\t\u3000") + 1
        yield start, cut or stop
        start = cut or stop
    if start < end:
        yield start, end
