"""What a workerd writes to stdout and stderr, as events of the journal."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import OrderedDict, deque
from collections.abc import Collection, Mapping
from typing import Any, cast, get_args

import orjson

from edgecli.workers.journal import CHARACTERS_HELD, LINES_KEPT, Event, Journal, Level, Outcome
from edgecli.workers.workerd.sourcemap import SourceMap, map_trace

LONGEST = 1 << 20
"""Bytes of a line; the rest of a longer one is dropped."""
REQUESTS_OPEN = 1_000
"""Requests that have said something and not ended, before the oldest is given up."""
LINES_A_SECOND = 200
"""Lines that belong to no request; more are only counted."""
LAST_LINES = 50
PATIENCE_SECONDS = 60.0
"""How long the lines of a request wait for its end: it does not come where the client has left."""
LATE_SECONDS = 2.0
"""How long lines wait that come after their request's end. They are an event of their own, without an answer."""
_UNCAUGHT = re.compile(r"uncaught exception; source = (?P<source>.*?); stack = (?P<stack>.*)", re.DOTALL)
_SCRIPT_SAID = "console.log(); message() = "
"""What older compatibility dates make of a service worker's console, whatever the level."""
_LEVELS = get_args(Level)


class Output:
    """Reads what one process says. To be used in the server's event loop."""

    def __init__(self, worker: str, mark: str, journal: Journal) -> None:
        """`mark` is what the lines of edgecli's own module begin with."""
        self.maps: Mapping[str, SourceMap] = {}
        self.modules: Collection[str] = ()
        """The names of the user's modules."""
        self.last: deque[str] = deque(maxlen=LAST_LINES)
        """What workerd itself said last, for the error if it dies."""
        self._worker = worker
        self._mark = mark
        self._journal = journal
        self._open: OrderedDict[int, Event] = OrderedDict()
        self._late: OrderedDict[int, Event] = OrderedDict()
        self._over: OrderedDict[int, None] = OrderedDict()
        """The requests that have ended last."""
        self._held = 0
        """Characters of those that are open."""
        self._second = 0
        self._budget = 0
        self._dropped = 0

    async def read(self, stream: asyncio.StreamReader) -> None:
        """Read a stream to its end, whatever it holds: a process that nobody reads would stand still."""
        rest = b""
        while chunk := await stream.read(1 << 16):
            if len(rest) == LONGEST and b"\n" not in chunk:
                continue
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._line(line)
            rest = rest[:LONGEST]
            await asyncio.sleep(0)
        if rest:
            self._line(rest)

    async def keep_up(self) -> None:
        """Write down, again and again, what requests have said that do not end soon. Runs until it is cancelled."""
        while True:
            await asyncio.sleep(LATE_SECONDS / 2)
            now = time.time() * 1000
            for events, patience in ((self._open, PATIENCE_SECONDS), (self._late, LATE_SECONDS)):
                while events and now - next(iter(events.values())).timestamp >= patience * 1000:
                    self._give_up(events)

    def _give_up(self, events: OrderedDict[int, Event], outcome: Outcome = "ok") -> None:
        """Write down what the oldest of some requests has said, without its end."""
        _, event = events.popitem(last=False)
        if events is self._open:
            self._held -= event.characters
        event.outcome, event.runs = outcome, outcome == "ok"
        self._journal.add(event)

    def close(self, outcome: Outcome) -> None:
        """Write down the requests that have said something and will not end any more."""
        while self._late:
            self._give_up(self._late)
        while self._open:
            self._give_up(self._open, outcome)
        self._tell_dropped()

    def _line(self, line: bytes) -> None:
        try:
            said = orjson.loads(line)
            message, level = said["message"], said["level"]
        except (ValueError, KeyError, TypeError):
            said, message, level = None, line.decode("utf-8", "replace"), "log"
        if not isinstance(message, str):
            message = str(message)
        if message.startswith(self._mark) and self._own(message[len(self._mark) :]):
            return
        if said is not None and "source" in said:
            self._of_workerd(message, level)
        elif message.strip() and self._may_tell():
            if said is None:
                self.last.append(message[:2000])  # V8's last words are no JSON
            self._tell(level, message)

    def _own(self, text: str) -> bool:
        """Take what entry.mjs told: a line of the console, or requests that ended. False if it is something else."""
        try:
            told = orjson.loads(text)
            if isinstance(told, dict):
                self._console(cast("dict[str, Any]", told))
            else:
                self._ended(told)
        except (ValueError, KeyError, TypeError, AttributeError):
            return False
        return True

    def _ended(self, told: list[list[Any]]) -> None:
        for number, method, url, status, started, took, lines, failure, *cron in told:
            event = self._open.pop(number, None) or Event(self._worker)
            self._held -= event.characters
            self._over[number] = None
            if len(self._over) > REQUESTS_OPEN:
                self._over.popitem(last=False)
            event.event = {"request": {"method": method, "url": url, "headers": {}}, "response": {"status": status}}
            if cron:
                event.event = {"cron": cron[0], "scheduledTime": started}
            event.timestamp, event.milliseconds = started, took
            event.left_out += max(0, lines - LINES_KEPT)
            if failure:
                self._failed(event, failure["name"], failure["message"], failure["stack"])
            self._journal.add(event)

    def _console(self, told: dict[str, Any]) -> None:
        level = told["level"]
        if not told["id"]:
            if self._may_tell():
                self._tell(level, *told["message"])
            return
        events = self._late if told["id"] in self._over else self._open
        event = events.get(told["id"])
        if event is None:
            event = events[told["id"]] = Event(self._worker)
            if told.get("url"):
                event.event = {"request": {"method": told["method"], "url": told["url"], "headers": {}}}
            elif told.get("cron"):
                event.event = {"cron": told["cron"], "scheduledTime": told["at"]}
        before = event.characters
        said = (self._mapped(each) if isinstance(each, str) else each for each in told["message"])
        self._journal.log(event, level, *said)
        if events is self._open:
            self._held += event.characters - before
        while len(events) > REQUESTS_OPEN or (self._held > CHARACTERS_HELD and len(self._open) > 1):
            self._give_up(events if len(events) > REQUESTS_OPEN else self._open, "canceled")

    def _of_workerd(self, message: str, level: str) -> None:
        """Take what workerd says of itself: exceptions that nobody caught, and its own complaints."""
        if found := _UNCAUGHT.search(message):
            if not any(name in found["stack"] for name in self.modules):
                return  # edgecli's own modules: the Worker gets the exception, and may catch it
            first, _, _ = found["stack"].partition("\n")
            name, _, text = first.partition(": ")
            event = Event(self._worker)
            self._failed(event, name, text or found["source"], found["stack"])
            self._journal.add(event)
        elif message.startswith(_SCRIPT_SAID):
            if self._may_tell():
                said = message[len(_SCRIPT_SAID) :]
                with contextlib.suppress(ValueError):
                    said = " ".join(map(str, orjson.loads(said)))
                self._tell("log", said)
        elif level in ("error", "warning", "fatal"):
            said, _, stack = message.partition("\nstack: ")
            if "jsgInternalError" not in stack:
                self.last.append(said)
            elif self._may_tell():  # the Worker sees "internal error" and no cause
                self._tell("error", f"workerd: {said.partition(': failed: ')[2] or said}")

    def _failed(self, event: Event, name: str, message: str, stack: str) -> None:
        event.failed(name, message, self._mapped(stack))

    def _mapped(self, text: str) -> str:
        return map_trace(text, self.maps)[0] if "\n    at " in text else text

    def _may_tell(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._tell_dropped()
            self._second, self._budget = second, LINES_A_SECOND
        if self._budget == 0:
            self._dropped += 1
            return False
        self._budget -= 1
        return True

    def _tell_dropped(self) -> None:
        if self._dropped:
            self._journal.add(Event(self._worker, left_out=self._dropped))
            self._dropped = 0

    def _tell(self, level: str, *message: Any) -> None:
        event = Event(self._worker)
        event.log(cast("Level", level if level in _LEVELS else "log"), *message)
        self._journal.add(event)
