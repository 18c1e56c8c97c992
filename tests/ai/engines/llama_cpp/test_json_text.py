"""JSON while it is written: every beginning of a value can be ended, and what is no beginning is seen at once."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecli.ai.engines.llama_cpp.json_text import JsonText

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def read(text: str) -> JsonText:
    reader = JsonText()
    for character in text:
        reader.take(character)
    return reader


@given(VALUES, st.booleans(), st.sampled_from([None, 1]))
@settings(max_examples=150, deadline=None)
@pytest.mark.slow
def test_every_beginning_can_be_ended(value: Any, ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    for length in range(len(text) + 1):
        reader = read(text[:length])
        assert not reader.broken
        json.loads(text[:length] + reader.ending())
    assert read(text).done or isinstance(value, int | float)


@pytest.mark.parametrize(
    "text",
    [
        "]",
        "}",
        "[,",
        "[1,]",
        "{,",
        '{"a",',
        '{"a" 1',
        '{"a": }',
        '{"a": 1,}',
        "{1",
        "01",
        "-a",
        "1..",
        "1e+-",
        "1.e",
        "trup",
        "nulL",
        '"\n',
        '"\\x',
        '"\\u12g',
        "[1}",
        "{]",
        "1 2",
        "[] []",
        "tr ",
        "+1",
        "NaN",
        "'a'",
    ],
)
def test_what_is_no_json_is_broken(text: str) -> None:
    assert read(text).broken
    assert read(text).ending() == ""


def test_noise_is_judged_as_by_the_standard_library() -> None:
    luck = random.Random(5)
    for _ in range(3000):
        text = "".join(luck.choice('{}[]",:\\ tru1-.e0nl') for _ in range(luck.randrange(1, 9)))
        try:
            json.loads(text)
        except ValueError:
            assert not read(text).done
        else:
            reader = read(text)
            assert not reader.broken and reader.ending() == ""
