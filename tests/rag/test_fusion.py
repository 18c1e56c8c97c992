import pytest

from edgecli.rag.fusion import reciprocal_rank_fusion


def test_scores_are_sums_of_reciprocal_ranks() -> None:
    fused = reciprocal_rank_fusion([(["a", "b"], 1.0), (["b", "c"], 2.0)], k=60)
    assert fused == pytest.approx({"b": 1 / 62 + 2 / 61, "c": 2 / 62, "a": 1 / 61})
    assert list(fused) == ["b", "c", "a"]


def test_ties_keep_the_first_ranking_first() -> None:
    assert list(reciprocal_rank_fusion([(["a"], 1.0), (["b"], 1.0)])) == ["a", "b"]
