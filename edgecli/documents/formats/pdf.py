"""PDF: the text of each page, with furniture dropped and lines joined into paragraphs."""

from __future__ import annotations

import threading
from typing import Any

from edgecli.documents.formats.lines import HeadingStack
from edgecli.documents.formats.pdf_layout import (
    drop_furniture,
    heading_key,
    is_item,
    page_lines,
    paragraphs,
    section_level,
)
from edgecli.documents.schema import Block, BlockKind, DocumentError, Parsed

# PDFium keeps state in globals: two threads inside it crash the process.
_PDFIUM = threading.Lock()

Bookmark = tuple[int, str]
"""Depth in the outline, from 1, and title."""


def parse(data: bytes, name: str) -> Parsed:
    """Extract the text of a PDF; `name` is what errors call the file.

    Raises DocumentError: `encrypted`, `malformed`, or `empty` where no page has text.
    """
    title, texts, outline = _extract(data, name)
    pages = drop_furniture([page_lines(text) for text in texts])
    if not any(pages):
        raise DocumentError(
            f"`{name}` has {len(texts)} page{'' if len(texts) == 1 else 's'} and no text: it is probably a scan",
            hint="edgecli does not recognise text in images (OCR). Run the file through an OCR tool first.",
            code="empty",
        )
    text, blocks = _assemble(pages, outline)
    first = text[blocks[0].start : blocks[0].end].lstrip("# ").split("\n", 1)[0]
    return Parsed(title or (first if len(first) <= 120 else ""), text, blocks)


def _extract(data: bytes, name: str) -> tuple[str, list[str], dict[int, list[Bookmark]]]:
    import pypdfium2

    with _PDFIUM:
        try:
            pdf = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            raise _unreadable(name, str(error)) from error
        try:
            title = " ".join((pdf.get_metadata_dict().get("Title") or "").split())
            texts = [_page_text(pdf, number) for number in range(len(pdf))]
            return title, texts, _outline(pdf)
        except pypdfium2.PdfiumError as error:
            raise _unreadable(name, str(error)) from error
        finally:
            pdf.close()


def _unreadable(name: str, reason: str) -> DocumentError:
    if "password" in reason.lower():
        return DocumentError(
            f"`{name}` is protected by a password",
            hint="Save a copy without the password, for example with `qpdf --decrypt`, and ingest that.",
            code="encrypted",
        )
    return DocumentError(
        f"`{name}` is no readable PDF: {reason}",
        hint="Open it in a viewer and save it again.",
        code="malformed",
    )


def _page_text(pdf: Any, number: int) -> str:
    page = pdf[number]
    try:
        text_page = page.get_textpage()
        try:
            return text_page.get_text_range()
        finally:
            text_page.close()
    finally:
        page.close()


def _outline(pdf: Any) -> dict[int, list[Bookmark]]:
    """Return the bookmarks by page, counted from 0."""
    found: dict[int, list[Bookmark]] = {}
    for bookmark in pdf.get_toc(max_depth=6):
        target = bookmark.get_dest()
        page = target.get_index() if target else None
        title = bookmark.get_title()
        if page is not None and title:
            found.setdefault(page, []).append((bookmark.level + 1, title))
    return found


def _assemble(pages: list[list[str]], outline: dict[int, list[Bookmark]]) -> tuple[str, list[Block]]:
    """Join the pages; a line that is a bookmark's title, or has a section's number, becomes a heading."""
    parts: list[str] = []
    blocks: list[Block] = []
    headings = HeadingStack()
    length = 0
    for number, lines in enumerate(pages):
        bookmarks = {heading_key(title): (level, title) for level, title in outline.get(number, ())}
        for paragraph in paragraphs(lines, stops=bookmarks.keys()):
            level, title = bookmarks.pop(heading_key(paragraph), (section_level(paragraph), paragraph))
            kind, text = BlockKind.ITEM if is_item(paragraph) else BlockKind.PARAGRAPH, paragraph
            if level:
                kind, text = BlockKind.HEADING, "#" * level + " " + paragraph
                headings.enter(level, title)
            if parts:
                listed = kind is BlockKind.ITEM and blocks[-1].kind is BlockKind.ITEM
                parts.append("\n" if listed else "\n\n")
                length += len(parts[-1])
            parts.append(text)
            blocks.append(Block(length, length + len(text), kind, headings.path, number + 1))
            length += len(text)
    return "".join(parts), blocks
