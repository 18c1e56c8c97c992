"""Read a file as a document."""

from __future__ import annotations

import stat
from pathlib import Path, PurePath

from edgecli.documents.encoding import decode
from edgecli.documents.schema import Document, DocumentError, Parsed
from edgecli.documents.signatures import PDF, binary_kind
from edgecli.documents.suffixes import LINES, format_of, suffix_of, supported

__all__ = ["check_document", "parse_document", "read_document", "supported"]

_HEAD = 64 << 10
"""Bytes that show most binary files; even, as UTF-16 has two a character."""


def read_document(path: Path, *, max_bytes: int) -> Document:
    """Read and parse one file of at most `max_bytes` bytes.

    Raises DocumentError, whose code says why the file cannot be used: `too_large`, `unreadable` or `unsupported`, or
    one of those of `parse_document`.
    """
    return parse_document(_read_bytes(path, max_bytes), path)


def parse_document(data: bytes, path: PurePath) -> Document:
    """Parse what a file of the name `path` holds.

    The name decides how the text is parsed; a PDF is known by its first bytes, and a file of unknown kind is
    taken as text if it is text. One without any text is a document without blocks. Raises DocumentError, whose code
    says why the file cannot be used: `empty` (a PDF of images), `binary`, `encrypted` or `malformed`.
    """
    if not data.strip():
        return _empty(path)
    if data.startswith(PDF) or format_of(path) == "pdf":
        from edgecli.documents.formats import pdf

        parsed = pdf.parse(data, path.name)
        return Document(parsed.title or path.stem, parsed.text, "pdf", None, tuple(parsed.blocks))
    kind = binary_kind(data)
    decoded = None if kind else decode(data, markup=format_of(path) == "html")
    if decoded is None:
        raise _binary(path, kind)
    text, encoding = decoded
    name = format_of(path) or "text"
    parsed = _parse(name, text, suffix_of(path))
    if not parsed.blocks or not parsed.text.strip():
        return _empty(path)
    title = parsed.title or (path.name if name == "code" else path.stem)
    return Document(title, parsed.text, name, encoding, tuple(parsed.blocks), parsed.metadata, parsed.note)


def check_document(path: Path, *, max_bytes: int) -> None:
    """Raise the DocumentError that a file's size, its rights or its first bytes show already.

    A damaged or encrypted PDF, or a text that turns binary further down, only `read_document` finds.
    """
    head = _read_bytes(path, max_bytes, only=_HEAD)
    if not head.startswith(PDF) and format_of(path) != "pdf":
        kind = binary_kind(head)
        if kind or (b"\0" in head and decode(head, markup=False) is None):
            raise _binary(path, kind)


def _read_bytes(path: Path, max_bytes: int, *, only: int | None = None) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DocumentError(
                f"`{path.name}` is no regular file", hint="Only files can be ingested.", code="unsupported"
            )
        if status.st_size > max_bytes:
            raise _too_large(path, status.st_size, max_bytes)
        with path.open("rb") as file:
            data = file.read(max_bytes + 1 if only is None else only)
    except FileNotFoundError as error:
        raise DocumentError(
            f"`{path.name}` vanished before it was read", hint="Run the command again.", code="unreadable"
        ) from error
    except PermissionError as error:
        raise DocumentError(
            f"`{path.name}` may not be read by this user",
            hint=f"Try `chmod u+r {path.name}`.",
            code="unreadable",
        ) from error
    except OSError as error:
        raise DocumentError(
            f"`{path.name}` cannot be read: {error.strerror or error}",
            hint="Check the disk.",
            code="unreadable",
        ) from error
    if len(data) > max_bytes:
        raise _too_large(path, len(data), max_bytes)
    return data


def _parse(name: str, text: str, suffix: str) -> Parsed:
    # Each parser is imported when its first file comes: most runs need one or two.
    if name == "markdown":
        from edgecli.documents.formats import markdown

        return markdown.parse(text)
    if name == "html":
        from edgecli.documents.formats import html

        return html.parse(text)
    if name == "rst":
        from edgecli.documents.formats import rst

        return rst.parse(text)
    if name == "csv":
        from edgecli.documents.formats import csv

        return csv.parse(text)
    if name == "json":
        from edgecli.documents.formats import json

        return json.parse_lines(text) if suffix in LINES else json.parse(text)
    if name == "code":
        from edgecli.documents.formats import code

        return code.parse(text)
    from edgecli.documents.formats import text as plain

    return plain.parse_lines(text) if suffix in LINES else plain.parse(text)


def _empty(path: PurePath) -> Document:
    return Document(path.stem, "", format_of(path) or "text", None)


def _binary(path: PurePath, kind: str | None) -> DocumentError:
    what = kind or "a binary file"
    return DocumentError(
        f"`{path.name}` is {what}, not text",
        hint="Convert it to Markdown, HTML, PDF or plain text first, or leave it out with `--exclude`.",
        code="binary",
    )


def _too_large(path: Path, size: int, max_bytes: int) -> DocumentError:
    return DocumentError(
        f"`{path.name}` has {size:,} bytes; the limit is {max_bytes:,}",
        hint="Split the file, or raise the limit.",
        code="too_large",
        details={"bytes": size, "max_bytes": max_bytes},
    )
