"""What Workers say and do, in memory: the last events, and whoever listens to the next ones.

An event has the form of `wrangler tail --format json`. A Worker that writes without end loses lines, not the server
its memory: lines, events and listeners' queues are bounded, and what was left out is counted.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

EVENTS_KEPT = 500
EVENTS_WAITING = 1_000
"""Events that may wait for a listener before some are left out."""
LONGEST_LINE = 16_384
"""Characters of one log line that are kept."""
LINES_KEPT = 1_000
"""Log lines of one event."""
CHARACTERS_KEPT = 1_000_000
"""Characters of one event's lines."""
LONGEST_STACK = 65_536
"""Characters of an exception's stack."""
LIVE_SECONDS = 0.1
"""How long the lines of a call wait for its end before they are shown alone: those of quick calls stay together."""
CHARACTERS_HELD = 32_000_000
"""Characters of all events that are kept, and of those that wait for one listener."""

Level = Literal["debug", "log", "info", "warn", "error"]
Outcome = Literal["ok", "exception", "exceededCpu", "exceededMemory", "canceled", "unknown"]


_SECRET = re.compile(r"^(set-)?cookie$|auth|key|secret|token|jwt", re.IGNORECASE)


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
    """Log lines beyond `LINES_KEPT` and `CHARACTERS_KEPT`."""
    characters: int = 0
    """About how many its lines and exceptions have."""
    runs: bool = False
    """It is not a whole call, but what one said that has not ended, or has ended before."""
    told: int = 0
    """Lines that live listeners have heard already."""

    def log(self, level: Level, *message: Any) -> None:
        """Add a line; long texts are cut, lines beyond `LINES_KEPT` and `CHARACTERS_KEPT` only counted."""
        if len(self.logs) >= LINES_KEPT or self.characters >= CHARACTERS_KEPT:
            self.left_out += 1
            return
        cut = [each[:LONGEST_LINE] if isinstance(each, str) else each for each in message]
        self.characters += sum(len(each if isinstance(each, str) else repr(each)) for each in cut)
        self.logs.append({"message": cut, "level": level, "timestamp": _milliseconds()})

    def rest(self) -> Event:
        """Return the lines that no live listener has heard yet, as an event of a call that runs."""
        part = Event(self.worker, event=self.event, logs=self.logs[self.told :], timestamp=self.timestamp, runs=True)
        part.characters = sum(len(str(entry["message"])) for entry in part.logs)
        self.told = len(self.logs)
        return part

    def failed(self, name: str, message: str, stack: str = "", *, outcome: Outcome = "exception") -> None:
        """Note an exception that left the handler."""
        self.outcome = outcome
        message, stack = message[:LONGEST_LINE], stack[:LONGEST_STACK]
        self.characters += len(message) + len(stack)
        self.exceptions.append({"name": name, "message": message, "stack": stack, "timestamp": _milliseconds()})

    def to_dict(self) -> dict[str, Any]:
        """Return the event as `tail --format json` writes it; headers that may hold secrets are left out."""
        event = self.event
        if event is not None and "headers" in event.get("request", {}):
            event = {**event, "request": {**event["request"], "headers": redacted(event["request"]["headers"])}}
        return {
            "outcome": self.outcome,
            "scriptName": self.worker,
            "eventTimestamp": self.timestamp,
            "event": event,
            "logs": self.logs,
            "exceptions": self.exceptions,
            "edge": {"ms": self.milliseconds, "tokens": self.tokens, "left_out": self.left_out},
        }


def redacted(headers: Mapping[str, str]) -> dict[str, str]:
    """Replace the values of headers that may hold secrets, as the cloud does in what `tail` shows.

    https://developers.cloudflare.com/workers/runtime-apis/handlers/tail/#tailrequest
    """
    return {name: "REDACTED" if _SECRET.search(name) else value for name, value in headers.items()}


class Listener:
    """Whoever reads events as they come."""

    def __init__(self, *, live: bool = False) -> None:
        """One that is `live` hears the lines of a call while it runs, too; the call's event has them again."""
        self.live = live
        self.events: asyncio.Queue[Event] = asyncio.Queue(EVENTS_WAITING)
        self.missed = 0
        """Events that were left out because too many waited."""
        self._characters = 0

    def hear(self, event: Event) -> None:
        """Let an event wait to be read; the oldest leave where there are too many."""
        self._characters += event.characters
        while self.events.full() or (self._characters > CHARACTERS_HELD and not self.events.empty()):
            self._characters -= self.events.get_nowait().characters
            self.missed += 1
        self.events.put_nowait(event)

    async def next(self) -> Event:
        """Return the event that has waited longest."""
        event = await self.events.get()
        self._characters -= event.characters
        return event


class Journal:
    """The events of a server's Workers. To be used in its event loop."""

    def __init__(self) -> None:
        self.last: deque[Event] = deque(maxlen=EVENTS_KEPT)
        self._characters = 0
        self._listeners: set[Listener] = set()
        self._counted: dict[str, tuple[int, int]] = {}
        self._waiting: dict[int, asyncio.TimerHandle] = {}
        """The events whose lines live listeners will hear soon, by `id`."""

    def counted(self, worker: str) -> tuple[int, int]:
        """Return how many calls of a Worker's handlers there were, and how many of them failed."""
        return self._counted.get(worker, (0, 0))

    def log(self, event: Event, level: Level, *message: Any) -> None:
        """Add a line to the event of a call that runs; live listeners hear it before its end."""
        event.log(level, *message)
        if id(event) not in self._waiting and any(each.live for each in self._listeners):
            tell = asyncio.get_running_loop().call_later
            self._waiting[id(event)] = tell(LIVE_SECONDS, self._tell, event)

    def _tell(self, event: Event) -> None:
        del self._waiting[id(event)]
        if event.told < len(event.logs):
            part = event.rest()
            for listener in self._listeners:
                if listener.live:
                    listener.hear(part)

    def add(self, event: Event) -> None:
        """Keep an event and tell the listeners; one that does not keep up misses events."""
        if waiting := self._waiting.pop(id(event), None):
            waiting.cancel()
        if len(self.last) == EVENTS_KEPT:
            self._characters -= self.last.popleft().characters
        self.last.append(event)
        self._characters += event.characters
        while self._characters > CHARACTERS_HELD and len(self.last) > 1:
            self._characters -= self.last.popleft().characters
        if event.event is not None and not event.runs:
            calls, errors = self.counted(event.worker)
            self._counted[event.worker] = (calls + 1, errors + (event.outcome not in ("ok", "canceled")))
        for listener in self._listeners:
            listener.hear(event)

    async def follow(self, listener: Listener | None = None) -> AsyncGenerator[Event]:
        """Yield the events from now on; `listener` counts those that came too fast."""
        listener = listener or Listener()
        self._listeners.add(listener)
        try:
            while True:
                yield await listener.next()
        finally:
            self._listeners.discard(listener)
