"""CSV and TSV: one block a record, the column names as its heading. The text stays as it is."""

from __future__ import annotations

import csv
import re

from edgecli.documents.formats.lines import Line, lines_of
from edgecli.documents.schema import Block, BlockKind, Parsed, label

_DELIMITERS = (",", "\t", ";", "|")
_VALUE = re.compile(r"[-+]?[\d.,:/\s%$€¥£-]+|true|false|null|nan|", re.IGNORECASE)


def parse(source: str) -> Parsed:
    """Find the records of a table; a quoted field may hold line breaks."""
    records = _records([line for line in lines_of(source) if not line.blank])
    if not records:
        return Parsed("", source, [])
    first_start, first_end = records[0]
    columns = _header(source[first_start:first_end])
    path = (label(", ".join(columns)),) if columns else ()
    return Parsed("", source, [Block(start, end, BlockKind.ROW, path) for start, end in records])


def _records(lines: list[Line]) -> list[tuple[int, int]]:
    records: list[tuple[int, int]] = []
    start, quotes = 0, 0
    for line in lines:
        if quotes % 2 == 0:
            start, quotes = line.start, 0
        quotes += line.text.count('"')
        if quotes % 2 == 0:
            records.append((start, line.end))
    if quotes % 2:
        # A quote that never closes is a stray one: from there on each line is a record.
        records.extend((line.start, line.end) for line in lines if line.start >= start)
    return records


def _header(record: str) -> list[str]:
    """Return the column names, none where the first record holds values."""
    delimiter = max(_DELIMITERS, key=record.count)
    try:
        cells = next(csv.reader(record.splitlines(), delimiter=delimiter), [])
    except csv.Error:
        return []
    names = [cell.strip() for cell in cells]
    if any(_VALUE.fullmatch(name) for name in names[:-1]) or len(set(names)) < len(names):
        return []
    return [name for name in names if name]
