from __future__ import annotations

from pathlib import Path

import pytest

from edgecli.documents.formats.csv import parse
from tests.documents.words import chunks_of, document_of


def rows(source: str) -> list[str]:
    return [source[block.start : block.end] for block in parse(source).blocks]


def test_chunks_are_whole_rows_under_the_names_of_the_columns(tmp_path: Path) -> None:
    source = "name,price,note\n" + "".join(f"item {n},{n}.50,sold every day\n" for n in range(50))
    document = document_of(tmp_path, "prices.csv", source)
    chunks = chunks_of(document, size=50, overlap=20)
    assert document.text == source
    assert {chunk.heading for chunk in chunks} == {"name, price, note"}
    assert [line for chunk in chunks for line in chunk.text.split("\n")] == source.strip().split("\n")


def test_a_quoted_field_may_hold_line_breaks() -> None:
    source = 'a,b\r\n"one\r\n""two"", three",2\r\nx,y\r\n'
    assert rows(source) == ["a,b", '"one\r\n""two"", three",2', "x,y"]


def test_a_stray_quote_does_not_swallow_the_rest() -> None:
    source = 'size,name\n5",nail\n6,screw\n'
    assert rows(source) == source.strip().split("\n")


@pytest.mark.parametrize(
    ("source", "heading"),
    [
        ("名称\t价格\n茶\t3\n", ("名称, 价格",)),
        ("a;b;c\n1;2;3\n", ("a, b, c",)),
        ('"first name",age\nAda,36\n', ("first name, age",)),
        ("1,2,3\n4,5,6\n", ()),
        ("2026-01-02,tea\n2026-01-03,milk\n", ()),
    ],
)
def test_the_header(source: str, heading: tuple[str, ...]) -> None:
    assert parse(source).blocks[-1].path == heading


def test_a_row_that_does_not_fit_is_cut(tmp_path: Path) -> None:
    source = "id,text\nfirst," + "many words here, " * 60 + "\nsecond,short\n"
    chunks = chunks_of(document_of(tmp_path, "a.csv", source), size=40)
    assert len(chunks) > 4
    assert chunks[-1].text.endswith("second,short")
