"""The box of keys, and the terminal's settings."""

from __future__ import annotations

import os
import pty
import termios

import pytest

from edgecli.dev.keys import LABELS, box, single_keys


def test_it_is_one_line_where_it_fits() -> None:
    drawn = box(80)
    assert len(drawn) == 3
    assert len({len(line) for line in drawn}) == 1
    assert drawn[1].startswith("│ [b] open a browser  [r] restart")


@pytest.mark.parametrize("width", [77, 40, 25])
def test_on_a_narrow_terminal_each_key_has_a_line(width: int) -> None:
    drawn = box(width)
    assert len(drawn) == len(LABELS) + 2
    assert max(len(line) for line in drawn) <= width


def test_without_room_there_is_no_frame() -> None:
    assert box(10)[0] == "[b] open a browser"


@pytest.mark.parametrize("fails", [False, True])
def test_the_terminal_is_as_it_was_whatever_happens(fails: bool) -> None:
    master, slave = pty.openpty()
    try:
        before = termios.tcgetattr(slave)
        try:
            with single_keys(slave):
                local = termios.tcgetattr(slave)[3]
                assert not local & (termios.ICANON | termios.ECHO)
                assert local & termios.ISIG, "Ctrl-C stays a signal"
                if fails:
                    raise ValueError
        except ValueError:
            pass
        assert termios.tcgetattr(slave) == before
    finally:
        os.close(master)
        os.close(slave)
