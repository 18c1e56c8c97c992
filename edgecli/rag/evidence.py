"""What the retrieved passages say, sentence by sentence: what supports a statement, and what answers a question.

A statement is compared with single sentences and with pairs of neighbours, by its words and by its meaning (the
index's own embedding model). Numbers are facts: those of a statement must stand in the very sentences that are
closest to it otherwise. So "a refund within 14 days" is not supported by "a refund within 30 days", although a
sentence about something else names 14 days.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgecli.documents.sentences import sentence_ends
from edgecli.rag.lexical import cjk_share, normalise, stems

if TYPE_CHECKING:
    from edgecli.ai.engines.embedding import Vectors

WORD_SHARE = 0.6
"""Share of a statement's words that a sentence must hold to support it."""
SIMILARITY = 0.8
"""Cosine similarity that supports a statement in other words, if it shares some: see `SIMILAR_WORD_SHARE`."""
SIMILAR_WORD_SHARE = 0.4
CLOSE = 0.1
"""How much less close than the closest a sentence may be and still count among the closest."""
MIN_FIT = 0.25
"""Fit of a sentence to the question below which it is no answer."""
ON_TOPIC = 0.5
"""How well, against the best sentence, one must fit the question to be part of an answer."""

_BREAK = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*+|#]|\d{1,3}[.)])\s?)")
_LEADING = re.compile(r"^(?:\s*(?:[-*+>]|\d{1,3}[.)])\s+)+")
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_NEGATION = re.compile(r"\b(?:not|no|never|none|neither|nor|cannot|without)\b|n[’']t\b|[不没无未非勿]", re.IGNORECASE)
_RULE = re.compile(r"[\s|:+=_-]+")


@dataclass(frozen=True, slots=True)
class Window:
    """A sentence of a source, or two neighbours."""

    source: int
    """Number of the source, from 1."""
    text: str
    words: frozenset[str]
    """Stems, numbers left out, those of the headings above included."""
    own_words: frozenset[str]
    """The same without the headings'."""
    numbers: frozenset[str]
    negated: bool
    sentences: tuple[int, ...]
    """Which sentences it is made of, as rows of the vectors."""


@dataclass(frozen=True, slots=True)
class Support:
    """What the sources say of a statement."""

    sources: tuple[int, ...]
    """Sources that support it, the best first."""
    comparable: bool = True
    """Whether the check can speak: false where statement and sources are in different scripts."""
    contradicted: bool = False
    """Whether a sentence says nearly the same with other numbers, or without (or with) a `not`."""


class Evidence:
    """The sentences of the sources of one answer."""

    def __init__(self, passages: Sequence[tuple[str, str]], *, understands_cjk: bool) -> None:
        """Take the heading and text of each source; `understands_cjk` tells whether the vectors mean anything
        for Chinese, Japanese and Korean."""
        self.sentences: list[str] = []
        self._windows: list[Window] = []
        self._understands_cjk = understands_cjk
        self._vectors: Vectors | None = None
        self._fits: list[float] = []
        self._asked: frozenset[str] = frozenset()
        self._asked_in_cjk = False
        self._has_cjk = any(cjk_share(text) > 0.1 for _, text in passages)
        self._has_latin = any(cjk_share(text) < 0.9 for _, text in passages)
        for number, (heading, text) in enumerate(passages, start=1):
            self._add(number, heading, text)

    def _add(self, number: int, heading: str, text: str) -> None:
        above = stems(heading)
        previous: Window | None = None
        for sentence in split_sentences(text):
            if sentence.startswith("#"):
                above |= stems(sentence)
                previous = None
                continue
            row = len(self.sentences)
            self.sentences.append(_LEADING.sub("", sentence))
            own = _words(sentence)
            figures = frozenset(numbers(sentence))
            window = Window(number, sentence, own | above, own, figures, _negated(sentence), (row,))
            self._windows.append(window)
            if previous is not None:
                self._windows.append(_pair(previous, window))
            previous = window

    def ask(self, question: str, vectors: Vectors | None, question_vector: Vectors | None) -> None:
        """Take the question, with the vectors of `sentences`, `(n, d)`, and of itself, `(d,)`, all normalised."""
        self._vectors = vectors
        self._asked_in_cjk = cjk_share(question) > 0.5
        self._asked = asked = stems(question)
        means = self._meaning(question, question_vector, floor=0.0)
        trust = 0.5 if question_vector is not None and self._speaks(question) else 0.0
        self._fits = [
            trust * means(window) + (1 - trust) * len(asked & window.words) / max(1, len(asked))
            for window in self._windows
        ]

    def support(self, statement: str, vector: Vectors | None) -> Support:
        """Return which sources say what a statement says, in sentences that fit the question.

        `vector` is the statement's, `(d,)`, normalised.
        """
        is_cjk = cjk_share(statement) > 0.5
        if not (self._has_cjk if is_cjk else self._has_latin):
            # In the script of the question it may be a translation of the sources; otherwise it is astray.
            return Support((), comparable=is_cjk != self._asked_in_cjk)
        words, wanted = _words(statement), frozenset(numbers(statement))
        if not words and not wanted:
            return Support(())
        means = self._meaning(statement, vector)
        close = [_closeness(words, one, means) for one in self._windows]
        least = max(WORD_SHARE, max(close, default=0.0) - CLOSE)
        near = [(value, place) for place, value in enumerate(close) if value >= least]
        negated = _negated(statement)
        holding = [
            (value, place)
            for value, place in near
            if wanted <= self._windows[place].numbers and negated == self._windows[place].negated
        ]
        wanted_fit = ON_TOPIC * max(self._fits, default=0.0)
        speaking = sorted((item for item in holding if self._fits[item[1]] >= wanted_fit), key=lambda item: -item[0])
        sources = dict.fromkeys(self._windows[place].source for _, place in speaking)
        return Support(tuple(sources), contradicted=bool(near) and not holding)

    def quotes(self, *, count: int = 2) -> list[tuple[int, str]]:
        """Return the sentences that fit the question best, each with the number of its source."""
        scored = [
            (fit, window)
            for fit, window in zip(self._fits, self._windows, strict=True)
            if len(window.sentences) == 1 and self._tells(window)
        ]
        scored.sort(key=lambda item: -item[0])
        best = [(fit, window) for fit, window in scored[:count] if fit >= max(MIN_FIT, scored[0][0] * 0.9)]
        best.sort(key=lambda item: item[1].sentences)
        quotes: dict[str, int] = {}
        for _, window in best:
            quotes.setdefault(_readable(window.text), window.source)
        return [(source, text) for text, source in quotes.items()]

    def _tells(self, window: Window) -> bool:
        """Tell whether a sentence adds something to the question, and is none itself."""
        news = len(window.own_words - self._asked) + len(window.numbers)
        return news >= 2 and not window.text.rstrip().endswith(("?", "？"))

    def _speaks(self, text: str) -> bool:
        return self._understands_cjk or cjk_share(text) < 0.3

    def _meaning(self, text: str, vector: Vectors | None, *, floor: float = SIMILARITY) -> Callable[[Window], float]:
        """Return a function that gives a window's similarity to a text; 0 below `floor`."""
        if vector is None or self._vectors is None or not self._speaks(text):
            return _no_similarity
        similarities = self._vectors @ vector

        def similarity(window: Window) -> float:
            value = max(float(similarities[row]) for row in window.sentences)
            return value if value >= floor else 0.0

        return similarity


def _no_similarity(window: Window) -> float:
    del window
    return 0.0


def _readable(sentence: str) -> str:
    """Return a sentence of Markdown as plain text: no list mark, no emphasis, cells of a table row set apart."""
    plain = _LEADING.sub("", sentence).replace("**", "").strip()
    if plain.startswith("|"):
        plain = " · ".join(cell.strip() for cell in plain.strip("|").split("|") if cell.strip())
    return plain


def split_sentences(text: str) -> Iterator[str]:
    """Yield the sentences, list items, rows of tables and of CSV, and headings of a text."""
    blocks = _BREAK.split(text)
    for block, following in zip(blocks, [*blocks[1:], ""], strict=True):
        if _RULE.fullmatch(block) or (block.startswith("|") and _RULE.fullmatch(following)):
            continue  # a rule, or the heading row of a table above its rule
        if _is_csv(block):
            yield from block.splitlines()
            continue
        start = 0
        for end in sentence_ends(block, 0, len(block)):
            sentence = " ".join(block[start:end].split())
            if sentence and _has_word(sentence):
                yield sentence
            start = end


def _is_csv(block: str) -> bool:
    lines = block.splitlines()
    return len(lines) > 1 and any(all(line.count(mark) >= 2 for line in lines) for mark in ",;\t")


def _has_word(text: str) -> bool:
    return any(character.isalnum() for character in text)


def _pair(first: Window, second: Window) -> Window:
    return Window(
        first.source,
        f"{first.text} {second.text}",
        first.words | second.words,
        first.own_words | second.own_words,
        first.numbers | second.numbers,
        first.negated or second.negated,
        first.sentences + second.sentences,
    )


def _closeness(words: frozenset[str], window: Window, means: Callable[[Window], float]) -> float:
    share = len(words & window.words) / len(words) if words else 1.0
    return max(share, means(window)) if share >= SIMILAR_WORD_SHARE else share


def _negated(text: str) -> bool:
    return bool(_NEGATION.search(text))


def _words(text: str) -> frozenset[str]:
    return frozenset(word for word in stems(text) if not word.isdigit())


def numbers(text: str) -> Iterator[str]:
    """Yield the numbers of a text in one spelling: `1,000` is `1000`."""
    for number in _NUMBER.findall(normalise(text)):
        yield number.replace(",", "").rstrip(".:")
