"""Tables of an HTML page as Markdown tables."""

from __future__ import annotations

from typing import Any

_NOT_IN_DATA = ("table", "h1", "h2", "h3", "h4", "pre", "ul", "ol", "dl", "blockquote", "form")
_BREAKS = ("br", "p", "div", "li", "img")


def markdown_table(table: Any) -> str | None:
    """Return the table in Markdown, None where it is there for the layout and its cells are ordinary text."""
    if next(table.iterdescendants(*_NOT_IN_DATA), None) is not None:
        return None
    rows: list[list[str]] = []
    for row in table.iter("tr"):
        cells = _cells(row)
        if any(cells):
            rows.append(cells)
    width = max(map(len, rows), default=0)
    if width < 2 or len(rows) < 2:
        return None
    lines = ["| " + " | ".join(row + [""] * (width - len(row))) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" * width)
    caption = table.find("caption")
    if caption is not None and (title := _text(caption)):
        return f"{title}\n\n" + "\n".join(lines)
    return "\n".join(lines)


def _cells(row: Any) -> list[str]:
    cells: list[str] = []
    for cell in row.iterchildren("td", "th"):
        cells.append(_text(cell).replace("|", "\\|"))
        span = cell.get("colspan", "1")
        if span.isdecimal():
            cells.extend([""] * (min(int(span), 50) - 1))
    return cells


def _text(cell: Any) -> str:
    glue = " " if next(cell.iterdescendants(*_BREAKS), None) is not None else ""
    return " ".join(glue.join(cell.itertext()).split())
