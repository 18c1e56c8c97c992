"""What runs a Worker: a process of its own, which may fail, hang or die without hurting the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from starlette.types import Receive, Scope, Send

from edgecli.errors import EdgeError

if TYPE_CHECKING:
    from edgecli.workers.overlay import Overlay

GONE = "worker_gone"
"""The code of an error that says that there is no process any more: it has seen nothing of the request."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line of source code, as the user wrote it."""

    file: str
    line: int
    column: int | None = None


class WorkerError(EdgeError):
    """A Worker that cannot start, or that failed; `trace` is for its developer and no one else."""

    def __init__(
        self,
        message: str,
        *,
        code: str,
        hint: str | None = None,
        place: Place | None = None,
        trace: str = "",
        status: int = 500,
    ) -> None:
        super().__init__(message, hint=hint, code=code, status=status)
        self.place = place
        self.trace = trace


class WorkerProcess(Protocol):
    """A running Worker. Its state is in its process; whoever holds this may start another beside it."""

    @property
    def pid(self) -> int | None:
        """The number of the process, once it has one."""
        ...

    async def start(self) -> None:
        """Start it and wait until it takes requests. Raises WorkerError with the place in the source at fault."""
        ...

    async def fetch(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request: an ASGI app. Raises WorkerError as long as nothing was sent; afterwards cuts the answer."""
        ...

    async def scheduled(self, cron: str) -> None:
        """Run its `scheduled` handler. Raises WorkerError."""
        ...

    async def cover(self, overlay: Overlay | None) -> None:
        """Lay an overlay over the pages that it answers to requests that do not come by `fetch`; None takes it away."""
        ...

    async def stop(self, *, grace: float) -> None:
        """Let running requests end for `grace` seconds, then end the process, whatever it does."""
        ...

    async def wait(self) -> WorkerError | None:
        """Return when the process has ended: None if it was asked to, else why."""
        ...
