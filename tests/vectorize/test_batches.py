"""Faults in a batch are found before anything is written, and the row is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgecli.errors import UsageError
from edgecli.vectorize.batches import batch_of_arrays, batch_of_rows

GOOD: dict[str, Any] = {"id": "a", "values": [1.0, 2.0]}


def deep(levels: int) -> dict[str, Any]:
    return {"k": deep(levels - 1)} if levels else {}


@pytest.mark.parametrize(
    ("fault", "message", "cf_code"),
    [
        ({"values": [1.0]}, 'invalid vector for id="a", expected 2 dimensions, and got 1 dimensions', 40012),
        ({"id": "x" * 74}, "id too long; max is 64 bytes, got 74 bytes", 40008),
        ({"id": "字" * 22}, "id too long; max is 64 bytes, got 66 bytes", 40008),
        ({"id": ""}, "a string of 1 to 64 bytes", 40023),
        ({"id": None}, "a string of 1 to 64 bytes", 40023),
        ({"id": "\ud800"}, "no Unicode", 40023),
        ({"values": None}, "no array", 40023),
        ({"values": [1.0, "2"]}, "not all numbers", 40023),
        ({"values": [1.0, True]}, "not all numbers", 40023),
        ({"values": [1.0, float("nan")]}, "NaN", 40023),
        ({"values": [1.0, float("inf")]}, "infinity", 40023),
        ({"values": [1.0, 1e39]}, "more than float32", 40023),
        ({"namespace": "n" * 65}, "a namespace", 40023),
        ({"namespace": 5}, "a namespace", 40023),
        ({"metadata": []}, "no object", 40023),
        ({"metadata": {"t": "字" * 3500}}, "max is 10240 bytes, got 10508 bytes", 40023),
        ({"metadata": {"$a": 1}}, "key `$a`", 40023),
        ({"metadata": {"a.b": 1}}, "key `a.b`", 40023),
        ({"metadata": {"a": {"": 1}}}, "key ``", 40023),
        ({"metadata": {'a"': 1}}, 'key `a"`', 40023),
        ({"metadata": {"a": "\ud800"}}, "no JSON", 40023),
        ({"metadata": deep(70)}, "nested deeper", 40023),
    ],
)
def test_a_fault_names_its_row(fault: dict[str, Any], message: str, cf_code: int) -> None:
    with pytest.raises(UsageError) as caught:
        batch_of_rows([GOOD, {**GOOD, **fault}], 2)
    assert message in caught.value.message
    assert caught.value.cf_code == cf_code
    assert caught.value.details["row"] == 2
    assert "row 2" in (caught.value.hint or "")


def test_a_row_that_is_no_object_is_refused() -> None:
    with pytest.raises(UsageError, match="row 2 is no object"):
        batch_of_rows([GOOD, 5], 2)


def test_arrays_are_checked_alike() -> None:
    values = np.ones((2, 2), np.float32)
    with pytest.raises(UsageError, match="expected 3 dimensions, and got 2"):
        batch_of_arrays(["a", "b"], values, [None, None], None, 3)
    with pytest.raises(UsageError, match="differ in number"):
        batch_of_arrays(["a"], values, [None, None], None, 2)
    values[1, 0] = np.nan
    with pytest.raises(UsageError, match='id="b" hold NaN'):
        batch_of_arrays(["a", "b"], values, [None, None], None, 2)


def test_duplicates_collapse_to_the_first_or_the_last() -> None:
    rows = [{"id": name, "values": [number]} for number, name in enumerate(["a", "b", "a", "c", "b"])]
    batch = batch_of_rows(rows, 1)
    assert batch.without_duplicates(last_wins=False).values[:, 0].tolist() == [0, 1, 3]
    last = batch.without_duplicates(last_wins=True)
    assert (last.ids, last.values[:, 0].tolist()) == (["a", "b", "c"], [2, 4, 3])
