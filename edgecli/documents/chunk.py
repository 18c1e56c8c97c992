"""Cut a document into chunks: at headings first, then between blocks, sentences, words, tokens."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence

from edgecli.documents.packing import pack
from edgecli.documents.schema import Block, Chunk, Document
from edgecli.documents.sections import merge_small, split_sections
from edgecli.documents.tokens import TokenCounter, TokenIndex
from edgecli.documents.units import section_units

__all__ = ["TokenCounter", "chunk_document"]

# Letters, digits and pictographs; a chunk without any (a ruler, a row of dots) finds nothing.
_MEANING = re.compile(r"[^\W_]|[\u2600-\u27bf\U0001f000-\U0001faff]")


def chunk_document(document: Document, *, tokens: TokenCounter, chunk_tokens: int, overlap_tokens: int) -> list[Chunk]:
    """Cut the document into chunks of at most `chunk_tokens` tokens, in reading order.

    A chunk belongs to one section, or to several small neighbours that fit together; its heading is the path
    they have in common. Where a section needs several chunks, each one starts with the last whole sentences
    of the one before, up to `overlap_tokens`. Only a single character of more tokens exceeds the cap.
    Raises ValueError for a cap below 1 or an overlap that is negative or not below the cap.
    """
    if chunk_tokens < 1 or not 0 <= overlap_tokens < chunk_tokens:
        raise ValueError(f"chunk_tokens is {chunk_tokens}, overlap_tokens {overlap_tokens}: want 0 <= overlap < chunk")
    text = document.text
    blocks = [block for block in document.blocks if _MEANING.search(text, block.start, block.end)]
    if not blocks:
        return []
    index = TokenIndex(text, tokens)
    sections = merge_small(split_sections(blocks, index, chunk_tokens), index, chunk_tokens)
    chunks: list[Chunk] = []
    for section in sections:
        heading = " > ".join(section.path)
        if index.count(section.start, section.end) <= chunk_tokens:
            spans = [(section.start, section.end)]
        else:
            units = section_units(text, section.blocks, index, chunk_tokens)
            spans = pack(text, units, index, chunk_tokens, overlap_tokens)
        for start, end in spans:
            _append(chunks, document, start, end, heading, index)
    return chunks


def _append(chunks: list[Chunk], document: Document, start: int, end: int, heading: str, index: TokenIndex) -> None:
    piece = document.text[start:end]
    start += len(piece) - len(piece.lstrip())
    piece = piece.strip()
    if _MEANING.search(piece):
        end = start + len(piece)
        page = _page_at(document.blocks, start)
        chunks.append(Chunk(len(chunks), piece, heading, start, end, index.count(start, end), page))


def _page_at(blocks: Sequence[Block], position: int) -> int | None:
    found = bisect_right(blocks, position, key=lambda block: block.start)
    return blocks[max(0, found - 1)].page
