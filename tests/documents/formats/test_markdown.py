from __future__ import annotations

from pathlib import Path

from edgecli.documents.formats.markdown import heading_text, parse
from edgecli.documents.schema import BlockKind
from tests.documents.words import chunks_of, document_of

README = """---
title: "Returns: a guide"
draft: false
version: 1.5
count: 3   # how many
tags: [a, b]
empty:
date: 2026-01-02
nested:
  key: value
---
Intro paragraph
of two lines.

# Refund *policy* {#refunds}

<!-- a note to editors -->

1. Ask within 30 days.
2. Send it back:
   ```sh
   # not a heading
   edgecli send
   ```

Setext Heading
==============

| Item | Days |
|------|-----:|
| Book | 30   |
| Food | 0    |

Second level
------------
> Quoted words
> go on.

    indented code

    more of it

### [Link](https://example.org/a_(b)) and `code` ###
Text.
"""


def found(source: str) -> list[tuple[str, str]]:
    return [(block.kind.value, source[block.start : block.end]) for block in parse(source).blocks]


def test_front_matter_is_metadata_and_stays_in_the_text() -> None:
    parsed = parse(README)
    assert parsed.text == README
    assert parsed.title == "Returns: a guide"
    assert parsed.metadata == {
        "title": "Returns: a guide",
        "draft": False,
        "version": 1.5,
        "count": 3,
        "date": "2026-01-02",
    }
    assert README[parsed.blocks[0].start :].startswith("Intro paragraph")


def test_every_kind_of_block() -> None:
    kinds = [kind for kind, _ in found(README)]
    assert kinds == [
        *("paragraph", "heading", "paragraph", "item", "item", "code", "heading", "table", "heading"),
        *("paragraph", "code", "heading", "paragraph"),
    ]
    texts = dict(found(README))
    assert texts["code"] == "    indented code\n\n    more of it"
    assert texts["table"].endswith("| Food | 0    |")


def test_heading_paths() -> None:
    paths = [block.path for block in parse(README).blocks if block.kind is BlockKind.HEADING]
    assert paths == [
        ("Refund policy",),
        ("Setext Heading",),
        ("Setext Heading", "Second level"),
        ("Setext Heading", "Second level", "Link and code"),
    ]


def test_the_title_is_the_highest_heading() -> None:
    assert parse("## Small\n\n# Large\n\n# Other\n").title == "Large"
    assert parse("no heading").title == ""


def test_heading_text_keeps_what_is_no_markup() -> None:
    assert heading_text("snake_case and 2 * 3") == "snake_case and 2  3"
    assert heading_text("C# and F#") == "C# and F#"
    assert heading_text("`--flag` of <b>tool</b> ##") == "--flag of tool"
    assert heading_text("![logo](a.png) **退款** 政策") == "logo 退款 政策"


def test_an_unclosed_fence_goes_to_the_end() -> None:
    assert found("a\n\n```\n# x\n\ny\n")[1:] == [("code", "```\n# x\n\ny\n")]


def test_a_longer_fence_holds_shorter_ones() -> None:
    source = "````md\n```\ncode\n```\n````\nafter"
    assert found(source) == [("code", source[:-6]), ("paragraph", "after")]


def test_rulers_are_neither_headings_nor_front_matter() -> None:
    assert [kind for kind, _ in found("---\n\nText here\n\n---\n\nMore\n\n* * *\n")] == ["paragraph"] * 5
    assert parse("---\n\nText here\n\n---\n").metadata == {}


def test_toml_front_matter() -> None:
    parsed = parse('+++\ntitle = "退款"\nweight = 3\n[extra]\nx = 1\n+++\n正文。\n')
    assert (parsed.title, parsed.metadata) == ("退款", {"title": "退款", "weight": 3})
    assert len(parsed.blocks) == 1


def test_windows_line_ends_stay(tmp_path: Path) -> None:
    source = "# 标题\r\n\r\n第一段。\r\n\r\n```\r\ncode\r\n```\r\n"
    document = document_of(tmp_path, "a.md", source)
    assert document.text == source
    (chunk,) = chunks_of(document)
    assert chunk.heading == "标题"
    assert chunk.text == source.strip()
