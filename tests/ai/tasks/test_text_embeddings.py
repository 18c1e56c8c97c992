"""What text embeddings take, refuse and give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgecli.ai.tasks import text_embeddings
from edgecli.errors import UsageError


def test_one_text_is_a_list_of_one() -> None:
    assert text_embeddings.read_input({"text": "退款"}).text == ["退款"]
    assert text_embeddings.read_input({"text": ["a", " "], "pooling": "cls"}).text == ["a", " "]


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ({}, "required properties at '/' are 'text'"),
        ({"text": ""}, "'/text/0' is \"\""),
        ({"text": ["a", ""]}, "'/text/1' is \"\""),
        ({"text": []}, "'/text' is []"),
        ({"text": ["a"] * 101}, "at most 100 items, not 101"),
        ({"text": 5}, "Type mismatch of '/text', 'array' not in 'integer'"),
        ({"text": ["a", 1]}, "Type mismatch of '/text/1', 'string' not in 'integer'"),
        ({"text": "a", "pooling": "max"}, "'/pooling' is \"max\": input should be 'mean' or 'cls'"),
    ],
)
def test_refusals_name_the_field_and_the_value(inputs: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        text_embeddings.read_input(inputs)
    assert caught.value.message.startswith("AiError: Bad input: Error: ")
    assert problem in caught.value.message
    assert caught.value.cf_code == 5006


def test_the_shape_of_an_answer() -> None:
    vectors = np.ones((2, 3), dtype=np.float32)
    result = text_embeddings.result(vectors, "mean")
    assert (result["shape"], result["pooling"]) == ([2, 3], "mean")
    assert result["data"].tolist() == [[1, 1, 1], [1, 1, 1]]
