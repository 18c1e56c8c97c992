"""Batches by length under a token budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgecli.ai.engines.embedding import SLAB, embed_in_batches, plan_batches

LENGTHS = st.lists(st.integers(0, 600), max_size=80)


@given(LENGTHS, st.integers(1, 2000))
def test_every_text_comes_once_and_no_batch_outgrows_the_budget(lengths: list[int], budget: int) -> None:
    batches = list(plan_batches(lengths, budget))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        padded = max(lengths[index] for index in batch) * len(batch)
        assert padded <= budget or len(batch) == 1


@given(LENGTHS)
def test_neighbours_in_length_share_a_batch(lengths: list[int]) -> None:
    order = [lengths[index] for batch in plan_batches(lengths, 1000) for index in batch]
    assert order == sorted(lengths, reverse=True)


def test_vectors_come_back_in_the_order_of_the_texts() -> None:
    texts = [str((index * 7919) % 5000) for index in range(SLAB * 2 + 17)]

    def measure(
        slab: Sequence[str],
    ) -> tuple[list[int], Callable[[list[int]], np.ndarray]]:
        def run(batch: list[int]) -> np.ndarray:
            return np.array([[float(slab[index])] for index in batch], dtype=np.float32)

        return [len(text) for text in slab], run

    vectors = embed_in_batches(texts, dimensions=1, budget=64, measure=measure)
    assert vectors[:, 0].tolist() == [float(text) for text in texts]
