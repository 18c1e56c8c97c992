"""What the code of a Worker stands in: the request that runs, and the way to the server."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgecli.workers.python.bindings.env import Env
    from edgecli.workers.python.link import Exchange, Link


class Running:
    """A call of a handler; also the `ctx` that it gets."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.lines = 0
        self.characters = 0
        self.left_out = 0
        self.props: dict[str, Any] = {}

    def waitUntil(self, work: Awaitable[Any]) -> None:  # noqa: N802
        """Let `work` go on after the answer. Raises TypeError for what cannot be awaited."""
        if not inspect.isawaitable(work):
            raise TypeError(f"waitUntil() takes an awaitable, not {type(work).__name__}")
        task = asyncio.ensure_future(work)
        TASKS.add(task)
        task.add_done_callback(_ended)

    wait_until = waitUntil

    def passThroughOnException(self) -> None:  # noqa: N802
        """Do nothing: there is no origin behind this Worker."""

    pass_through_on_exception = passThroughOnException


RUNNING: ContextVar[Running | None] = ContextVar("running", default=None)
TASKS: set[asyncio.Future[Any]] = set()
"""What runs on after answers."""


class _Process:
    """The one Worker of this process."""

    link: Link
    env: Env


PROCESS = _Process()


def ask(head: dict[str, Any], data: bytes = b"", *, last: bool = True) -> Exchange:
    """Open an exchange with the server, on behalf of the request that runs."""
    running = RUNNING.get()
    return PROCESS.link.open({**head, "for": running.number if running else None}, data, last=last)


def wait_until(work: Awaitable[Any]) -> None:
    """Let `work` go on after the answer."""
    (RUNNING.get() or Running(0)).waitUntil(work)


def _ended(task: asyncio.Future[Any]) -> None:
    TASKS.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        logging.getLogger("waitUntil").error("A task of waitUntil() failed", exc_info=error)
