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
from typing import TYPE_CHECKING, NamedTuple

from edgecli.rag.lexical import all_stems, cjk_share, normalise, stems
from edgecli.rag.lines import Line, as_list, is_whole, leans_on, plain, read_lines, readable, without_mark
from edgecli.rag.polarity import Polarity, joined, opposed
from edgecli.rag.polarity import read as read_polarity

if TYPE_CHECKING:
    from edgecli.ai.engines.embedding import Vectors

WORD_SHARE = 0.6
"""Share of a statement's words that a sentence must hold to support it."""
SIMILARITY = 0.8
"""Cosine similarity that supports a statement in other words, if it shares some: see `SIMILAR_WORD_SHARE`."""
SIMILAR_WORD_SHARE = 0.4
CJK_WORD_SHARE = 0.85
"""Share of a Chinese statement's pairs that a line itself must hold, whatever its meaning: a wrong character spoils
two pairs."""
ABOVE = 0.9
"""What a word of the question counts that stands in a heading above a line, not in the line itself."""
ABOVE_A_QUANTITY = 0.45
"""The same where the question asks how many, how long or when: a heading has no number, and any line below it may
have one, of something else."""
FRAGMENT = 0.9
"""What the fit of a fragment counts beside a whole sentence's, where one of them is to be quoted."""
CLOSE = 0.1
"""How much less close than the closest a sentence may be and still count among the closest."""
LEANED_ON = 0.95
"""What a line fits the question, against one that leans on it: `a longer window` answers after the usual one."""
MIN_FIT = 0.25
"""Fit of a sentence to the question below which it is no answer."""
ON_TOPIC = 0.5
"""How well, against the best sentence, one must fit the question to be part of an answer."""

_QUANTITY = re.compile(r"\bhow (?:long|many|much|often|old|far|soon)\b|\bwhen\b|多少|多久|多长|几|何时|什么时候", re.I)
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")


class Passage(NamedTuple):
    """A source of an answer."""

    heading: str
    text: str
    file: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """A line of a source, or two neighbours."""

    source: int
    """Number of the source, from 1."""
    text: str
    words: frozenset[str]
    """Stems, numbers left out, those of the headings above and of the line that introduces its list included."""
    own_words: frozenset[str]
    """The same with content, and without those from above."""
    numbers: frozenset[str]
    polarity: Polarity
    lines: tuple[int, ...]
    """Which lines it is made of, as rows of the vectors."""
    opening: str = ""
    """The line, or the heading, that introduces the list whose item it is."""

    told: frozenset[str] = frozenset()
    """All words and pairs that it says itself, the introduction of its list included."""


@dataclass(frozen=True, slots=True)
class Support:
    """What the sources say of a statement."""

    sources: tuple[int, ...]
    """Sources that support it, the best first."""
    comparable: bool = True
    """Whether the check can speak: false where statement and sources are in different scripts."""
    contradicted: bool = False
    """Whether a sentence says nearly the same with other numbers, or denies what it affirms, or the reverse."""
    echo: bool = False
    """Whether it is no statement, but a file's name, a heading, or the question once more."""


class Evidence:
    """The sentences of the sources of one answer."""

    def __init__(self, passages: Sequence[Passage], *, understands_cjk: bool) -> None:
        """Take the sources; `understands_cjk` tells whether the vectors mean anything for Chinese, Japanese and
        Korean."""
        self.sentences: list[str] = []
        self._windows: list[Window] = []
        self._places: list[frozenset[str]] = []
        """For each source, the words of its file's name and of its headings."""
        self._items: dict[tuple[int, str], list[str]] = {}
        """The items of each list, by source and the line that introduces it."""
        self._leaning: list[tuple[Window, Window]] = []
        """Lines that lean on another one before them, each with that one."""
        self._understands_cjk = understands_cjk
        self._vectors: Vectors | None = None
        self._fits: list[float] = []
        self._question = ""
        self._asked: frozenset[str] = frozenset()
        self._asked_in_cjk = False
        self._has_cjk = any(cjk_share(one.text) > 0.1 for one in passages)
        self._has_latin = any(cjk_share(one.text) < 0.9 for one in passages)
        for number, passage in enumerate(passages, start=1):
            self._add(number, passage)

    def _add(self, number: int, passage: Passage) -> None:
        above = _Above(all_stems(passage.heading), read_polarity(passage.heading))
        place = all_stems(f"{passage.file} {passage.heading}")
        opening = heading = ""
        in_list = False
        first: Window | None = None
        previous: Window | None = None
        for line in read_lines(passage.text):
            if line.heading:
                above = above.below(line.text)
                place |= all_stems(line.text)
                heading, opening, in_list, previous = line.text, "", False, None
                first = None
                continue
            if line.begins and not line.item:
                opening, in_list = "", False
            elif line.item and not in_list:
                opening, in_list = (heading if previous is None else _introduction(previous.text)), True
            window = self._window(number, line, above, opening)
            before = {"": None, "previous": previous, "first": first}[leans_on(line.text)]
            if before is not None:
                self._leaning.append((window, before))
            first = first or window
            self._windows.append(window)
            if window.opening:
                self._items.setdefault((number, opening), []).append(line.text)
            if previous is not None:
                self._windows.append(_pair(previous, window))
            previous = window
        self._places.append(place)

    def _window(self, number: int, line: Line, above: _Above, opening: str) -> Window:
        alone = not line.item or (opening.startswith("#") and is_whole(line.text))
        self.sentences.append(without_mark(line.text) if alone or not opening else as_list(opening, [line.text]))
        if opening and not opening.startswith("#"):
            above = above.below(opening)
        text, opening = plain(line.text), "" if alone else opening
        return Window(
            number,
            line.text,
            _without_digits(all_stems(text)) | above.words,
            _without_digits(stems(text)),
            frozenset(numbers(without_mark(text))) | above.numbers,
            joined((read_polarity(text), above.polarity)),
            (len(self.sentences) - 1,),
            opening,
            _without_digits(all_stems(text) | all_stems(plain(opening))),
        )

    def ask(self, question: str, vectors: Vectors | None, question_vector: Vectors | None) -> None:
        """Take the question, with the vectors of `sentences`, `(n, d)`, and of itself, `(d,)`, all normalised."""
        self._vectors = vectors
        self._question, self._asked_in_cjk = question, cjk_share(question) > 0.5
        self._asked = asked = stems(question)
        means = self._meaning(question, question_vector, floor=0.0)
        trust = 0.5 if question_vector is not None and self._speaks(question) else 0.0
        above = ABOVE_A_QUANTITY if _QUANTITY.search(question) else ABOVE
        self._fits = [
            trust * means(window) + (1 - trust) * _asked_share(asked, window, above) for window in self._windows
        ]
        places = {window.lines: place for place, window in enumerate(self._windows)}
        for window, before in self._leaning:
            place = places[before.lines]
            self._fits[place] = max(self._fits[place], LEANED_ON * self._fits[places[window.lines]])

    def support(self, statement: str, vector: Vectors | None) -> Support:
        """Return which sources say what a statement says, in sentences that fit the question.

        `vector` is the statement's, `(d,)`, normalised.
        """
        is_cjk = cjk_share(statement) > 0.5
        words, wanted = _without_digits(stems(plain(statement))), frozenset(numbers(without_mark(statement)))
        if self._is_echo(statement, words, wanted):
            return Support((), echo=True)
        if not (self._has_cjk if is_cjk else self._has_latin):
            # In the script of the question it may be a translation of the sources; otherwise it is astray.
            return Support((), comparable=is_cjk != self._asked_in_cjk)
        if not words and not wanted:
            return Support(())
        close = self._closeness(words, self._meaning(statement, vector), is_cjk=is_cjk)
        least = max(WORD_SHARE, max(close, default=0.0) - CLOSE)
        near = [(value, place) for place, value in enumerate(close) if value >= least]
        polarity = read_polarity(plain(statement))
        holding = [
            (value, place)
            for value, place in near
            if wanted <= self._windows[place].numbers and not opposed(polarity, self._windows[place].polarity)
        ]
        contradicted = bool(near) and not holding
        if is_cjk:
            said = polarity.words
            holding = [
                item for item in holding if len(said & self._windows[item[1]].told) >= CJK_WORD_SHARE * len(said)
            ]
        wanted_fit = ON_TOPIC * max(self._fits, default=0.0)
        speaking = sorted((item for item in holding if self._fits[item[1]] >= wanted_fit), key=lambda item: -item[0])
        sources = dict.fromkeys(self._windows[place].source for _, place in speaking)
        return Support(tuple(sources), contradicted=contradicted)

    def _is_echo(self, statement: str, words: frozenset[str], figures: frozenset[str]) -> bool:
        if all_stems(statement) == all_stems(self._question):
            return True
        said = words | figures
        return bool(words) and any(said <= place for place in self._places)

    def _closeness(self, words: frozenset[str], means: Callable[[Window], float], *, is_cjk: bool) -> list[float]:
        """Return for each window how close it is to a statement: by its words, or by its meaning and some of them."""
        shares = [self._share(words, place) for place in range(len(self._windows))]
        if is_cjk:
            return shares
        return [
            max(share, means(window)) if share >= SIMILAR_WORD_SHARE else share
            for share, window in zip(shares, self._windows, strict=True)
        ]

    def _share(self, words: frozenset[str], place: int) -> float:
        return len(words & self._windows[place].words) / len(words) if words else 1.0

    def quotes(self, *, count: int = 2) -> list[tuple[int, str]]:
        """Return the sentences that fit the question best, each with the number of its source.

        An item is quoted after the line that introduces its list, and such a line before its items.
        """
        scored = [
            (fit if self._is_whole(window) else fit * FRAGMENT, window)
            for fit, window in zip(self._fits, self._windows, strict=True)
            if len(window.lines) == 1 and self._tells(window)
        ]
        scored.sort(key=lambda item: -item[0])
        best = [window for fit, window in scored[:count] if fit >= max(MIN_FIT, scored[0][0] * 0.9)]
        best.sort(key=lambda window: window.lines)
        together: dict[tuple[int, str], list[Window]] = {}
        for window in best:
            together.setdefault((window.source, window.opening or window.text), []).append(window)
        quotes: dict[str, int] = {}
        for place, windows in together.items():
            source, opening = place
            items = self._items.get(place, [])
            if all(self._is_asked_for(window) for window in windows):
                items = [window.text for window in windows if window.opening]
            quotes.setdefault(as_list(opening, items) if items else readable(opening), source)
        return [(source, text) for text, source in quotes.items()]

    def _tells(self, window: Window) -> bool:
        """Tell whether a sentence adds something to the question, and is none itself."""
        beside = [window.opening] if window.opening else self._list_of(window)
        words = window.own_words.union(*(_without_digits(stems(line)) for line in beside))
        news = len(words - self._asked) + len(window.numbers)
        return news >= 2 and not window.text.rstrip().endswith(("?", "？"))

    def _is_asked_for(self, window: Window) -> bool:
        """Tell whether the question names an item of a list, and not only what the list is about."""
        return bool(window.opening) and bool(window.own_words & self._asked - stems(window.opening))

    def _is_whole(self, window: Window) -> bool:
        return is_whole(window.text) or bool(window.opening) or bool(self._list_of(window))

    def _list_of(self, window: Window) -> list[str]:
        """Return the items of the list that a line introduces."""
        return self._items.get((window.source, window.text), [])

    def _speaks(self, text: str) -> bool:
        return self._understands_cjk or cjk_share(text) < 0.3

    def _meaning(self, text: str, vector: Vectors | None, *, floor: float = SIMILARITY) -> Callable[[Window], float]:
        """Return a function that gives a window's similarity to a text; 0 below `floor`."""
        if vector is None or self._vectors is None or not self._speaks(text):
            return _no_similarity
        similarities = self._vectors @ vector

        def similarity(window: Window) -> float:
            value = max(float(similarities[row]) for row in window.lines)
            return value if value >= floor else 0.0

        return similarity


def _no_similarity(window: Window) -> float:
    del window
    return 0.0


@dataclass(frozen=True, slots=True)
class _Above:
    """What the headings above a line say, and the line that introduces its list."""

    words: frozenset[str]
    polarity: Polarity
    numbers: frozenset[str] = frozenset()

    def below(self, text: str) -> _Above:
        figures = self.numbers if text.startswith("#") else self.numbers | frozenset(numbers(without_mark(text)))
        return _Above(self.words | all_stems(text), joined((self.polarity, read_polarity(text))), figures)


def _asked_share(asked: frozenset[str], window: Window, above: float) -> float:
    """Return the share of the question's words that a window holds; those above it count `above`."""
    itself = asked & window.told
    return (len(itself) + above * len(asked & window.words - itself)) / max(1, len(asked))


def _introduction(line: str) -> str:
    """Return the line if it leads over to a list: it has no stop."""
    return "" if is_whole(line) else line


def _pair(first: Window, second: Window) -> Window:
    return Window(
        first.source,
        f"{first.text} {second.text}",
        first.words | second.words,
        first.own_words | second.own_words,
        first.numbers | second.numbers,
        joined((first.polarity, second.polarity)),
        first.lines + second.lines,
        told=first.told | second.told,
    )


def _without_digits(words: frozenset[str]) -> frozenset[str]:
    return frozenset(word for word in words if not word.isdigit())


def numbers(text: str) -> Iterator[str]:
    """Yield the numbers of a text in one spelling: `1,000` is `1000`."""
    for number in _NUMBER.findall(normalise(text)):
        yield number.replace(",", "").rstrip(".:")
