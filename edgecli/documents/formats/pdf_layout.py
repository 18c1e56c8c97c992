"""Make paragraphs of the lines of PDF pages."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterator

_EDGE = 2
"""Lines at the top and at the bottom of a page that may be furniture."""
_FEWEST_PAGES = 3
_LONGEST_FURNITURE = 90
_NUMBER = re.compile(r"\d+|\b[ivxlc]+\b")
_NUMBER_AT_START = re.compile(r"(\d{1,4})(?!\d|\.\d)")
_NUMBER_AT_END = re.compile(r"(?<![\d.])(\d{1,4})$")
_LEADERS = re.compile(r"(?: ?[.·…]){4,} ?")
"""The dots between an entry of a table of contents and its page."""
_LEADER = " … "
_SECTION_NUMBER = re.compile(r"^\d+(?:\.\d+)*\.?")
_NUMBERED = re.compile(r"(\d{1,2}(?:\.\d{1,2}){1,4})\.? +[^\W\d_][^…]{1,70}(?<![.,;:。，；：])")
_PAGE_NUMBER = re.compile(
    r"[-–—\s|]*(?:page|seite|第)?\s*(?:\d{1,4}|[ivxlc]{1,7})\s*(?:页|頁|ページ)?\s*(?:(?:of|von|/|共)\s*\d{1,4}\s*(?:页|頁)?)?[-–—\s|]*",
    re.IGNORECASE,
)
# PDFium marks a hyphen that only breaks a word by U+FFFE or U+0002.
_SOFT_HYPHENS = ("\ufffe", "\x02", "\u00ad")
_ENDS = tuple(".!?:;。！？：；…”」』)）")
_BULLET = re.compile(r"(?:[•●▪◦‣·–-]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s+\S")
_SHORT = 0.75
"""Share of a page's usual line width; a shorter line that ends a sentence ends its paragraph."""


def page_lines(text: str) -> list[str]:
    """Return the lines of a page without spaces at their ends; an empty line stays as a mark of a gap."""
    return [_LEADERS.sub(_LEADER, " ".join(line.split())).strip() for line in text.replace("\0", "").splitlines()]


def heading_key(text: str) -> str:
    """Return what a line and a bookmark's title have in common; either may lack the section's number."""
    key = "".join(text.split()).casefold()
    return _SECTION_NUMBER.sub("", key) or key


def section_level(line: str) -> int:
    """Return the depth of a heading like `2.3 Naming` by its number, 0 for a line that is none."""
    found = _NUMBERED.fullmatch(line)
    return found[1].count(".") + 1 if found else 0


def is_item(paragraph: str) -> bool:
    """Tell a bullet, or an entry of a table of contents."""
    return _BULLET.match(paragraph) is not None or _LEADER in paragraph


def drop_furniture(pages: list[list[str]]) -> list[list[str]]:
    """Remove page numbers and running heads.

    These are lines at a page's edge that most pages have (numbers in them may differ), or that several pages
    have beside a number which counts the pages.
    """
    pages = [lines if any(lines) else [] for lines in pages]
    repeated: set[str] = set()
    shift: int | None = None
    if len(pages) >= _FEWEST_PAGES:
        edges = [[lines[index] for index in _edge(lines)] for lines in pages]
        counts = Counter(key for lines in edges for key in set(map(_key, lines)))
        repeated = {key for key, count in counts.items() if count * 2 > len(pages)}
        shift = _page_shift(edges)
        if shift is not None:
            numbered = (_key(line) for page, lines in enumerate(edges) for line in lines if _shift(line, page) == shift)
            repeated |= {key for key, count in Counter(numbered).items() if count > 1}
    return [_without(lines, repeated) for lines in pages]


def _shift(line: str, page: int) -> int | None:
    """Return how far the number at an end of the line is from the page's position in the file."""
    start, end = _NUMBER_AT_START.match(line), _NUMBER_AT_END.search(line)
    found = end or start
    return int(found[1]) - page if found else None


def _page_shift(edges: list[list[str]]) -> int | None:
    """Return the difference of printed and real page numbers, None where pages are not numbered."""
    shifts = Counter(
        shift
        for page, lines in enumerate(edges)
        for shift in {_shift(line, page) for line in lines}
        if shift is not None
    )
    best, count = max(shifts.items(), key=lambda item: item[1], default=(0, 0))
    return best if count * 2 > len(edges) else None


def _without(lines: list[str], repeated: set[str]) -> list[str]:
    edge = _edge(lines)
    outermost = {edge[0], edge[-1]} if edge else set[int]()
    dropped = {
        index
        for index in edge
        if (len(lines[index]) <= _LONGEST_FURNITURE and _key(lines[index]) in repeated)
        or (index in outermost and _PAGE_NUMBER.fullmatch(lines[index]))
    }
    return [line for index, line in enumerate(lines) if index not in dropped]


def _edge(lines: list[str]) -> list[int]:
    filled = [index for index, line in enumerate(lines) if line]
    return sorted({*filled[:_EDGE], *filled[-_EDGE:]})


def _key(line: str) -> str:
    return _NUMBER.sub("#", line).casefold()


def paragraphs(lines: list[str], stops: Container[str]) -> Iterator[str]:
    """Join lines into paragraphs; a heading stays alone: a line whose key is in `stops`, or a numbered one.

    A paragraph ends at a gap, before a bullet, and after a short line that ends a sentence.
    """
    widths = sorted(len(line) for line in lines if line)
    usual = widths[len(widths) * 4 // 5] if widths else 0
    open_lines: list[str] = []
    for line in lines:
        alone = heading_key(line) in stops or section_level(line) > 0 or _LEADER in line
        if open_lines and (not line or alone or _BULLET.match(line) or _ends_paragraph(open_lines[-1], usual)):
            yield _joined(open_lines)
            open_lines = []
        if alone and line:
            yield line
        elif line:
            open_lines.append(line)
    if open_lines:
        yield _joined(open_lines)


def _ends_paragraph(line: str, usual: int) -> bool:
    return len(line) < usual * _SHORT and line.endswith(_ENDS)


def _joined(lines: list[str]) -> str:
    text = lines[0]
    for line in lines[1:]:
        if text.endswith(_SOFT_HYPHENS) or _breaks_word(text, line):
            text = text[:-1] + line
        elif _is_cjk(text[-1]) and _is_cjk(line[0]):
            text += line
        else:
            text += " " + line
    for mark in _SOFT_HYPHENS:
        text = text.replace(mark, "")
    return text


def _breaks_word(text: str, line: str) -> bool:
    return text.endswith("-") and text[-2:-1].isalpha() and line[:1].islower()


def _is_cjk(character: str) -> bool:
    return "\u3000" <= character <= "\u9fff" or "\uff00" <= character <= "\uffef"
