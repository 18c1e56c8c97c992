"""Lines that are typed: commands, messages, and where a message goes on."""

from __future__ import annotations

import pytest

from edgecli.chat.slash import COMMANDS, Command, Message, help_text, parse, unquote, wants_more
from edgecli.errors import UsageError


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("hello", Message("hello")),
        ("  你好 \n", Message("你好")),
        ("", None),
        ("  \n ", None),
        ('""""""', None),
        ("/model", Command("model")),
        ("/model  @edge/x ", Command("model", "@edge/x")),
        ("/MODEL @edge/x", Command("model", "@edge/x")),
        ("/system Be\nbrief.", Command("system", "Be\nbrief.")),
        ("/mod @edge/x", Command("model", "@edge/x")),
        ("/?", Command("help")),
        ("//model", Message("/model")),
        ("// a comment", Message("/ a comment")),
        ("/etc/passwd: what is it?", Message("/etc/passwd: what is it?")),
        ("/* code */", Message("/* code */")),
        ('"""\n/quit\n"""', Message("/quit")),
        ('"""one\ntwo"""', Message("one\ntwo")),
    ],
)
def test_a_line_is_a_command_or_a_message(line: str, expected: Message | Command | None) -> None:
    assert parse(line) == expected


@pytest.mark.parametrize(
    ("line", "code", "hint"),
    [
        ("/modle x", "no_such_command", "Did you mean `/model`?"),
        ("/xyzzy", "no_such_command", "`/help` lists"),
        ("/s", "no_such_command", "/save"),
        ("/save", "missing_argument", "/save talk.md"),
        ("/clear all", "extra_argument", "//clear"),
    ],
)
def test_a_wrong_command_says_what_to_do(line: str, code: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(line)
    assert caught.value.code == code
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one\\", True),
        ("a path C:\\\\", False),
        ("one", False),
        ('"""', True),
        ('"""one', True),
        ('"""one\ntwo', True),
        ('"""one"""', False),
        ('""""""', False),
        ('say """hi"""', False),
    ],
)
def test_enter_breaks_the_line_where_the_message_goes_on(text: str, expected: bool) -> None:
    assert wants_more(text) is expected


def test_only_a_whole_block_loses_its_quotes() -> None:
    assert unquote('"""a "quoted" word"""') == 'a "quoted" word'
    assert unquote('"""open') == '"""open'


def test_the_help_names_every_command() -> None:
    assert all(f"/{name} " in help_text() for name in COMMANDS)
