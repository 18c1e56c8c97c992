"""Pack the units of one section into chunks of even size, with overlap."""

from __future__ import annotations

from collections.abc import Sequence

from edgecli.documents.sections import TINY
from edgecli.documents.tokens import TokenIndex
from edgecli.documents.units import Unit, sentences_of

Span = tuple[int, int]


def pack(text: str, units: Sequence[Unit], tokens: TokenIndex, size: int, overlap: int) -> list[Span]:
    """Return the chunks of a section that does not fit into one."""
    target = _even_size(tokens.count(units[0].start, units[-1].end), size, overlap)
    waiting = list(reversed(units))
    chunk: list[Unit] = [waiting.pop()]
    start = chunk[0].start
    spans: list[Span] = []
    while waiting:
        unit = waiting.pop()
        filled = tokens.count(start, chunk[-1].end)
        if filled < target and tokens.count(start, unit.end) <= size:
            chunk.append(unit)
            continue
        if filled * TINY < size and unit.prose:
            sentences = sentences_of(text, unit)
            if len(sentences) > 1:
                waiting.extend(reversed(sentences))
                continue
        kept, moved = _announcement(text, chunk, unit, tokens, size)
        spans.append((start, kept[-1].end))
        chunk = [*moved, unit]
        start = _overlap_start(text, kept, chunk, start, tokens, size, overlap)
    spans.append((start, chunk[-1].end))
    return spans


def _even_size(total: int, size: int, overlap: int) -> int:
    """Return the tokens at which a chunk is full enough, so that the last one is not a crumb."""
    parts = max(1, -(-(total - overlap) // (size - overlap)))
    return -(-(total - overlap) // parts) + overlap


def _announcement(
    text: str, chunk: list[Unit], unit: Unit, tokens: TokenIndex, size: int
) -> tuple[list[Unit], list[Unit]]:
    """Keep a short "as follows:" together with what follows it."""
    last = chunk[-1]
    if (
        len(chunk) > 1
        and text[last.start : last.end].rstrip().endswith((":", "："))
        and tokens.count(last.start, last.end) * TINY < size
        and tokens.count(last.start, unit.end) <= size
    ):
        return chunk[:-1], [last]
    return chunk, []


def _overlap_start(
    text: str,
    before: list[Unit],
    chunk: list[Unit],
    before_start: int,
    tokens: TokenIndex,
    size: int,
    overlap: int,
) -> int:
    """Return where a chunk starts that repeats the last whole sentences of the one before.

    At most `overlap` tokens and half of the chunk before; only prose is repeated, never a heading.
    """
    start, end = chunk[0].start, before[-1].end
    allowed = min(overlap, tokens.count(before_start, end) // 2)
    for unit in reversed(before):
        if not unit.prose or tokens.count(unit.end, end) >= allowed:
            break
        for sentence in reversed(sentences_of(text, unit)):
            too_long = tokens.count(sentence.body, end) > allowed
            if too_long or tokens.count(sentence.body, chunk[-1].end) > size:
                return start
            start = sentence.body
        if unit.start < unit.body:
            break
    return start
