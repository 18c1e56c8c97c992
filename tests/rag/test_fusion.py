import pytest

from edgecli.rag.fusion import reciprocal_rank_fusion, spread, without_chance


def test_scores_are_sums_of_reciprocal_ranks() -> None:
    fused = reciprocal_rank_fusion([(["a", "b"], 1.0), (["b", "c"], 2.0)], k=60)
    assert fused == pytest.approx({"b": 1 / 62 + 2 / 61, "c": 2 / 62, "a": 1 / 61})
    assert list(fused) == ["b", "c", "a"]


def test_ties_keep_the_first_ranking_first() -> None:
    assert list(reciprocal_rank_fusion([(["a"], 1.0), (["b"], 1.0)])) == ["a", "b"]


def test_one_file_does_not_fill_the_first_places() -> None:
    scores = {"a:0": 1.0, "a:1": 0.9, "a:2": 0.8, "b:0": 0.6, "c:0": 0.3}
    assert spread(scores, lambda name: name[0]) == ["a:0", "b:0", "a:1", "c:0", "a:2"]


def test_a_huge_document_needs_a_better_passage() -> None:
    sizes = {"small:0": 5, "huge:0": 3000}
    assert without_chance({"huge:0": 0.61, "small:0": 0.6}, sizes.__getitem__) == ["small:0", "huge:0"]
    assert without_chance({"huge:0": 0.8, "small:0": 0.6}, sizes.__getitem__) == ["huge:0", "small:0"]
    assert without_chance({}, sizes.__getitem__) == []
