"""Markdown on the screen: what it looks like, and that it looks the same however it came."""

from __future__ import annotations

import io
import time

import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from edgecli.chat.markdown import THEME, ChatMarkdown
from edgecli.chat.region import Region
from edgecli.chat.render import AnswerView, finished_length
from edgecli.plain import printable

ANSWER = """# Refunds

You have **30 days**, see [the page](https://example.com/x) or <https://example.com>.
A second line with `code` and <b>HTML</b>.

1. 打开“订单”页面，选择要退款的订单；如果订单已经超过三十天，请先联系客服，他们会告诉你怎么做。
2. Wait

   ```python
   nested = 1
   ```

```python
def refund(order, reason="a reason that is so long that it does not fit into one line"):
    return order  # 退款
```

| Plan | Price |
|------|------:|
| Free | 0     |

> Quoted.

---

The end.
"""


def console(width: int = 60, height: int = 20) -> Console:
    return Console(
        file=io.StringIO(),
        width=width,
        height=height,
        force_terminal=True,
        color_system=None,
        theme=THEME,
        highlight=False,
    )


def rendered(markup: str, width: int = 60) -> str:
    screen = console(width)
    with screen.capture() as captured:
        screen.print(ChatMarkdown(markup), crop=False)
    return "\n".join(line.rstrip() for line in captured.get().split("\n"))


def test_markdown_as_a_chat_shows_it() -> None:
    shown = rendered(ANSWER)
    assert shown.startswith("Refunds\n\nYou have 30 days, see the page (https://example.com/x) or")
    assert "https://example.com.\nA second line with code and <b>HTML</b>.\n" in shown
    assert "选择要退款的订单；如果订单已经超过三十\n   天，请先联系客服，" in shown
    assert "   nested = 1\n" in shown
    assert '\ndef refund(order, reason="a reason that is so long that it does not fit into one line"):\n' in shown
    assert "Plan   Price\n────────────\nFree       0\n" in shown
    assert "▌ Quoted." in shown


def test_a_terminal_is_never_told_what_to_do_by_an_answer() -> None:
    assert printable("a\x1b[2Jb\x9bc\x07\rd\u202ee\r\nf\tg") == "a[2Jbcde\nf\tg"


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("one", "one"),
        ("one\n\ntwo", "one\n\ntwo"),  # `two` may yet become `two\n===`, but is no whole line
        ("one\n\ntwo\n", "two\n"),
        ("- a\n\n- b\n", "- a\n\n- b\n"),
        ("- a\n\n2", "- a\n\n2"),
        ("```\na\n\nb\n", "```\na\n\nb\n"),
        ("one\n```\ncode\n```\n", "```\ncode\n```\n"),
        ("", ""),
    ],
)
def test_a_block_is_finished_when_the_next_has_begun(text: str, rest: str) -> None:
    assert text[finished_length(text) :] == rest


def on_screen(written: str, columns: int, lines: int) -> list[str]:
    screen = pyte.HistoryScreen(columns, lines, history=5000)
    pyte.Stream(screen).feed(written.replace("\n", "\r\n"))
    above = ["".join(row[x].data for x in range(columns)).rstrip() for row in screen.history.top]
    shown = [*above, *(line.rstrip() for line in screen.display)]
    return "\n".join(shown).rstrip().split("\n")


@pytest.mark.parametrize("height", [6, 12, 40])
def test_an_answer_looks_the_same_however_it_came(height: int) -> None:
    screen = console(60, height)
    with AnswerView(screen, "waiting") as view:
        for start in range(0, len(ANSWER), 5):
            view.feed(ANSWER[start : start + 5])
            time.sleep(0.01)
    assert isinstance(screen.file, io.StringIO)
    streamed = on_screen(screen.file.getvalue(), 60, height)
    whole = on_screen(rendered(ANSWER), 60, 200)
    assert streamed == whole


def test_until_the_answer_begins_a_line_says_for_what_it_waits() -> None:
    screen = console()
    assert isinstance(screen.file, io.StringIO)
    with AnswerView(screen, "searching docs") as view:
        deadline = time.monotonic() + 10
        while "searching docs" not in screen.file.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert "searching docs" in screen.file.getvalue()
        view.feed("Found.")
    assert on_screen(screen.file.getvalue(), 60, 20) == ["Found."]


def test_an_answer_without_text_leaves_nothing() -> None:
    screen = console()
    assert isinstance(screen.file, io.StringIO)
    with AnswerView(screen, "waiting") as view:
        time.sleep(0.15)
        view.feed("\n")
    assert on_screen(screen.file.getvalue(), 60, 20) == [""]


# All of two cells, and so is the width: pyte, unlike terminals, cuts a wide character that does not fit.
words = st.lists(st.sampled_from(["ab", "中"]), max_size=12).map("".join)
lines = st.lists(words, max_size=6)


@settings(max_examples=60)
@given(st.lists(st.tuples(lines, lines), min_size=1, max_size=6), st.sampled_from([4, 8, 12]))
def test_the_region_shows_the_last_frame_below_all_final_lines(
    frames: list[tuple[list[str], list[str]]], width: int
) -> None:
    written = io.StringIO()
    height = 40
    region = Region(written, lambda: (width, height))
    for final, changing in frames:
        region.draw(final, changing)
    wanted = io.StringIO()
    wanted.write("".join(f"{line}\n" for final, _ in frames for line in final))
    wanted.write("".join(f"{line}\n" for line in frames[-1][1]))
    assert on_screen(written.getvalue(), width, height) == on_screen(wanted.getvalue(), width, height)


def test_lines_that_may_change_never_leave_the_screen() -> None:
    written = io.StringIO()
    region = Region(written, lambda: (10, 4))
    for count in range(1, 9):
        region.draw([], [f"{number}/{count}" for number in range(1, count + 1)])
    region.draw([f"{number}/9" for number in range(1, 10)], [])
    assert on_screen(written.getvalue(), 10, 4) == [f"{number}/9" for number in range(1, 10)]
