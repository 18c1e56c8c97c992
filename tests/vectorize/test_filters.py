"""The filter grammar, and what each filter means."""

from __future__ import annotations

from typing import Any

import pytest

from edgecli.errors import UsageError
from edgecli.vectorize.filters import parse_filter

METADATA = {
    "name": "报告",
    "year": 2024,
    "share": 0.5,
    "open": True,
    "gone": None,
    "tags": ["a", "b"],
    "place": {"city": "上海", "floor": {"n": 3}},
}


@pytest.mark.parametrize(
    ("wanted", "passes"),
    [
        ({"name": "报告"}, True),
        ({"name": "报"}, False),
        ({"year": 2024.0}, True),
        ({"year": "2024"}, False),
        ({"open": True}, True),
        ({"open": 1}, False),
        ({"share": {"$eq": 0.5}}, True),
        ({"year": {"$ne": 2024}}, False),
        ({"year": {"$ne": "2024"}}, True),
        ({"missing": {"$ne": "x"}}, True),
        ({"missing": "x"}, False),
        ({"missing": None}, True),
        ({"gone": None}, True),
        ({"name": None}, False),
        ({"name": {"$ne": None}}, True),
        ({"gone": {"$ne": None}}, False),
        ({"name": {"$in": ["x", "报告"]}}, True),
        ({"open": {"$in": [1, "true"]}}, False),
        ({"name": {"$in": []}}, False),
        ({"name": {"$nin": []}}, True),
        ({"missing": {"$nin": ["x"]}}, True),
        ({"year": {"$nin": [1, 2024]}}, False),
        ({"year": {"$gt": 2023, "$lte": 2024}}, True),
        ({"year": {"$gte": 2024, "$lt": 2024}}, False),
        ({"year": {"$gt": "2023"}}, False),
        ({"open": {"$gte": 0}}, False),
        ({"missing": {"$lt": 5}}, False),
        ({"name": {"$gt": "报"}}, True),
        ({"name": {"$lt": "报告书"}}, True),
        ({"place.city": "上海"}, True),
        ({"place.floor.n": {"$lt": 4}}, True),
        ({"place.floor.n.x": 3}, False),
        ({"place": "上海"}, False),
        ({"place": {"$ne": "上海"}}, True),
        ({"tags": "a"}, False),
        ({"year": 2024, "name": "x"}, False),
    ],
)
def test_filter_means(wanted: dict[str, Any], passes: bool) -> None:
    assert parse_filter(wanted).matches(METADATA) is passes


def test_metadata_may_be_absent() -> None:
    assert parse_filter({"a": {"$ne": 1}}).matches(None)
    assert not parse_filter({"a": 1}).matches(None)


@pytest.mark.parametrize(
    ("wanted", "message", "hint"),
    [
        ({}, "at least one property", ""),
        ([], "at least one property", ""),
        ("x", "at least one property", ""),
        ({"year": {"$gtee": 1}}, "`$gtee`", "$gte"),
        ({"year": {}}, "no operator", "$eq"),
        ({"$or": [{"a": 1}]}, "`$or`", "no $or"),
        ({"$gt": 1}, "`$gt`", "below its property"),
        ({"": 1}, "no property", ""),
        ({'a"b': 1}, "no property", ""),
        ({"a|b": 1}, "no property", ""),
        ({"x" * 513: 1}, "no property", "512"),
        ({"a": [1]}, "array or object", ""),
        ({"a": {"$eq": {"b": 1}}}, "array or object", ""),
        ({"a": {"$in": "x"}}, "takes an array", ""),
        ({"a": {"$in": [[1]]}}, "array or object", ""),
        ({"a": {"$lt": True}}, "not true", ""),
        ({"a": {"$gte": None}}, "not null", ""),
        ({"a": {"$lt": 1, "$lte": 2}}, "combines $lt, $lte", ""),
        ({"a": {"$eq": 1, "$gt": 0}}, "combines", ""),
        ({"a": "字" * 700}, "2,048", ""),
        ({"a": {1, 2}}, "no JSON", ""),
    ],
)
def test_wrong_filter_is_refused(wanted: Any, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_filter(wanted)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")
    assert caught.value.code == "invalid_filter"
