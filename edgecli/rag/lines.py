"""A passage as its lines: sentences, list items, rows of tables and of CSV, and headings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from edgecli.documents.sentences import sentence_ends
from edgecli.rag.lexical import cjk_share

_BREAK = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*+|#]|\d{1,3}[.)])\s?)")
_LEADING = re.compile(r"^(?:\s*(?:[-*+>]|\d{1,3}[.)])\s+)+")
_RULE = re.compile(r"[\s|:+=_-]+")
_STOP = re.compile(r"[.!?。！？…][\"'”’)）」』*]*$")
_DANGLING = re.compile(r"[\s,;，；、]*(?:\b(?:or|and)|或者?|以及)?[\s,;，；、]*$", re.IGNORECASE)
_POINTS_BACK = re.compile(r"(?:it|they|this|these|those|such)\b|[它这该此其]", re.IGNORECASE)
_COMPARES = re.compile(
    r"\b(?:longer|shorter|higher|lower|larger|smaller|later|earlier|fewer|otherwise)\b(?! than)|更|否则", re.IGNORECASE
)
_EMPHASIS = re.compile(r"\*{2,}|(?<!\w)\*|\*(?!\w)|__+|`+")
MOST_ITEMS = 6
"""Items of a list that are quoted together."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line."""

    text: str
    heading: bool = False
    item: bool = False
    """Whether it begins an item of a list."""
    begins: bool = False
    """Whether it begins a block: a paragraph, an item, a row."""


def read_lines(text: str) -> Iterator[Line]:
    """Yield the lines of a text in Markdown; rules and the heading rows of tables are none."""
    blocks = _BREAK.split(text)
    for block, following in zip(blocks, [*blocks[1:], ""], strict=True):
        if _RULE.fullmatch(block) or (block.startswith("|") and _RULE.fullmatch(following)):
            continue  # a rule, or the heading row of a table above its rule
        if _is_csv(block):
            yield from (Line(row, begins=True) for row in block.splitlines())
            continue
        start, begins = 0, True
        for end in sentence_ends(block, 0, len(block)):
            sentence = " ".join(block[start:end].split())
            start = end
            if any(character.isalnum() for character in sentence):
                item = begins and bool(_LEADING.match(sentence))
                yield Line(sentence, heading=sentence.startswith("#"), item=item, begins=begins)
                begins = False


def _is_csv(block: str) -> bool:
    lines = block.splitlines()
    return len(lines) > 1 and any(all(line.count(mark) >= 2 for line in lines) for mark in ",;\t")


def without_mark(line: str) -> str:
    """Return a line without the mark of its list."""
    return _LEADING.sub("", line)


def is_whole(line: str) -> bool:
    """Tell a sentence with its stop, or a row of a table, from a fragment."""
    return bool(_STOP.search(line.rstrip())) or line.startswith("|")


def leans_on(line: str) -> Literal["", "previous", "first"]:
    """Tell which line one cannot be understood without: the previous one (`It is free …`), or the first of its
    section, which says what holds where nothing is said (`… have a longer window`)."""
    if _POINTS_BACK.match(line):
        return "previous"
    return "first" if _COMPARES.search(line) else ""


def plain(line: str) -> str:
    """Return a line without the marks of emphasis, which would stand between the characters of a word."""
    return _EMPHASIS.sub("", line)


def readable(line: str) -> str:
    """Return a line of Markdown as plain text: no list mark, no emphasis, cells of a table row set apart."""
    plain = without_mark(line).replace("**", "").strip()
    if plain.startswith("|"):
        plain = " · ".join(cell.strip() for cell in plain.strip("|").split("|") if cell.strip())
    return plain


def as_list(opening: str, items: Sequence[str]) -> str:
    """Return the line that introduces a list with items of it, as one sentence."""
    begins = readable(opening.lstrip("#"))
    is_cjk = cjk_share(begins) > 0.5
    if opening.startswith("#"):
        begins += "：" if is_cjk else ":"
    said = [readable(item) for item in items[:MOST_ITEMS]]
    said = [line if is_whole(line) else _DANGLING.sub("", line) for line in said]
    more = ["…"] if len(items) > MOST_ITEMS else []
    return ("" if is_cjk else " ").join([begins, ("；" if is_cjk else "; ").join([*said, *more])])
