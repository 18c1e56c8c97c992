import pytest

from edgecli.rag.fusion import add_groups, rank_groups, reciprocal_rank_fusion, spread, without_chance


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
    assert list(without_chance({"huge:0": 0.61, "small:0": 0.6}, sizes.__getitem__)) == ["small:0", "huge:0"]
    assert list(without_chance({"huge:0": 0.8, "small:0": 0.6}, sizes.__getitem__)) == ["huge:0", "small:0"]
    assert without_chance({}, sizes.__getitem__) == {}


def _first_letter(name: str) -> str:
    return name[0]


def test_a_document_that_says_it_in_several_places_comes_first() -> None:
    scores = {"a:0": 0.9, "b:0": 0.8, "b:1": 0.7, "c:0": 0.1}
    assert rank_groups(scores, _first_letter) == ["b", "a", "c"]


def test_only_the_best_passages_of_a_document_count() -> None:
    many = {f"long:{number}": 0.5 for number in range(20)}
    assert rank_groups({"a:0": 0.9, "a:1": 0.8, **many, "z:0": 0.1}, _first_letter) == ["a", "l", "z"]


def test_a_document_loses_nothing_for_passages_that_were_not_looked_at() -> None:
    similarities = {"a:0": 0.9, "b:0": 0.62, "b:1": 0.61, "c:0": 0.6}
    assert rank_groups(similarities, _first_letter) == ["a", "b", "c"]
    assert rank_groups({}, _first_letter) == []


def test_every_passage_of_a_document_gains_by_its_rank() -> None:
    raised = add_groups({"a:0": 0.3, "b:0": 0.2, "b:1": 0.1}, [(["b", "a"], 2.0), (["b"], 1.0)], _first_letter)
    assert raised == pytest.approx({"b:0": 0.2 + 3 / 11, "a:0": 0.3 + 2 / 12, "b:1": 0.1 + 3 / 11})
    assert list(raised) == ["b:0", "a:0", "b:1"]
