"""Pooling by hand-made numbers."""

from __future__ import annotations

import numpy as np
import pytest

from edgecli.ai.engines.pooling import normalise, pool

HIDDEN = np.array([[[1, 5], [3, 1], [9, 9]], [[2, 2], [7, 7], [7, 7]]], dtype=np.float32)
MASK = np.array([[1, 1, 0], [1, 0, 0]])


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("mean", [[2, 3], [2, 2]]),
        ("cls", [[1, 5], [2, 2]]),
        ("lasttoken", [[3, 1], [2, 2]]),
        ("max", [[3, 5], [2, 2]]),
    ],
)
def test_padding_has_no_part_in_the_result(mode: str, expected: list[list[float]]) -> None:
    assert pool(HIDDEN, MASK, mode).tolist() == expected


@pytest.mark.parametrize("mode", ["mean", "max"])
def test_a_text_without_tokens_is_zeros_and_stays_finite(mode: str) -> None:
    vectors = pool(HIDDEN, np.zeros_like(MASK), mode)
    assert normalise(vectors).tolist() == [[0, 0], [0, 0]]


def test_rows_get_length_one() -> None:
    assert np.allclose(np.linalg.norm(normalise(HIDDEN[:, 0]), axis=1), 1)
