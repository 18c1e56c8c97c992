"""A token counter without a model: words, single CJK characters, single marks."""

from __future__ import annotations

import re
from pathlib import Path

from edgecli.documents.chunk import chunk_document
from edgecli.documents.read import read_document
from edgecli.documents.schema import Chunk, Document

_TOKEN = re.compile(r"[\u3040-\u9fff\uac00-\ud7a3]|[^\W_\u3040-\u9fff\uac00-\ud7a3]+|[^\w\s]|_")


class WordCounter:
    def offsets(self, text: str) -> list[tuple[int, int]]:
        return [found.span() for found in _TOKEN.finditer(text)]


def document_of(folder: Path, name: str, content: str | bytes) -> Document:
    """Write a file and read it as a document."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return read_document(path, max_bytes=50_000_000)


def chunks_of(document: Document, size: int = 60, overlap: int = 0) -> list[Chunk]:
    """Chunk by words and check what every chunk must keep to."""
    counter = WordCounter()
    chunks = chunk_document(document, tokens=counter, chunk_tokens=size, overlap_tokens=overlap)
    for index, chunk in enumerate(chunks):
        assert chunk.index == index
        assert document.text[chunk.start : chunk.end] == chunk.text
        assert chunk.text == chunk.text.strip() != ""
        assert len(counter.offsets(chunk.text)) <= size
        assert re.search(r"[^\W_]|[\u2600-\u27bf\U0001f000-\U0001faff]", chunk.text)
    assert [chunk.start for chunk in chunks] == sorted(chunk.start for chunk in chunks)
    return chunks
