"""Words for full-text search, in every script.

SQLite's FTS5 sees a run of Chinese, Japanese or Korean as one word. So the text is segmented before it is
indexed, and the question in the same way: CJK runs become overlapping pairs of characters (and their last
character alone, so that one character finds every place by prefix); the rest is left to FTS5's `porter unicode61`.
Of a question, the pairs are taken between its question words and particles: see `chinese`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator

from edgecli.rag.chinese import content

_CJK = (
    "\u3040-\u30ff"  # kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # Han
    "\uac00-\ud7af"  # Hangul
    "\U00020000-\U0003ffff"  # rare Han
)
_CJK_RUN = re.compile(f"[{_CJK}]+")
_PIECE = re.compile(f"([{_CJK}]+)|([^\\W_{_CJK}]+)")

# Words that say nothing of what a question is about; the Chinese ones are in `chinese`.
_STOP_WORD_TEXT = """
    a about after again all also am an and any are as at be been before being but by can could did do
    does doing don down each few for from further get gets getting had has have having he her here hers
    him his how i if in into is it its itself just let like me more most my myself no nor not now of off
    on once only or other our ours out over own please s same she should so some such t than that the
    their theirs them then there these they this those through to too under until up us very was we were
    what when where which while who whom why will with would you your yours d ll m re ve doesn isn aren
    won shouldn tell know want need there way use using
"""
_STOP_WORDS = frozenset(_STOP_WORD_TEXT.split())


def normalise(text: str) -> str:
    """Fold the width and compatibility forms of characters: `ＳＱＬ` is `SQL`."""
    return unicodedata.normalize("NFKC", text)


def segment(text: str) -> str:
    """Return the text with each CJK run as its pairs of characters, ready to be indexed by FTS5."""
    return _CJK_RUN.sub(lambda run: f" {' '.join(_index_pairs(run.group()))} ", normalise(text))


def _index_pairs(run: str) -> Iterator[str]:
    yield from (run[start : start + 2] for start in range(len(run) - 1))
    yield run[-1]


def terms(text: str) -> list[str]:
    """Return the distinct lower-case words and CJK pairs of a text in order, words without content left out.

    A single CJK character counts only where nothing else is left. A text without any content gives all its words
    and pairs: a question must ask for something.
    """
    found = [term for piece in pieces(text) for term in piece]
    longer = [term for term in found if not _is_single_cjk(term)]
    return list(dict.fromkeys(longer or found)) or all_terms(text)


def pieces(text: str) -> list[list[str]]:
    """Return the words with content, each alone, and the CJK pairs, together where they overlap."""
    found: list[list[str]] = []
    for cjk, word in _PIECE.findall(normalise(text)):
        if cjk:
            found += [list(_pairs(piece)) for piece in content(cjk)]
        elif word.lower() not in _STOP_WORDS:
            found.append([word.lower()])
    return found


def all_terms(text: str) -> list[str]:
    """Return the distinct lower-case words and CJK pairs of a text in order, none left out."""
    found: dict[str, None] = {}
    for cjk, word in _PIECE.findall(normalise(text)):
        found.update(dict.fromkeys(_pairs(cjk) if cjk else [word.lower()]))
    return list(found)


def _pairs(run: str) -> Iterator[str]:
    if len(run) == 1:
        yield run
    yield from (run[start : start + 2] for start in range(len(run) - 1))


_NAME = re.compile(r"[A-Za-z0-9_]+(?:[./:-]+[A-Za-z0-9_]+)*")


def identifiers(text: str) -> list[str]:
    """Return the distinct names in a text that somebody made up for one thing: a part number, a code, a function.

    Letters with digits or with `_`: `NL-900`, `zq200x`, `sqlite3_open`; not `30`, `well-known` or `example.com`.
    """
    return [name for name in dict.fromkeys(_NAME.findall(normalise(text))) if _is_identifier(name)]


def lone_word(text: str) -> str | None:
    """Return the word that a text consists of, if it is one word."""
    words = all_terms(text)
    return words[0] if len(words) == 1 else None


def held_content(question: str, text: str, *, common: Collection[str] = ()) -> tuple[int, int]:
    """Return how many characters of a question's content a text holds, and how many there are.

    A word counts two characters; of CJK pieces those characters count that stand in a pair which the text has.
    So the pairs that only span two words need not be there. Pairs in `common` say nothing, unless there are no others.
    """
    held, said = set(all_terms(text)), pieces(question)
    for left_out in (common, ()):
        whole = found = 0
        for piece in said:
            counted = [(place, term) for place, term in enumerate(piece) if term not in left_out and _is_word(term)]
            whole += len({place + step for place, _ in counted for step in (0, 1)})
            found += len({place + step for place, term in counted if term in held for step in (0, 1)})
        if whole:
            return found, whole
    return 0, 0


def _is_word(term: str) -> bool:
    return not _is_single_cjk(term)


def _is_identifier(name: str) -> bool:
    letters = any(character.isalpha() for character in name)
    digits = any(character.isdigit() for character in name)
    return letters and (digits or "_" in name)


def match_expression(question: str) -> str | None:
    """Return the FTS5 query that finds any of the question's words, or None if it has none.

    The words are quoted, so nothing of the question is read as FTS5 syntax.
    """
    return " OR ".join(phrase(word) for word in terms(question)[:64]) or None


def phrase(word: str) -> str:
    """Return the FTS5 query for a word or a name: `"NL-900"` finds its parts side by side."""
    quoted = '"' + normalise(word).replace('"', "") + '"'
    return f"{quoted}*" if _is_single_cjk(word) else quoted


def _is_single_cjk(word: str) -> bool:
    return len(word) == 1 and bool(_CJK_RUN.fullmatch(word))


def stems(text: str) -> frozenset[str]:
    """Return the text's terms with the commonest English endings cut: `refunds` and `refunded` are `refund`."""
    return frozenset(_stem(term) for term in terms(text))


def content_stems(text: str) -> frozenset[str]:
    """Return the same without the words that have no content, even where nothing else is left."""
    return frozenset(_stem(term) for piece in pieces(text) for term in piece)


def all_stems(text: str) -> frozenset[str]:
    """Return the same of all words and pairs: what a text holds, whatever words the other text leaves out."""
    return frozenset(_stem(term) for term in all_terms(text))


def _stem(word: str) -> str:
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending).rstrip("e")
    return word.rstrip("e") if len(word) > 3 else word


def cjk_share(text: str) -> float:
    """Return the share of a text's letters and digits that are Chinese, Japanese or Korean; 0 if it has none."""
    letters = sum(character.isalnum() for character in text)
    return sum(len(run) for run in _CJK_RUN.findall(text)) / letters if letters else 0.0
