"""What comes from models and documents gives a terminal no orders, and a pipe gets it whole."""

from __future__ import annotations

import io
import json
import sys

import pytest

from edgecli import console
from edgecli.errors import UsageError

EVIL = "a\x1b]0;title\x07\x9b2J\u202eb\t退款\nc"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def sit_at_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Let both streams be a terminal; no fixture, as pytest sets its own streams after them."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(console, "_consoles", {})
    return screen


def test_a_terminal_gets_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = sit_at_terminal(monkeypatch)
    console.write(EVIL)
    console.out(EVIL)
    console.emphasised(EVIL, EVIL)
    console.note(EVIL)
    console.warn(EVIL)
    console.success(EVIL)
    console.error(UsageError(EVIL, hint=EVIL))
    console.table([EVIL], [[EVIL]])
    console.print_json({"text": EVIL})
    console.print_ndjson({"text": EVIL})
    shown = terminal.getvalue()
    assert set("\x07\x1b\x9b\u202e").isdisjoint(shown)
    assert "2Jb\t退款\nc" in shown


def test_json_on_a_terminal_keeps_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = sit_at_terminal(monkeypatch)
    console.print_json({"text": EVIL})
    assert json.loads(terminal.getvalue()) == {"text": EVIL}


def test_lists_of_numbers_take_one_line_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = sit_at_terminal(monkeypatch)
    value = {"values": [1.0, -2e-05, 3], "ids": ["a"], "none": [], "text": "[\n  1\n]"}
    console.print_json(value)
    assert '"values": [1.0, -2e-05, 3],\n  "ids": [\n    "a"\n  ]' in terminal.getvalue()
    assert json.loads(terminal.getvalue()) == value


def test_a_pipe_gets_the_text_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    console.write(EVIL)
    assert capsys.readouterr().out == EVIL


def test_a_table_that_is_wider_than_the_terminal_becomes_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [["@cf/meta/llama-3.1-8b-instruct", "Text Generation", "4.9 GiB"], ["@cf/baai/bge-m3", "嵌入", ""]]
    for width, fits in ((90, True), (40, False)):
        terminal = sit_at_terminal(monkeypatch)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", str(width))
        console.table(["model", "task", "size"], rows, right=[2])
        shown = terminal.getvalue()
        assert all(word in shown for row in rows for cell in row for word in cell.split())
        assert (
            "model  @cf/meta/llama-3.1-8b-instruct\ntask   Text Generation\nsize   4.9 GiB\n\n" in shown
        ) is not fits
