"""Which events a tail wants."""

from __future__ import annotations

from typing import Any

import pytest

from edgecli.errors import UsageError
from edgecli.workers.filters import Filter
from edgecli.workers.journal import Event, Outcome


def event(outcome: Outcome = "ok", method: str = "GET", **headers: str) -> Event:
    request = {"url": "http://localhost/", "method": method, "headers": headers}
    found = Event("trial", outcome, event={"request": request})
    found.log("log", "refund of", {"order": 7})
    return found


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        ({}, True),
        ({"worker": "trial"}, True),
        ({"worker": "other"}, False),
        ({"statuses": ["ok"]}, True),
        ({"statuses": ["error", "canceled"]}, False),
        ({"methods": ["post", "get"]}, True),
        ({"methods": ["POST"]}, False),
        ({"header": "X-Test"}, True),
        ({"header": "x-test: YES"}, True),
        ({"header": "x-test:no"}, False),
        ({"header": "x-other"}, False),
        ({"search": 'refund of {"order"'}, True),
        ({"search": "invoice"}, False),
        ({"sampling": 1e-12}, False),
    ],
)
def test_what_is_taken(wanted: dict[str, Any], taken: bool) -> None:
    assert Filter(**wanted).takes(event(**{"x-test": "yes, yes"})) is taken


@pytest.mark.parametrize("outcome", ["exception", "exceededCpu", "exceededMemory", "unknown"])
def test_what_counts_as_an_error(outcome: Outcome) -> None:
    assert Filter(statuses=["error"]).takes(event(outcome))


@pytest.mark.parametrize(
    "wrong", [{"statuses": ["bad"]}, {"sampling": 0.0}, {"sampling": 1.5}, {"sampling": float("nan")}]
)
def test_what_makes_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Filter(**wrong)


def test_lines_outside_of_requests_have_no_method() -> None:
    assert not Filter(methods=["GET"]).takes(Event("trial"))
    assert Filter(statuses=["ok"]).takes(Event("trial"))
