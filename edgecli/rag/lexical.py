"""Words for full-text search, in every script.

SQLite's FTS5 sees a run of Chinese, Japanese or Korean as one word. So the text is segmented before it is
indexed, and the question in the same way: CJK runs become overlapping pairs of characters (and their last
character alone, so that one character finds every place by prefix); the rest is left to FTS5's `porter unicode61`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_CJK = (
    "\u3040-\u30ff"  # kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # Han
    "\uac00-\ud7af"  # Hangul
    "\U00020000-\U0003ffff"  # rare Han
)
_CJK_RUN = re.compile(f"[{_CJK}]+")
_PIECE = re.compile(f"([{_CJK}]+)|([^\\W_{_CJK}]+)")

# Words that say nothing of what a question is about. Chinese ones are pairs, as the index has them.
_STOP_WORD_TEXT = """
    a about after again all also am an and any are as at be been before being but by can could did do
    does doing don down each few for from further get gets getting had has have having he her here hers
    him his how i if in into is it its itself just let like me more most my myself no nor not now of off
    on once only or other our ours out over own please s same she should so some such t than that the
    their theirs them then there these they this those through to too under until up us very was we were
    what when where which while who whom why will with would you your yours d ll m re ve doesn isn aren
    won shouldn tell know want need there way use using
    什么 怎么 如何 怎样 哪些 哪个 哪里 多少 可以 是否 能否 为什 么样 吗 呢 的 了 是 我 你 在 和 有
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
    """Return the distinct lower-case words and CJK pairs of a text in order, stop words left out.

    A text of stop words only gives them all: a question must ask for something.
    """
    found = list(dict.fromkeys(_all_terms(text)))
    return [term for term in found if term not in _STOP_WORDS] or found


def _all_terms(text: str) -> Iterator[str]:
    for cjk, word in _PIECE.findall(normalise(text)):
        if word:
            yield word.lower()
        elif len(cjk) == 1:
            yield cjk
        else:
            yield from (cjk[start : start + 2] for start in range(len(cjk) - 1))


def match_expression(question: str) -> str | None:
    """Return the FTS5 query that finds any of the question's words, or None if it has none.

    The words are quoted, so nothing of the question is read as FTS5 syntax.
    """
    words = terms(question)[:64]
    return " OR ".join(f'"{word}"*' if _is_single_cjk(word) else f'"{word}"' for word in words) or None


def _is_single_cjk(word: str) -> bool:
    return len(word) == 1 and bool(_CJK_RUN.fullmatch(word))


def stems(text: str) -> frozenset[str]:
    """Return the text's terms with the commonest English endings cut: `refunds` and `refunded` are `refund`."""
    return frozenset(_stem(term) for term in terms(text))


def _stem(word: str) -> str:
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending).rstrip("e")
    return word.rstrip("e") if len(word) > 3 else word


def cjk_share(text: str) -> float:
    """Return the share of a text's letters and digits that are Chinese, Japanese or Korean; 0 if it has none."""
    letters = sum(character.isalnum() for character in text)
    return sum(len(run) for run in _CJK_RUN.findall(text)) / letters if letters else 0.0
