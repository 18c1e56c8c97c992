"""Fuse rankings by reciprocal rank.

Source: Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual rank learning
methods", SIGIR 2009: score(d) = Σ 1 / (k + rank(d)).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

RRF_K = 60


def reciprocal_rank_fusion(rankings: Iterable[tuple[Sequence[str], float]], *, k: int = RRF_K) -> dict[str, float]:
    """Return each id's fused score, best first.

    `rankings` are lists of ids, best first, each with its weight. Ties keep the order of first appearance.
    """
    scores: dict[str, float] = {}
    for ids, weight in rankings:
        for rank, name in enumerate(ids, start=1):
            scores[name] = scores.get(name, 0.0) + weight / (k + rank)
    return dict(sorted(scores.items(), key=lambda item: -item[1]))
