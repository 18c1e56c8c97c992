"""When crons are due."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from edgecli.workers.cron import Cron, due

SUNDAY = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
MONDAY = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "sunday", "monday"),
    [
        ("* * * * *", True, True),
        ("30 9 * * *", True, True),
        ("31 9 * * *", False, False),
        ("*/15 * * * *", True, True),
        ("*/7 * * * *", False, False),
        ("10/20 * * * *", True, True),
        ("0,30 8-10 * * *", True, True),
        ("30 10-23 * * *", False, False),
        ("30 9 1 * *", True, False),
        ("30 9 * mar *", True, True),
        ("30 9 * JAN-FEB,4 *", False, False),
        ("30 9 * * 1", True, False),
        ("30 9 * * SUN", True, False),
        ("30 9 * * mon-fri", False, True),
        ("30 9 2 * SUN", True, True),
        ("30 9 2 * TUE", False, True),
    ],
)
def test_when_it_is_due(text: str, sunday: bool, monday: bool) -> None:
    cron = Cron.parse(text)
    assert (cron.is_due(SUNDAY), cron.is_due(MONDAY)) == (sunday, monday)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("* * * *", "4 fields"),
        ("60 * * * *", "no number from 0 to 59"),
        ("* * * * 0", "no number from 1 to 7"),
        ("* * L * *", "`L`"),
        ("* * 15W * *", "`15W`"),
        ("* * * * FRI#2", "`FRI#2`"),
        ("5-1 * * * *", "ends before"),
        ("*/0 * * * *", "`0`"),
        ("٣ * * * *", "`٣`"),
        ("1- * * * *", "``"),
    ],
)
def test_what_is_not_known_is_said(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        Cron.parse(text)


def test_those_that_are_due_are_named_and_what_is_not_known_is_left_out() -> None:
    crons = [("a", "30 9 * * *"), ("a", "0 9 * * *"), ("b", "* * L * *"), ("b", "* * * * *")]
    assert due(crons, MONDAY) == [("a", "30 9 * * *"), ("b", "* * * * *")]
