"""The Workers of a server, and their common journal."""

from __future__ import annotations

from typing import Any

from edgecli.workers.journal import Journal
from edgecli.workers.worker import Worker


class Workers:
    """What runs here; nothing, where no server does."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.own: Worker | None = None
        """The project's own Worker, which answers at `/`."""

    def names(self) -> list[str]:
        """Return the names of those that can be followed."""
        own = [self.own.spec.name] if self.own is not None else []
        return sorted({*own, *(event.worker for event in self.journal.last)})

    def describe(self) -> list[dict[str, Any]]:
        """Return what is known of each, with the path at which it answers."""
        return [self.own.describe() | {"address": "/"}] if self.own is not None else []
