"""The encodings of vectors in a request's body."""

from __future__ import annotations

import pytest

from edgecli.errors import UsageError
from edgecli.vectorize.bodies import parse_vectors

A = {"id": "甲", "values": [1, 2.5]}
B = {"id": "b", "values": [3, 4]}
LINE_A = '{"id": "甲", "values": [1, 2.5]}'
LINE_B = '{"id": "b", "values": [3, 4]}'


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (f"{LINE_A}\n{LINE_B}", [A, B]),
        (f"{LINE_A}\r\n\r\n{LINE_B}\n\n", [A, B]),
        (LINE_A, [A]),
        (f'{{"vectors": [{LINE_A},\n {LINE_B}]}}', [A, B]),
        (f"\ufeff{LINE_A}", [A]),
        ("", []),
    ],
)
def test_vectors_are_read(text: str, rows: list[object]) -> None:
    assert parse_vectors(text.encode()) == rows


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (f"{LINE_A}\nnot json\n{LINE_B}".encode(), "line 2 is no JSON"),
        (f"{LINE_A}\n{LINE_B[:-3]}".encode(), "line 2 is no JSON"),
        (f"{LINE_A}\n{LINE_B}".encode("utf-16"), "line 1 is no JSON"),
        (b'{"vectors": 5}', "no array"),
        (b"7", "no array"),
    ],
)
def test_what_cannot_be_read_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse_vectors(body)
    assert caught.value.cf_code == 40023


def test_unparsable_lines_can_be_left_out() -> None:
    assert parse_vectors(f"{LINE_A}\nnot json\n{LINE_B[:-3]}".encode(), discard=True) == [A]
