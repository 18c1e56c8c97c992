"""What a text affirms and what it denies, word by word.

A negation denies the words that follow it in its clause (where none follow, those before it). So `returned for store
credit, not for money` and `not for store credit, but for money` do not say the same, though both hold one `not`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from edgecli.rag.lexical import content_stems

DENIED_SHARE = 0.5
"""Share of the words that a statement denies which a source must deny too."""

_CLAUSE = re.compile(
    r"[,;:.!?](?=\s|$)|\s[-–—]\s|[，；：。！？—]|\b(?:but|however|instead|except|unless|only)\b|但是?|而是|只能|只是|除非",
    re.IGNORECASE,
)
# Words that hold a sign of negation and deny nothing.
_HARMLESS = re.compile(
    r"是不是|能不能|可不可以|会不会|要不要|有没有|不仅|不但|不过|不同|不久|不断|不管|不论|差不多|无论|无线|未来|非常|"
    r"\bno doubt\b|\bnot only\b|\bno matter\b|\bwhether or not\b",
    re.IGNORECASE,
)
_NEGATION = re.compile(
    r"\b(?:not|no|never|none|neither|nor|cannot|without)\b|n[’']t\b|"
    r"(?:禁止|拒绝|没有|无需|无法|无须|[不没无未非勿])(?:可以|需要|必须|[能可会得用必需要应许准再])?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Polarity:
    """The words of a text by whether it denies them."""

    affirmed: frozenset[str] = frozenset()
    denied: tuple[frozenset[str], ...] = ()
    """The words of each negation; empty sets are negations of nothing that is named."""

    @property
    def words(self) -> frozenset[str]:
        """The words that it affirms or denies, without those that only its negations make."""
        return self.affirmed.union(*self.denied)

    @property
    def all_denied(self) -> frozenset[str]:
        return frozenset[str]().union(*self.denied)


def read(text: str) -> Polarity:
    """Return what a text affirms and denies, as stems and CJK pairs."""
    affirmed: set[str] = set()
    denied: list[frozenset[str]] = []
    for clause in _CLAUSE.split(_HARMLESS.sub(" ", text)):
        found = _NEGATION.search(clause)
        if found is None:
            affirmed |= _words(clause)
            continue
        before, after = _words(clause[: found.start()]), _words(_NEGATION.sub(" ", clause[found.end() :]))
        denied.append(after or before)
        affirmed |= before if after else frozenset()
    return Polarity(frozenset(affirmed), tuple(denied))


def joined(parts: Iterable[Polarity]) -> Polarity:
    """Return what several texts affirm and deny together; a word that one of them only denies stays denied."""
    members = list(parts)
    affirmed = frozenset[str]().union(*(one.affirmed for one in members))
    only_denied = frozenset[str]().union(*(one.all_denied - one.affirmed for one in members))
    return Polarity(affirmed - only_denied, tuple(scope for one in members for scope in one.denied))


def opposed(statement: Polarity, source: Polarity) -> bool:
    """Tell whether a statement denies what the source does not deny, or affirms what the source only denies."""
    denied = source.all_denied
    for scope in statement.denied:
        if not source.denied or len(scope & denied) < DENIED_SHARE * len(scope):
            return True
    return bool((statement.affirmed - statement.all_denied) & (denied - source.affirmed))


def _words(text: str) -> frozenset[str]:
    return frozenset(word for word in content_stems(text) if not word.isdigit())
