from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgecli.documents.formats.json import parse
from tests.documents.words import chunks_of, document_of


@pytest.mark.parametrize("indent", [None, 2])
def test_members_are_found_with_and_without_line_breaks(tmp_path: Path, indent: int | None) -> None:
    value = {
        "name": "shop",
        "servers": [{"host": f"server-{n}", "roles": ["web", "database"], "port": 8000 + n} for n in range(40)],
        "政策": {"退款": "三十天内可以申请退款。" * 80, "运费": "客户"},
    }
    source = json.dumps(value, indent=indent, ensure_ascii=False)
    document = document_of(tmp_path, "a.json", source)
    assert document.text == source
    chunks = chunks_of(document, size=120)
    assert {"servers", "政策 > 退款"} <= {chunk.heading for chunk in chunks}
    servers = [chunk.text for chunk in chunks if chunk.heading == "servers"]
    assert all(text.rstrip(",] \n").endswith("}") for text in servers)
    assert sum(text.count('"host"') for text in servers) >= 38


def test_small_members_share_a_chunk(tmp_path: Path) -> None:
    (chunk,) = chunks_of(document_of(tmp_path, "a.json", '{"a": 1, "b": [2, 3], "c": {"d": null}}'))
    assert chunk.heading == ""
    assert chunk.text == '{"a": 1, "b": [2, 3], "c": {"d": null}}'


@pytest.mark.parametrize(
    "source",
    [
        '// a comment\n{"a": 1}',
        '{"a": 1',
        "[1, 2,]",
        "{a: 1}",
        '{"a": 1} {"b": 2}',
        "[" * 100_000,
        "NaN and more",
        "12x",
    ],
)
def test_what_is_no_strict_json_is_still_text(tmp_path: Path, source: str) -> None:
    document = document_of(tmp_path, "a.json", source)
    assert document.text == source
    assert document.blocks
    if source[0] != "[":
        assert "".join(chunk.text for chunk in chunks_of(document)) == source


def test_large_items_of_an_array_are_numbered() -> None:
    item = {"text": "words " * 120, "list": list(range(300))}
    paths = {block.path for block in parse(json.dumps([item, item])).blocks}
    assert {("[0]", "text"), ("[0]", "list"), ("[1]", "text")} <= paths


def test_json_lines_are_records(tmp_path: Path) -> None:
    lines = [json.dumps({"id": n, "text": "some words of a record"}) for n in range(30)]
    chunks = chunks_of(document_of(tmp_path, "a.jsonl", "\n".join(lines) + "\n"), size=60)
    assert [line for chunk in chunks for line in chunk.text.split("\n")] == lines
