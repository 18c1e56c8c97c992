"""The Workers of a server, and their common journal."""

from __future__ import annotations

from typing import Any

from edgecli.workers.deployed.service import DeployedWorkers
from edgecli.workers.journal import Journal
from edgecli.workers.worker import Worker


class Workers:
    """What runs here; nothing, where no server does."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.own: Worker | None = None
        """The project's own Worker, which answers at `/`."""
        self.deployed: DeployedWorkers | None = None
        """Those that were deployed onto this server."""

    def names(self) -> list[str]:
        """Return the names of those that can be followed."""
        own = [self.own.spec.name] if self.own is not None else []
        deployed = self.deployed.running if self.deployed is not None else {}
        return sorted({*own, *deployed, *(event.worker for event in self.journal.last)})

    async def describe(self) -> list[dict[str, Any]]:
        """Return what is known of each, with the path at which it answers; a deployed one is idle until it is asked."""
        own = [self.own.describe() | {"address": "/"}] if self.own is not None else []
        return own + (await self.deployed.describe() if self.deployed is not None else [])
