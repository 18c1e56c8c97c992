"""Fuse rankings by reciprocal rank.

Source: Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual rank learning
methods", SIGIR 2009: score(d) = Σ weight / (k + rank(d)).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

RRF_K = 10
"""The paper's 60 flattens the first ranks, which is right for many rankings of hundreds of documents. Of two rankings
of passages the first ranks say most: on 118 questions about SQLite's manual 10 found 0.05 more than 60."""

NEXT_OF_SAME_FILE = 0.5
"""What a further passage of a file that is already among the results counts, against its score."""


CHANCE = 0.04
"""How much a document's size counts against its passages: see `without_chance`."""

BEST_OF_GROUP = 3
"""Passages that speak for their document. One is what the passages' own rankings see already; all of them would let
long documents win. Two and four found as much within the noise."""


def without_chance(similarities: Mapping[str, float], size_of: Callable[[str], int]) -> dict[str, float]:
    """Return similarities as shares of the best, best first, less what a document of many passages gains by chance.

    The best of n random similarities grows with √(ln n): a list of a thousand lone sentences has one that looks like
    almost any question. `size_of` gives the number of passages of the document that an id belongs to.
    """
    best = max(similarities.values(), default=1.0) or 1.0
    corrected = {
        name: value / abs(best) - CHANCE * math.sqrt(math.log(size_of(name) + 1))
        for name, value in similarities.items()
    }
    return dict(sorted(corrected.items(), key=lambda item: -item[1]))


def reciprocal_rank_fusion(rankings: Iterable[tuple[Sequence[str], float]], *, k: int = RRF_K) -> dict[str, float]:
    """Return each id's fused score, best first.

    `rankings` are lists of ids, best first, each with its weight. Ties keep the order of first appearance.
    """
    scores: dict[str, float] = {}
    for ids, weight in rankings:
        for rank, name in enumerate(ids, start=1):
            scores[name] = scores.get(name, 0.0) + weight / (k + rank)
    return dict(sorted(scores.items(), key=lambda item: -item[1]))


def rank_groups(scores: Mapping[str, float], group_of: Callable[[str], str]) -> list[str]:
    """Return the groups of ids, best first, by the sum of what their `BEST_OF_GROUP` best ids score.

    A document that answers a question speaks of it in more than one place; a passage that only sounds like the
    question stands alone in its document. Scores count from the lowest one: an id that was not among the candidates
    has at most that, so a group of few ids is not pushed back for what was not looked at.
    Source: evidence of several passages for their document, Callan, "Passage-level evidence in document retrieval",
    SIGIR 1994.
    """
    last = min(scores.values(), default=0.0)
    sums: dict[str, float] = {}
    counted: Counter[str] = Counter()
    for name in sorted(scores, key=lambda name: -scores[name]):
        group = group_of(name)
        if counted[group] < BEST_OF_GROUP:
            sums[group] = sums.get(group, 0.0) + scores[name] - last
            counted[group] += 1
    return sorted(sums, key=lambda group: -sums[group])


def add_groups(
    scores: Mapping[str, float],
    rankings: Iterable[tuple[Sequence[str], float]],
    group_of: Callable[[str], str],
) -> dict[str, float]:
    """Return the scores, best first, each raised by what its group has in weighted `rankings` of groups."""
    groups = reciprocal_rank_fusion(rankings)
    raised = {name: score + groups.get(group_of(name), 0.0) for name, score in scores.items()}
    return dict(sorted(raised.items(), key=lambda item: -item[1]))


def spread(scores: Mapping[str, float], group_of: Callable[[str], str]) -> list[str]:
    """Return the ids so that one group does not fill the first places.

    Each further id of a group counts `NEXT_OF_SAME_FILE` of what the one before it did.
    """
    seen: Counter[str] = Counter()
    weighted: dict[str, float] = {}
    for name, score in scores.items():
        group = group_of(name)
        weighted[name] = score * NEXT_OF_SAME_FILE ** seen[group]
        seen[group] += 1
    return sorted(weighted, key=lambda name: -weighted[name])
