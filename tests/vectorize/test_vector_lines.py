"""The encodings of vectors in a body, however its bytes are cut."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edgecli.errors import UsageError
from edgecli.vectorize.form_file import FormFile, Sink
from edgecli.vectorize.vector_lines import VectorLines

A = {"id": "甲", "values": [1, 2.5]}
B = {"id": "b", "values": [3, 4], "metadata": {"t": 'a "quoted" ]}\\', "o": {"l": [[1], {}]}}}
LINE_A = json.dumps(A, ensure_ascii=False)
LINE_B = json.dumps(B)
SIZES = (1, 2, 7, 64, 10_000)


class Kept:
    def __init__(self) -> None:
        self.rows: list[Any] = []
        self.lines: list[int | None] = []

    def add(self, raw: Any, *, line: int | None = None) -> None:
        self.rows.append(raw)
        self.lines.append(line)


def feed(sink: Sink, body: bytes, size: int) -> None:
    for start in range(0, len(body), size):
        sink.feed(body[start : start + size])
    sink.close()


def read(body: bytes, size: int = 10_000, *, discard: bool = False) -> Kept:
    kept = Kept()
    feed(VectorLines(kept, discard=discard), body, size)
    return kept


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (f"{LINE_A}\n{LINE_B}", [A, B]),
        (f"{LINE_A}\r\n\r\n{LINE_B}\n\n", [A, B]),
        (LINE_A, [A]),
        (f'{{"vectors": [{LINE_A},\n {LINE_B}]}}', [A, B]),
        (f'{{"vectors":[{LINE_B}],"more":{{"a":[1]}}}}\n', [B]),
        (json.dumps({"vectors": [A, B]}, indent=4), [A, B]),
        (f"[{LINE_B},{LINE_A}]", [B, A]),
        ('{"vectors": []}', []),
        (f"\ufeff{LINE_A}", [A]),
        ("", []),
        ("\n\n", []),
    ],
)
def test_vectors_are_read(text: str, rows: list[object], size: int) -> None:
    assert read(text.encode(), size).rows == rows


def test_rows_know_their_lines() -> None:
    assert read(f"{LINE_A}\n\n{LINE_B}".encode()).lines == [1, 3]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (f"{LINE_A}\nnot json\n{LINE_B}".encode(), "line 2 is no JSON"),
        (f"{LINE_A}\n{LINE_B[:-3]}".encode(), "the last line, 2, is unfinished"),
        (f"{LINE_A}\n{LINE_B[:-3]}\n".encode(), "line 2 is no JSON"),
        (f"{LINE_A}\n{LINE_B}".encode("utf-16"), "UTF-16"),
        (f"{LINE_A}\n{LINE_B}".encode("utf-16-le"), "UTF-16"),
        (f"{LINE_A}\n{LINE_B}".encode("utf-16-be"), "UTF-16"),
        (f"{LINE_A}\n{LINE_B}".encode("utf-32"), "UTF-16 or UTF-32"),
        (f"{LINE_B}\n{LINE_A}".encode("gbk"), "line 2 is no UTF-8: byte 0xbc at 8"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b'{"id": "a", "values": [1, NaN]}\n', "line 1 holds NaN or infinity"),
        (b'{"id": "a", "values": [-Infinity, 1]}\n', "line 1 holds NaN or infinity"),
        (b'{"vectors": 5}', "line 1 has no id"),
        (b'{"vectors": [5]}', "vector 1: it is no object"),
        (f'{{"vectors": [{LINE_A}, "x"]}}'.encode(), "vector 2: it is no object"),
        (f'{{"vectors": [{LINE_A} {LINE_B}]}}'.encode(), "vector 2: it is no object"),
        (f'{{"vectors": [{LINE_A}, {LINE_B}'.encode(), "vector 3: the body ends"),
        (f'{{"vectors": [{LINE_A}, {LINE_B[:-3]}'.encode(), "vector 2: the body ends"),
        (f'{{"vectors": [{LINE_A}, {LINE_B}]'.encode(), "what follows the vectors"),
        (f'{{"vectors": [{LINE_A}]}} more'.encode(), "what follows the vectors"),
    ],
)
def test_what_cannot_be_read_is_refused(body: bytes, message: str, size: int) -> None:
    class Objects(Kept):
        def add(self, raw: Any, *, line: int | None = None) -> None:
            if "id" not in raw:
                raise UsageError(f"line {line} has no id", cf_code=40023)

    with pytest.raises(UsageError, match=message) as caught:
        feed(VectorLines(Objects()), body, size)
    assert caught.value.cf_code == 40023


def test_lines_that_are_no_object_can_be_left_out() -> None:
    kept = Kept()
    lines = VectorLines(kept, discard=True)
    feed(lines, f"{LINE_A}\nnot json\n5\n{LINE_B[:-3]}".encode(), 10)
    assert (kept.rows, lines.left_out) == ([A], [2, 3, 4])


@pytest.mark.parametrize("head", [b'{"id": "', b'{"vectors": [{"id": "', b"[[[[", b" "])
def test_a_line_without_end_is_refused_long_before_it_is_read(head: bytes) -> None:
    lines = VectorLines(Kept())
    with pytest.raises(UsageError, match="longer than 4,194,304 bytes"):
        lines.feed(head)
        for piece in range(100):
            assert piece < 10, "it reads on"
            lines.feed(b"x" * 1_000_000)


def form(*parts: tuple[str, bytes], end: str = "--") -> bytes:
    body = b"".join(
        f"--edge\r\nContent-Disposition: form-data; {names}\r\n\r\n".encode() + content + b"\r\n"
        for names, content in parts
    )
    return body + f"--edge{end}\r\n".encode()


FILE = 'name="vectors"; filename="vectors.ndjson"'


@pytest.mark.parametrize("size", SIZES)
def test_the_file_of_a_form_is_read(size: int) -> None:
    lines = f"{LINE_A}\n{LINE_B}".encode()
    for parts in (
        [(FILE, lines)],
        [('name="other"', b"5"), (FILE, lines), ('name="f"; filename="g"', b"{")],
        [('name="vectors"', lines)],
    ):
        kept = Kept()
        feed(FormFile("multipart/form-data; boundary=edge;", VectorLines(kept)), form(*parts), size)
        assert kept.rows == [A, B]


@pytest.mark.parametrize(
    ("kind", "body", "message"),
    [
        ("multipart/form-data", form((FILE, b"")), "names no boundary"),
        ("multipart/form-data; boundary=edge", form((FILE, b"{}"), end=""), "ends before"),
        ("multipart/form-data; boundary=edge", form(('name="other"', b"5")), "no file"),
        ("multipart/form-data; boundary=edge", b"no form at all, but long enough", "cannot be read"),
        ("multipart/form-data; boundary=edge", b"", "ends before"),
    ],
)
def test_a_broken_form_is_refused(kind: str, body: bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        feed(FormFile(kind, VectorLines(Kept())), body, 10_000)
