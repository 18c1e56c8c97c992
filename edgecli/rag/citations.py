"""Citations: cut an answer into statements as it comes, read its markers, and write those that hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from edgecli.rag.evidence import Support
from edgecli.rag.lexical import normalise, terms

_MARKER_PATTERN = r"\s*[\[【](?:source\s*)?({number}(?:\s*[,，、]\s*{number})*)[\]】]".replace("{number}", r"\d{1,3}")
_MARKER = re.compile(_MARKER_PATTERN, re.IGNORECASE)
_SENTENCE_END = re.compile(
    rf"(?<=[.!?])[\"')]*(?:{_MARKER_PATTERN})*\s+|(?<=[。！？；])[”’）」』]*(?:{_MARKER_PATTERN})*\s*|\n{{2,}}+|\n(?![a-z\n])",
    re.IGNORECASE,
)


_SCAFFOLD = re.compile(r"\W*(?:sources?|question|来源|问题)\s*[:：]", re.IGNORECASE)
"""A line that goes on with our prompt instead of answering it."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence of an answer, checked."""

    text: str
    """Without citation markers, with the white space that followed it."""
    cited: tuple[int, ...]
    """Numbers of the sources that are cited for it, from 1."""
    kind: str
    """`supported`; `unsupported`; `contradicted`: the sources say it with other numbers, or deny it; `unverified`: in
    a script that the sources do not have, so the check cannot speak; `empty`: it needs no support, such as an opening;
    `echo`: no statement, but a piece of the prompt: a file's name, a heading, the question."""

    def marked(self) -> str:
        """Return the text with its citations, before the full stop and the white space."""
        if not self.cited:
            return self.text
        body = self.text.rstrip()
        space = self.text[len(body) :]
        end = ""
        if body and body[-1] in ".!?。！？":
            body, end = body[:-1], body[-1]
        markers = "".join(f"[{number}]" for number in self.cited)
        return f"{body} {markers}{end}{space}"


def read_markers(sentence: str) -> tuple[str, list[int]]:
    """Return a sentence without its citation markers, and the numbers that they name."""
    claimed = [int(number) for group in _MARKER.findall(sentence) for number in re.findall(r"\d+", normalise(group))]
    return _MARKER.sub("", sentence), claimed


def judge(text: str, claimed: list[int], support: Support, *, sources: int) -> Statement:
    """Decide what is cited for a statement.

    A source that the model named is kept if it holds the statement; otherwise the one that holds it best is cited
    instead; a number that names no source is dropped. A statement that cannot be compared must name a source.
    """
    if support.echo or _SCAFFOLD.match(text):
        return Statement(text, (), "echo")
    if not _says_something(text):
        return Statement(text, (), "empty")
    valid = [number for number in dict.fromkeys(claimed) if 1 <= number <= sources]
    if not support.comparable:
        return Statement(text, tuple(valid), "unverified" if valid else "unsupported")
    kept = tuple(number for number in valid if number in support.sources) or support.sources[:1]
    if kept:
        return Statement(text, kept, "supported")
    return Statement(text, (), "contradicted" if support.contradicted else "unsupported")


def _says_something(text: str) -> bool:
    stripped = text.strip()
    return len(terms(stripped)) >= 2 and not stripped.endswith((":", "：", "?", "？"))


class SentenceStream:
    """Cut a stream of text into sentences as they become whole."""

    def __init__(self) -> None:
        self._rest = ""

    def push(self, piece: str) -> Iterator[str]:
        """Take a piece of text; yield the sentences that are whole now, each with its trailing white space."""
        self._rest += piece
        start = 0
        for boundary in _SENTENCE_END.finditer(self._rest):
            # A boundary at the very end may grow: white space or a marker such as ` [2]` can still follow.
            if boundary.end() >= len(self._rest) or _marker_begins(self._rest, boundary.end()):
                continue
            if _is_list_number(self._rest, boundary.start()):
                continue
            yield self._rest[start : boundary.end()]
            start = boundary.end()
        self._rest = self._rest[start:]

    def finish(self) -> Iterator[str]:
        """Yield what is left."""
        if self._rest:
            yield self._rest
        self._rest = ""


def _marker_begins(text: str, position: int) -> bool:
    """Tell whether a marker begins here whose end has not come yet."""
    return text[position] in "[【" and not re.search(r"[\]】]", text[position:])


def _is_list_number(text: str, position: int) -> bool:
    """Tell whether the stop belongs to a list number such as `1.` at the start of a line."""
    return bool(re.search(r"(?:^|\n)\s*\d{1,2}\.$", text[:position]))
