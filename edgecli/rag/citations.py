"""Check what an answer says, and what it cites, against the passages that were retrieved.

A statement (a sentence of the answer) is supported by a passage if most of its words, and every number in it,
stand in the passage. That is a check of words, not of meaning: it is strict with inventions and blind to a wrong
combination of right words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgecli.rag.lexical import normalise, terms

SUPPORT_SHARE = 0.6
"""Share of a statement's words that a passage must hold to support it."""

_MARKER_PATTERN = r"\s*[\[【](?:source\s*)?({number}(?:\s*[,，、]\s*{number})*)[\]】]".replace("{number}", r"\d{1,3}")
_MARKER = re.compile(_MARKER_PATTERN, re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_SENTENCE_END = re.compile(
    rf"(?<=[.!?])[\"')]*(?:{_MARKER_PATTERN})*\s+|(?<=[。！？；])[”’）」』]*(?:{_MARKER_PATTERN})*\s*|\n+", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence of an answer, checked."""

    text: str
    """Without citation markers, with the white space that followed it."""
    cited: tuple[int, ...]
    """Numbers of the sources that support it, from 1; empty if none does."""
    substantive: bool
    """Whether it says something that needs support: not a lone word, an opening or a question."""

    def marked(self) -> str:
        """Return the text with its citations, before the white space."""
        if not self.cited:
            return self.text
        body = self.text.rstrip()
        end = ""
        if body and body[-1] in ".!?。！？":
            body, end = body[:-1], body[-1]
        markers = "".join(f"[{number}]" for number in self.cited)
        return f"{body} {markers}{end}{self.text[len(self.text.rstrip()):]}"


def stem(word: str) -> str:
    """Cut the commonest English endings, so that `refunds` supports `refund`."""
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending).rstrip("e")
    return word.rstrip("e") if len(word) > 3 else word


class Passages:
    """The sources of one answer, ready to be compared with statements."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._words = [frozenset(stem(term) for term in terms(text)) for text in texts]
        self._numbers = [frozenset(_numbers(text)) for text in texts]

    def __len__(self) -> int:
        return len(self._words)

    def support(self, statement: str) -> list[float]:
        """Return, for each source, the share of the statement's words that it holds; 0 where a number is missing."""
        words = {stem(term) for term in terms(statement)}
        numbers = set(_numbers(statement))
        if not words:
            return [0.0] * len(self)
        return [
            len(words & held) / len(words) if numbers <= figures else 0.0
            for held, figures in zip(self._words, self._numbers, strict=True)
        ]

    def check(self, sentence: str) -> Statement:
        """Check one sentence of an answer: its markers are kept where the source supports it.

        Where the model cited nothing, or a source that does not hold the statement, the best source that does
        hold it is cited instead.
        """
        claimed = [
            int(number) for group in _MARKER.findall(sentence) for number in re.findall(r"\d+", normalise(group))
        ]
        text = _MARKER.sub("", sentence)
        shares = self.support(text)
        supporting = [number for number, share in enumerate(shares, 1) if share >= SUPPORT_SHARE]
        kept = tuple(dict.fromkeys(number for number in claimed if number in supporting))
        if not kept and supporting:
            kept = (max(supporting, key=lambda number: shares[number - 1]),)
        return Statement(text, kept, _substantive(text))


def _numbers(text: str) -> Iterator[str]:
    for number in _NUMBER.findall(normalise(text)):
        yield number.replace(",", "").rstrip(".:")


def _substantive(text: str) -> bool:
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
            if _is_number_before(self._rest, boundary.start()):
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


def _is_number_before(text: str, position: int) -> bool:
    """Tell whether the stop belongs to a list number such as `1.` at the start of a line."""
    return bool(re.search(r"(?:^|\n)\s*\d{1,2}\.$", text[:position]))
