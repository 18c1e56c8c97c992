"""Tables of an HTML page as Markdown tables."""

from __future__ import annotations

from typing import Any

_NOT_IN_DATA = ("table", "h1", "h2", "h3", "h4", "pre", "ul", "ol", "dl", "blockquote", "form")
_WIDEST = 50
"""Places that one cell spans at most."""
_MOST_COLUMNS = 200
"""A table that is wider is written as text: padded to its width, a small page would fill the memory."""
_BREAKS = ("br", "p", "div", "li", "img")


def markdown_table(table: Any) -> str | None:
    """Return the table in Markdown, None where it is there for the layout and its cells are ordinary text."""
    if next(table.iterdescendants(*_NOT_IN_DATA), None) is not None:
        return None
    rows = _rows(table)
    columns = sorted({column for row in rows for column, text in enumerate(row) if text})
    if len(rows) < 2 or not 2 <= len(columns) <= _MOST_COLUMNS:
        return None
    rows = [[row[column] if column < len(row) else "" for column in columns] for row in rows]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" * len(rows[0]))
    caption = table.find("caption")
    if caption is not None and (title := _text(caption)):
        return f"{title}\n\n" + "\n".join(lines)
    return "\n".join(lines)


def _rows(table: Any) -> list[list[str]]:
    """Return the texts of the cells of each row that has any; a cell that spans places has it in the first."""
    rows: list[list[str]] = []
    reserved: dict[int, int] = {}
    """Column -> further rows that a cell above it covers."""
    for row in table.iter("tr"):
        cells: list[str] = []
        for cell in row.iterchildren("td", "th"):
            _skip(cells, reserved)
            width, height = _span(cell, "colspan"), _span(cell, "rowspan")
            reserved.update((len(cells) + offset, height - 1) for offset in range(width if height > 1 else 0))
            cells.extend((_text(cell).replace("|", "\\|"), *[""] * (width - 1)))
        _skip(cells, reserved)
        if any(cells):
            rows.append(cells)
    return rows


def _skip(cells: list[str], reserved: dict[int, int]) -> None:
    """Leave the places free that a cell of an earlier row covers."""
    while reserved.get(len(cells), 0) > 0:
        reserved[len(cells)] -= 1
        cells.append("")


def _span(cell: Any, name: str) -> int:
    value = cell.get(name, "1")
    return min(max(int(value), 1), _WIDEST) if value.isdecimal() else 1


def _text(cell: Any) -> str:
    glue = " " if next(cell.iterdescendants(*_BREAKS), None) is not None else ""
    return " ".join(glue.join(cell.itertext()).split())
