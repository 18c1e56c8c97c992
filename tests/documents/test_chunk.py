from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from edgecli.documents.chunk import chunk_document
from edgecli.documents.formats import markdown
from edgecli.documents.formats import text as plain
from edgecli.documents.schema import Document
from tests.documents.words import WordCounter, chunks_of, document_of

SENTENCE = "The customer pays the postage of every parcel that comes back. "


def prose(words: int) -> str:
    return (SENTENCE * (words // 11 + 1)).strip()


def test_a_section_that_fits_is_one_chunk_under_its_heading(tmp_path: Path) -> None:
    document = document_of(
        tmp_path, "a.md", f"# Shop\n\n{prose(40)}\n\n## Refunds\n\n{prose(35)}\n\n## Returns\n\n{prose(35)}\n"
    )
    chunks = chunks_of(document, size=60)
    assert [chunk.heading for chunk in chunks] == ["Shop", "Shop > Refunds", "Shop > Returns"]
    assert chunks[1].text.startswith("## Refunds\n\nThe customer")


def test_tiny_sections_share_a_chunk_under_their_common_heading(tmp_path: Path) -> None:
    source = "# Words\n\n" + "".join(f"## Word {n}\n\nIt means {n}.\n\n" for n in range(12))
    chunks = chunks_of(document_of(tmp_path, "a.md", source), size=40)
    assert {chunk.heading for chunk in chunks} == {"Words"}
    assert len(chunks) == 3


def test_sections_of_different_chapters_stay_apart(tmp_path: Path) -> None:
    source = "# One\n\n## A\n\nShort text.\n\n# Two\n\n## B\n\nShort text.\n"
    chunks = chunks_of(document_of(tmp_path, "a.md", source), size=60)
    assert [chunk.heading for chunk in chunks] == ["One > A", "Two > B"]


def test_no_chunk_is_only_a_heading(tmp_path: Path) -> None:
    source = f"# Empty\n\n## Also empty\n\n### Full\n\n{prose(200)}\n\n# Nothing follows"
    chunks = chunks_of(document_of(tmp_path, "a.md", source), size=50)
    assert chunks[0].text.startswith("# Empty\n\n## Also empty\n\n### Full\n\nThe customer")
    assert chunks[-1].text.endswith("# Nothing follows")
    assert all("postage" in chunk.text for chunk in chunks)


def test_an_outline_without_text_is_kept_as_text(tmp_path: Path) -> None:
    source = "\n\n".join(f"## Chapter {n} of the long book" for n in range(40))
    chunks = chunks_of(document_of(tmp_path, "a.md", source), size=30)
    assert all(f"Chapter {n} " in " ".join(chunk.text for chunk in chunks) for n in range(40))


def test_overlap_repeats_whole_sentences_of_the_same_section(tmp_path: Path) -> None:
    first = " ".join(f"Sentence number {n} says something." for n in range(30))
    second = " ".join(f"Other sentence {n} says more." for n in range(30))
    document = document_of(tmp_path, "a.md", f"# A\n\n{first}\n\n# B\n\n{second}\n")
    chunks = chunks_of(document, size=60, overlap=14)
    for before, after in pairwise(chunks):
        if before.heading == after.heading:
            repeated = document.text[after.start : before.end]
            assert re.fullmatch(r"(?:(?:Sentence number|Other sentence) \d+ says \w+\.\s*)+", repeated)
            assert len(WordCounter().offsets(repeated)) <= 14
        else:
            assert after.start > before.end
            assert after.text.startswith("# B")
    assert len(chunks) > 4


def test_a_fence_or_a_table_that_fits_is_not_cut(tmp_path: Path) -> None:
    fence = "```python\n" + "\n\n".join(f"value_{n} = compute({n})" for n in range(4)) + "\n```"
    table = "| name | price |\n|---|---|\n" + "\n".join(f"| thing {n} | {n} |" for n in range(5))
    document = document_of(
        tmp_path, "a.md", f"# A\n\n{prose(50)}\n\n{fence}\n\n{prose(30)}\n\n{table}\n\n{prose(50)}\n"
    )
    texts = [chunk.text for chunk in chunks_of(document, size=60)]
    assert any(fence in text for text in texts)
    assert any(table in text for text in texts)


def test_a_fence_that_does_not_fit_is_cut_between_lines(tmp_path: Path) -> None:
    lines = [f"call_{n}(argument, other)" for n in range(60)]
    document = document_of(tmp_path, "a.md", "```\n" + "\n".join(lines) + "\n```\n")
    chunks = chunks_of(document, size=50)
    pieces = [line for chunk in chunks for line in chunk.text.split("\n") if line != "```"]
    assert pieces == lines


def test_what_announces_a_list_stays_with_it(tmp_path: Path) -> None:
    items = "\n".join(f"- item {n} is one of the things you may send back" for n in range(3))
    document = document_of(tmp_path, "a.md", f"# A\n\n{prose(44)}\n\nYou may return:\n\n{items}\n\n{prose(40)}\n")
    holder = next(chunk.text for chunk in chunks_of(document, size=60) if "You may return:" in chunk.text)
    assert "You may return:\n\n- item 0" in holder


def test_chinese_is_cut_after_its_sentences(tmp_path: Path) -> None:
    source = "# 政策\n\n" + "客户可以在三十天内申请退款；邮费由客户承担。他说：“可以退货。”我们会尽快处理！" * 20
    chunks = chunks_of(document_of(tmp_path, "a.md", source), size=80, overlap=20)
    assert len(chunks) > 8
    assert all(chunk.heading == "政策" for chunk in chunks)
    assert all(chunk.text[-1] in "；。！”" for chunk in chunks)
    assert not any(chunk.text.startswith("”") for chunk in chunks)


def test_a_ruler_alone_gives_no_chunk(tmp_path: Path) -> None:
    document = document_of(tmp_path, "a.md", "Some words.\n\n" + "-" * 300 + "\n\nMore words.\n")
    texts = [chunk.text for chunk in chunks_of(document, size=40)]
    assert texts == ["Some words.", "More words."]


@pytest.mark.parametrize(
    ("unit", "length"),
    [
        ("x", 5_000_000),
        *((unit, 500_000) for unit in ["字", ".", "。", "# ", "a b", "- ", "|", "`", '"', ">", "a. ", "===\n"]),
    ],
)
def test_a_long_text_without_structure_takes_linear_time(unit: str, length: int) -> None:
    source = unit * (length // len(unit))
    parsed = markdown.parse(source)
    document = Document("", source, "markdown", "utf-8", tuple(parsed.blocks))
    chunks = chunk_document(document, tokens=WordCounter(), chunk_tokens=200, overlap_tokens=40)
    assert all(chunk.tokens <= 200 for chunk in chunks)
    assert all(source[chunk.start : chunk.end] == chunk.text for chunk in chunks[:50])
    if unit in ("x", "字"):
        assert sum(chunk.end - chunk.start for chunk in chunks) == len(source)


def test_one_huge_token_is_not_one_huge_chunk() -> None:
    class OneToken:
        """What WordPiece does with a word of over 100 characters."""

        def offsets(self, text: str) -> list[tuple[int, int]]:
            return [(0, len(text))]

    source = "0123456789abcdef" * 1000
    document = Document("", source, "text", "utf-8", tuple(plain.parse(source).blocks))
    chunks = chunk_document(document, tokens=OneToken(), chunk_tokens=200, overlap_tokens=0)
    assert max(len(chunk.text) for chunk in chunks) <= 800
    assert "".join(chunk.text for chunk in chunks) == source


@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (10, 10), (10, -1)])
def test_impossible_sizes_are_refused(size: int, overlap: int) -> None:
    document = Document("", "a", "text", "utf-8")
    with pytest.raises(ValueError, match="chunk_tokens"):
        chunk_document(document, tokens=WordCounter(), chunk_tokens=size, overlap_tokens=overlap)
