"""Options as wrangler's parser reads them."""

from __future__ import annotations

import pytest

from edgecli.errors import UsageError
from edgecli.vectorize.wrangler_options import in_kebab_case, join_numbers, one_by_one, parse_vector


@pytest.mark.parametrize(
    ("given", "joined"),
    [
        (
            ["ix", "--vector", "0.1", "-1e-05", "3", "--top-k", "2"],
            ["ix", "--vector=0.1 -1e-05 3", "--top-k", "2"],
        ),
        (["--vector", "[1, 2]", "ix"], ["--vector", "[1, 2]", "ix"]),
        (["--vector=1,2", "ix"], ["--vector=1,2", "ix"]),
        (["ix", "--vector", "1", "-v", "--vector"], ["ix", "--vector=1", "-v", "--vector"]),
        (["ix", "--vector-id", "5", "6"], ["ix", "--vector-id", "5", "6"]),
    ],
)
def test_numbers_after_vector_are_one_argument(given: list[str], joined: list[str]) -> None:
    assert join_numbers(given) == joined


@pytest.mark.parametrize("text", ["0.5 -1e-05 3", "0.5,-1e-05,3", "0.5, -1e-05, 3", "[0.5, -1e-05, 3]"])
def test_a_vector_is_written_in_several_ways(text: str) -> None:
    assert parse_vector(text) == [0.5, -1e-05, 3.0]


@pytest.mark.parametrize("text", ["1 x", "[1, ", '[1, "x"]', "[[1]]", "1 nan", "[1, Infinity]"])
def test_what_is_no_vector_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--vector"):
        parse_vector(text)


@pytest.mark.parametrize(
    ("given", "split"),
    [
        (["ix", "--ids", "a", "b", "-1", "--json"], ["ix", "--ids=a", "--ids=b", "--ids=-1", "--json"]),
        (["ix", "--ids=a", "b c"], ["ix", "--ids=a", "--ids=b c"]),
        (["ix", "--ids", "a", "--ids", "b=c"], ["ix", "--ids=a", "--ids=b=c"]),
        (["ix", "--ids=--a", "-v"], ["ix", "--ids=--a", "-v"]),
        (["ix", "--ids"], ["ix", "--ids"]),
    ],
)
def test_words_after_ids_are_ids(given: list[str], split: list[str]) -> None:
    assert one_by_one(given) == split


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("--topK", "--top-k"),
        ("--topK=3", "--top-k=3"),
        ("--returnValues", "--return-values"),
        ("--noSuch", "--noSuch"),
        ("topK", "topK"),
        ("-K", "-K"),
    ],
)
def test_names_in_humps_are_read(given: str, read: str) -> None:
    assert in_kebab_case(given, ["--top-k", "--return-values"]) == read
