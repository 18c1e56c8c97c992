"""What a file is read into, and what its text is cut into."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, NamedTuple

from edgecli.errors import EdgeError

PIPELINE_VERSION = 1
"""Goes up whenever the same file could give other text or other chunks than before."""

MAX_LABEL = 120
"""Characters of one heading in a heading path; a longer one is cut."""

Scalar = str | int | float | bool


class BlockKind(StrEnum):
    """What a block is; it decides where the block may be cut when it does not fit into a chunk."""

    HEADING = "heading"
    PARAGRAPH = "paragraph"
    """Prose: cut between sentences."""
    ITEM = "item"
    """A list item: prose as well."""
    CODE = "code"
    """Cut between lines, at blank lines first."""
    TABLE = "table"
    """Cut between rows, which are lines."""
    ROW = "row"
    """One record of data; several share a chunk."""


class Block(NamedTuple):
    """One piece of a document's structure: `text[start:end]`, in reading order, never overlapping."""

    start: int
    end: int
    kind: BlockKind
    path: tuple[str, ...] = ()
    """The headings that the block lies under, outermost first; a heading ends its own path."""
    page: int | None = None
    """Page of a PDF, counted from 1."""


class Parsed(NamedTuple):
    """What the parser of one format finds."""

    title: str
    """Empty where the text has none."""
    text: str
    blocks: list[Block]
    metadata: dict[str, Scalar] = {}  # noqa: RUF012 -- a NamedTuple's default, never written to
    note: str = ""
    """What the user may want to know of how the text was read."""


@dataclass(frozen=True, slots=True)
class Document:
    """One file's text and structure."""

    title: str
    text: str
    """The decoded file itself, or, for HTML and PDF, the Markdown that was extracted from it."""
    format: str
    """`markdown`, `text`, `html`, `pdf`, `rst`, `code`, `csv` or `json`."""
    encoding: str | None
    """Python's name of the encoding the file was decoded with; None for a PDF."""
    blocks: tuple[Block, ...] = ()
    metadata: dict[str, Scalar] = field(default_factory=dict[str, Scalar])
    """The flat scalars of a Markdown file's front matter."""
    note: str = ""
    """What the user may want to know of how the file was read."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One piece of a document, small enough to embed: `document.text[start:end] == text`."""

    index: int
    text: str
    heading: str
    """The heading path, joined with ` > `; empty where there is none."""
    start: int
    end: int
    """Offsets into `Document.text`, in characters."""
    tokens: int
    page: int | None = None
    """Page of a PDF on which the chunk starts, counted from 1."""


class DocumentError(EdgeError):
    """Report that a file cannot be read as a document.

    Codes: `empty`, `binary`, `too_large`, `encrypted`, `malformed`, `unreadable`, `unsupported`.
    """

    default_status: ClassVar[int] = 422
    default_code: ClassVar[str] = "unreadable"


def label(text: str) -> str:
    """Return a heading's text as one short line for a heading path."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_LABEL else line[: MAX_LABEL - 1].rstrip() + "…"
