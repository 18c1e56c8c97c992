"""Which events a `tail` wants, with wrangler's filters."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgecli.errors import UsageError
from edgecli.workers.display import words
from edgecli.workers.journal import Event

STATUSES = ("ok", "error", "canceled")


@dataclass(frozen=True, slots=True)
class Filter:
    """What an event must have; what is empty is not looked at."""

    worker: str | None = None
    statuses: Sequence[str] = ()
    methods: Sequence[str] = ()
    header: str | None = None
    """`name`, or `name:text` where the value must hold the text."""
    search: str | None = None
    """A text in its console lines."""
    sampling: float = 1.0
    """The share of the events to show."""

    def __post_init__(self) -> None:
        wrong = next((each for each in self.statuses if each not in STATUSES), None)
        if wrong is not None:
            raise UsageError(f"There is no status `{wrong}`.", hint=f"Choose from {', '.join(STATUSES)}.")
        if not 0 < self.sampling <= 1:
            raise UsageError(
                f"The sampling rate is {self.sampling:g}.", hint="Give a share of the events: more than 0, at most 1."
            )

    def takes(self, event: Event) -> bool:
        """Tell whether an event is wanted."""
        request = (event.event or {}).get("request") or {}
        if self.worker and event.worker != self.worker:
            return False
        if self.statuses and _status(event) not in self.statuses:
            return False
        if self.methods and str(request.get("method", "")).upper() not in {each.upper() for each in self.methods}:
            return False
        if self.header and not _has_header(request.get("headers") or {}, self.header):
            return False
        if self.search and not any(self.search in words(entry["message"]) for entry in event.logs):
            return False
        return self.sampling >= 1 or random.random() < self.sampling


def _status(event: Event) -> str:
    return event.outcome if event.outcome in ("ok", "canceled") else "error"


def _has_header(headers: dict[str, Any], wanted: str) -> bool:
    name, _, text = wanted.partition(":")
    values = [str(value) for key, value in headers.items() if key.lower() == name.strip().lower()]
    return any(text.strip().lower() in value.lower() for value in values)
