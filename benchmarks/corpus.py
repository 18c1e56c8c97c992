"""Real English text that every Python brings along: the language reference inside `pydoc_data`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def paragraphs() -> Iterator[str]:
    """Yield the paragraphs of the language reference, over and over, each time with another number."""
    from pydoc_data.topics import topics

    texts = [part.strip() for text in topics.values() for part in str(text).split("\n\n") if len(part) > 80]
    turn = 0
    while True:
        turn += 1
        yield from (f"{text}\n\nEdition {turn}." if turn > 1 else text for text in texts)


def write_files(folder: Path, files: int, *, paragraphs_each: int) -> None:
    """Write a folder of Markdown files with headings."""
    folder.mkdir(parents=True, exist_ok=True)
    source = paragraphs()
    for number in range(files):
        body = "\n\n".join(f"## Part {part}\n\n{next(source)}" for part in range(paragraphs_each))
        (folder / f"page-{number:05}.md").write_text(f"# Page {number}\n\n{body}\n", encoding="utf-8")
