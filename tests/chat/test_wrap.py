"""Paragraphs break where they may, and never lose a character."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from edgecli.chat.wrap import wrap

mixed = st.text(st.sampled_from("ab c,.(中文，。「」（）é😀"), max_size=60)


@given(mixed, st.integers(4, 30))
def test_no_line_is_too_wide_and_nothing_is_lost(text: str, width: int) -> None:
    lines = [line.plain for line in wrap(Text(text), width)]
    assert all(cell_len(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("edgecli 是一个平台", 12, ["edgecli 是一", "个平台"]),
        ("打开订单页面，选择", 12, ["打开订单页", "面，选择"]),
        ("选择（三十天）", 6, ["选择", "（三十", "天）"]),
        ("call foo(bar) now", 9, ["call", "foo(bar)", "now"]),
        ("abcdefgh", 4, ["abcd", "efgh"]),
        ("one\n\ntwo", 9, ["one", "", "two"]),
        ("", 9, [""]),
    ],
)
def test_lines_break_at_spaces_and_between_wide_characters(text: str, width: int, lines: list[str]) -> None:
    assert [line.plain for line in wrap(Text(text), width)] == lines


def test_styles_stay_with_their_words() -> None:
    text = Text("plain ")
    text.append("bold", "bold")
    lines = wrap(text, 6)
    assert [(span.start, span.end, span.style) for span in lines[1].spans] == [(0, 4, "bold")]
