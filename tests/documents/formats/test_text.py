from __future__ import annotations

from pathlib import Path

from edgecli.documents.formats.text import parse
from tests.documents.words import chunks_of, document_of


def paragraphs(source: str) -> list[str]:
    return [source[block.start : block.end] for block in parse(source).blocks]


def test_wrapped_lines_are_one_paragraph() -> None:
    source = "A paragraph that is\nwrapped by hand.\n\nThe next one.\n"
    assert paragraphs(source) == ["A paragraph that is\nwrapped by hand.", "The next one."]
    assert parse(source).title == "A paragraph that is"


def test_chinese_paragraphs_need_no_blank_line() -> None:
    source = "\u3000\u3000第一段的话。\n\u3000\u3000第二段的话。\n第三段。\n第四段没有句号\n还在第四段。"
    assert [text.strip() for text in paragraphs(source)] == [
        "第一段的话。",
        "第二段的话。",
        "第三段。",
        "第四段没有句号\n还在第四段。",
    ]


def test_list_items_stand_alone() -> None:
    assert paragraphs("Bring:\n- tea\n- milk\n1. boil\n2. pour\n") == [
        "Bring:",
        "- tea",
        "- milk",
        "1. boil",
        "2. pour",
    ]


def test_a_log_is_cut_between_lines(tmp_path: Path) -> None:
    lines = [f"2026-01-02 03:04:{n:02d} INFO shop. refund {n} done. ok" for n in range(40)]
    document = document_of(tmp_path, "shop.log", "\n".join(lines))
    chunks = chunks_of(document, size=60, overlap=20)
    assert [line for chunk in chunks for line in chunk.text.split("\n")] == lines
    assert document.title == "shop"


def test_old_line_ends() -> None:
    assert paragraphs("one\r\rtwo\rthree\r") == ["one", "two\rthree"]
