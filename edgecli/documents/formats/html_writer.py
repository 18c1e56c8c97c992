"""Write a tree of HTML as Markdown, and keep where each block of it lies."""

from __future__ import annotations

import re
from typing import Any

from edgecli.documents.formats.html_table import markdown_table
from edgecli.documents.formats.lines import HeadingStack
from edgecli.documents.schema import Block, BlockKind

_INLINE_WORDS = """
    a abbr acronym b bdi bdo big cite code data del dfn em font i img ins kbd label mark math mi mn mo
    mrow msub msup nobr q rb rtc ruby s samp small span strike strong sub sup time tt u var wbr
"""
INLINE = frozenset(_INLINE_WORDS.split())
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BREAK = "\0"
"""Stands for `<br>` until white space is collapsed; a parsed page holds no NUL."""
_DEEPEST_INDENT = 6
_WRAPPERS = frozenset(("div", "p", "center", "header", "hgroup", "section"))
"""Blocks that, inside a heading, are there for its looks."""
# A line break between two Chinese or Japanese characters is none: their words are not set apart by spaces.
_CJK_BREAK = re.compile(
    r"(?<=[\u3000-\u30ff\u3400-\u9fff\uff00-\uff65])\s*\n\s*(?=[\u3000-\u30ff\u3400-\u9fff\uff00-\uff65])"
)
_PERMALINK = "¶#§🔗 "
_LANGUAGE = re.compile(r"(?:^|\s)(?:language|lang|highlight|brush|source)[-:]\s*(?:source-)?([\w+#.-]+)")


class MarkdownWriter:
    """Takes the starts, ends and texts of elements in document order."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.blocks: list[Block] = []
        self.first_h1 = ""
        self._length = 0
        self._inline: list[str] = []
        self._headings = HeadingStack()
        self._lists: list[int | None] = []
        """For each open list the number of the next item, None where items have no numbers."""
        self._marker: str | None = None
        """What the next paragraph starts with, where it is the first one of a list item."""
        self._term = ""
        self._quotes = 0
        self._pre = 0
        self._heading = 0
        """Level of the heading that is open, 0 outside of one."""

    def text(self, text: str) -> None:
        self._inline.append(text)

    def start(self, tag: str, element: Any) -> bool:
        """Open an element; return False where it has been written whole already."""
        if tag in INLINE:
            self._start_inline(tag, element)
        elif self._pre:
            self._pre += tag == "pre"
        elif tag == "br":
            self._inline.append(_BREAK)
        elif self._heading and tag in _WRAPPERS:
            self._inline.append(" ")
        else:
            self._end_heading()
            self._paragraph()
            return self._start_block(tag, element)
        return True

    def end(self, tag: str, element: Any) -> None:
        if tag in INLINE:
            return
        if self._pre:
            self._end_in_pre(tag, element)
        elif tag in _HEADINGS:
            self._end_heading()
        elif self._heading and tag in _WRAPPERS:
            self._inline.append(" ")
        elif tag == "dt":
            self._term = f"{self._term}\n{self._collapsed()}".strip()
        elif tag != "br":
            self._paragraph()
            self._end_block(tag)

    def finish(self) -> str:
        """Return the whole text."""
        self._end_heading()
        self._paragraph()
        self._open_term()
        return "".join(self.parts)

    def _start_inline(self, tag: str, element: Any) -> None:
        if tag == "img":
            alt = element.get("alt")
            if alt:
                self._inline.append(f" {alt} ")
        elif tag == "sup" and (element.text or "")[:1].isalnum() and self._inline and self._inline[-1][-1:].isalnum():
            # Without the mark, ten to the sixth would read 106.
            self._inline.append("^")

    def _start_block(self, tag: str, element: Any) -> bool:
        if tag in _HEADINGS:
            self._heading = _HEADINGS[tag]
        elif tag == "pre":
            self._pre = 1
        elif tag == "table":
            table = markdown_table(element)
            if table is not None:
                self._write(table, BlockKind.TABLE)
                return False
        elif tag in ("ul", "ol", "menu", "dir"):
            first = element.get("start", "1")
            self._lists.append(None if tag != "ol" else int(first) if first.isdecimal() else 1)
        elif tag == "li":
            self._marker = self._next_marker()
        elif tag == "dd":
            self._marker = ": "
        elif tag == "blockquote":
            self._quotes += 1
        return True

    def _end_block(self, tag: str) -> None:
        if tag in ("ul", "ol", "menu", "dir"):
            if self._lists:
                self._lists.pop()
        elif tag in ("li", "dd"):
            self._marker = None
        elif tag == "dl":
            self._open_term()
        elif tag == "blockquote":
            self._quotes -= 1

    def _next_marker(self) -> str:
        number = self._lists[-1] if self._lists else None
        if number is None:
            return "- "
        self._lists[-1] = number + 1
        return f"{number}. "

    def _collapsed(self) -> str:
        text = "".join(self._inline)
        self._inline.clear()
        if "\n" in text and not text.isascii():
            text = _CJK_BREAK.sub("", text)
        if _BREAK in text:
            lines = (" ".join(line.split()) for line in text.split(_BREAK))
            return "\n".join(line for line in lines if line)
        return " ".join(text.split())

    def _paragraph(self) -> None:
        if not self._inline:
            return
        text = self._collapsed()
        if not text:
            return
        listed = bool(self._lists) or self._marker is not None
        if self._quotes:
            text = "> " + text.replace("\n", "\n> ")
        if listed:
            text = self._as_item(text)
        self._write(text, BlockKind.ITEM if listed else BlockKind.PARAGRAPH)

    def _as_item(self, text: str) -> str:
        indent = "  " * min(max(len(self._lists) - 1, 0), _DEEPEST_INDENT)
        marker = "  " if self._marker is None else self._marker
        self._marker = None
        item = indent + marker + text.replace("\n", f"\n{indent}  ")
        if marker == ": " and self._term:
            item = f"{self._term}\n{item}"
            self._term = ""
        return item

    def _open_term(self) -> None:
        """Write a term that no definition came for."""
        if self._term:
            term, self._term = self._term, ""
            self._write(term, BlockKind.ITEM)

    def _end_heading(self) -> None:
        """Write the heading that is open; a list or table inside it ends it as its own end does."""
        level, self._heading = self._heading, 0
        if not level:
            return
        title = self._collapsed().replace("\n", " ").rstrip(_PERMALINK)
        if not title:
            return
        if level == 1 and not self.first_h1:
            self.first_h1 = title
        self._open_term()
        self._headings.enter(level, title)
        self._write("#" * level + " " + title, BlockKind.HEADING)

    def _end_in_pre(self, tag: str, element: Any) -> None:
        if tag == "br" or (tag in ("div", "p", "li", "tr") and not "".join(self._inline[-1:]).endswith("\n")):
            self._inline.append("\n")
        if tag != "pre":
            return
        self._pre -= 1
        code = "".join(self._inline).replace("\r\n", "\n").strip("\n").rstrip() if not self._pre else ""
        if not self._pre:
            self._inline.clear()
        if code:
            longest = max((len(run) for run in re.findall("`{3,}", code)), default=2)
            fence = "`" * (longest + 1)
            self._write(f"{fence}{_language(element)}\n{code}\n{fence}", BlockKind.CODE)

    def _write(self, text: str, kind: BlockKind) -> None:
        if self.parts:
            tight = kind is BlockKind.ITEM and self.blocks[-1].kind is BlockKind.ITEM
            separator = "\n" if tight else "\n\n"
            self.parts.append(separator)
            self._length += len(separator)
        self.parts.append(text)
        self.blocks.append(Block(self._length, self._length + len(text), kind, self._headings.path))
        self._length += len(text)


def _language(pre: Any) -> str:
    candidates = [pre, *pre.iterancestors("div")][:3]
    for element in candidates:
        found = _LANGUAGE.search(element.get("class", ""))
        if found:
            return found[1]
    return ""
