"""Files of vectors: what is read of them, and what is said of those that are none."""

from __future__ import annotations

import io
import json
import tracemalloc
from pathlib import Path

import pytest

from edgecli.errors import NotFoundError, UsageError
from edgecli.vectorize import vector_file
from edgecli.vectorize.vector_file import FileBatch, VectorFile, find_fault


def opened(file: Path | str):
    return VectorFile.open(str(file), "edgecli vectorize upsert docs --file -")


def written(tmp_path: Path, content: bytes) -> Path:
    file = tmp_path / "v.ndjson"
    file.write_bytes(content)
    return file


def line(vector_id: str) -> bytes:
    return json.dumps({"id": vector_id, "values": [1]}).encode()


def test_batches_keep_the_places_of_lines(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + line("a") + b"\r\n\r\n" + line("b") + b"\n  " + line("c") + b"  "
    with opened(written(tmp_path, content)) as file:
        batches = list(file.batches(2))
    assert batches == [FileBatch([line("a"), line("b")], [1, 3]), FileBatch([line("c")], [4])]
    assert file.bytes_read == file.size == len(content)


def test_a_batch_is_limited_by_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_file, "MAX_BATCH_BYTES", 2 * len(line("a")))
    content = b"\n".join(line(each) for each in "abcde")
    with opened(written(tmp_path, content)) as file:
        assert [batch.numbers for batch in file.batches(100)] == [[1, 2], [3, 4], [5]]


def test_a_long_file_takes_the_memory_of_a_batch(tmp_path: Path) -> None:
    file = written(tmp_path, (line("a") + b" " * 175 + b"\n") * 100_000)
    tracemalloc.start()
    try:
        with opened(file) as vectors:
            assert sum(len(batch.lines) for batch in vectors.batches(1000)) == 100_000
        assert tracemalloc.get_traced_memory()[1] < file.stat().st_size / 10
    finally:
        tracemalloc.stop()


def test_standard_input_is_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BufferedReader(io.BytesIO(line("a") + b"\n")))  # pyright: ignore[reportArgumentType]
    monkeypatch.setattr("sys.stdin", stream)
    with opened("-") as file:
        assert [batch.lines for batch in file.batches(10)] == [[line("a")]]
        assert file.size is None


@pytest.mark.parametrize(
    ("content", "message", "hint"),
    [
        (b"", "🚨 Cannot read invalid or empty file", "It is empty"),
        (b" \n\n", "🚨 Cannot read invalid or empty file", "It is empty"),
        (line("a").decode().encode("utf-16"), "is written in UTF-16, not in UTF-8", "`iconv -f UTF-16 -t UTF-8 "),
        (line("a").decode().encode("utf-16-le"), "is written in UTF-16LE", "`iconv -f UTF-16LE -t UTF-8 "),
        (line("a").decode().encode("utf-16-be"), "is written in UTF-16BE", "`iconv -f UTF-16BE -t UTF-8 "),
        (line("a").decode().encode("utf-32"), "is written in UTF-32", "`iconv -f UTF-32 -t UTF-8 "),
        (b"\x93NUMPY\x01\x00v\x00\x00\x00{'descr'", "holds binary data", "as JSON"),
        (b"\x1f\x8b\x08\x00rest", "is packed", "`gunzip -c "),
        (b' [\n{"id": "a"}]', "is a JSON array", "`jq -c '.[]' "),
    ],
)
def test_what_is_no_file_of_lines(tmp_path: Path, content: bytes, message: str, hint: str) -> None:
    file = written(tmp_path, content)
    with pytest.raises(UsageError) as caught, opened(file):
        pass
    assert message in caught.value.message
    assert str(file) in caught.value.message
    assert hint in (caught.value.hint or "")
    if "`" in hint:
        assert (caught.value.hint or "").endswith(f" {file} | edgecli vectorize upsert docs --file -`.")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"^🚨 Cannot read invalid or empty file: .*none\.$"), opened("none"):
        pass
    with pytest.raises(UsageError) as caught, opened(tmp_path):
        pass
    assert caught.value.hint == "It is a directory."


def test_a_line_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_file, "MAX_LINE_BYTES", 100)
    file = written(tmp_path, line("a") + b"\n" + b'{"id": "' + b"x" * 1000)
    with opened(file) as vectors, pytest.raises(UsageError, match=r"Line 2 of .* is longer than 100 bytes"):
        list(vectors.batches(10))


@pytest.mark.parametrize(
    ("bad", "what", "hint"),
    [
        (b'{"id": "a", "values": [1, 2', "is no JSON: ", "ends in the middle"),
        (b'{"id": "a" "values": [1]}', "(column 12)", ""),
        (b'{"id": "a", "values": [1, NaN]}', "is no JSON: ", "no NaN"),
        (b"a,1,2", "is no JSON: ", ""),
        (b"{", "is no JSON: ", "`jq -c .`"),
        (b"[1, 2]", "is no JSON object", "A line is like"),
        ('{"id": "é"}'.encode("latin-1"), "is not UTF-8: byte 0xe9 at column 9", "UTF-8"),
    ],
)
def test_the_line_at_fault_is_found(bad: bytes, what: str, hint: str) -> None:
    fault = find_fault(FileBatch([line("a"), bad], [7, 9]))
    assert fault is not None
    assert fault.line == 9
    assert what in fault.what
    assert hint in fault.hint
    assert find_fault(FileBatch([line("a")], [1])) is None


def test_an_export_begins_with_its_index(tmp_path: Path) -> None:
    header = {"index": {"name": "docs", "config": {"dimensions": 1, "metric": "cosine"}}}
    file = written(tmp_path, json.dumps(header).encode() + b"\n" + line("a") + b"\n")
    with opened(file) as vectors:
        with pytest.raises(UsageError) as caught:
            vectors.check_is_plain()
        assert caught.value.hint == f"Read it with `edgecli vectorize import --file {file}`."
        assert vectors.header() == header["index"]
        assert list(vectors.batches(5)) == [FileBatch([line("a")], [2])]
    with opened(written(tmp_path, line("a"))) as plain, pytest.raises(UsageError, match="is no export"):
        plain.header()
