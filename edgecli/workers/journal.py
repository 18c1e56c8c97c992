"""What Workers say and do, in memory: the last events, and whoever listens to the next ones.

An event has the form of `wrangler tail --format json`. A Worker that writes without end loses lines, not the server
its memory: lines, events and listeners' queues are bounded, and what was left out is counted.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any, Literal

EVENTS_KEPT = 500
EVENTS_WAITING = 1_000
"""Events that may wait for a listener before some are left out."""
LONGEST_LINE = 16_384
"""Characters of one log line that are kept."""
LINES_KEPT = 1_000
"""Log lines of one event."""

Level = Literal["debug", "log", "info", "warn", "error"]
Outcome = Literal["ok", "exception", "exceededCpu", "exceededMemory", "canceled", "unknown"]


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class Event:
    """One call of a handler, or what a Worker said outside of any."""

    worker: str
    outcome: Outcome = "ok"
    event: dict[str, Any] | None = None
    """`{"request": {"url", "method", "headers"}, "response": {"status"}}`, `{"cron", "scheduledTime"}`, or None."""
    logs: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """`{"message": [...], "level": "log", "timestamp": ms}`"""
    exceptions: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """`{"name", "message", "stack", "timestamp"}`"""
    timestamp: int = field(default_factory=_milliseconds)
    milliseconds: float | None = None
    """How long it took."""
    tokens: tuple[int, int] | None = None
    """Tokens that its calls of models read and wrote."""
    left_out: int = 0
    """Log lines beyond `LINES_KEPT`."""

    def log(self, level: Level, *message: Any) -> None:
        """Add a line; long texts are cut, lines beyond `LINES_KEPT` only counted."""
        if len(self.logs) >= LINES_KEPT:
            self.left_out += 1
            return
        cut = [each[:LONGEST_LINE] if isinstance(each, str) else each for each in message]
        self.logs.append({"message": cut, "level": level, "timestamp": _milliseconds()})

    def failed(self, name: str, message: str, stack: str = "", *, outcome: Outcome = "exception") -> None:
        """Note an exception that left the handler."""
        self.outcome = outcome
        self.exceptions.append({"name": name, "message": message, "stack": stack, "timestamp": _milliseconds()})

    def to_dict(self) -> dict[str, Any]:
        """Return the event as `tail --format json` writes it."""
        return {
            "outcome": self.outcome,
            "scriptName": self.worker,
            "eventTimestamp": self.timestamp,
            "event": self.event,
            "logs": self.logs,
            "exceptions": self.exceptions,
            "edge": {"ms": self.milliseconds, "tokens": self.tokens, "left_out": self.left_out},
        }


class Journal:
    """The events of a server's Workers. To be used in its event loop."""

    def __init__(self) -> None:
        self.last: deque[Event] = deque(maxlen=EVENTS_KEPT)
        self._listeners: set[asyncio.Queue[Event]] = set()

    def add(self, event: Event) -> None:
        """Keep an event and tell the listeners; one that does not keep up misses events."""
        self.last.append(event)
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)

    async def follow(self) -> AsyncGenerator[Event]:
        """Yield the events from now on."""
        queue: asyncio.Queue[Event] = asyncio.Queue(EVENTS_WAITING)
        self._listeners.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.discard(queue)
