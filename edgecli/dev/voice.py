"""What `edgecli dev` says: to a person on stderr, with the address on stdout; or to a program, as JSON on stdout."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Any, Protocol

from edgecli import console
from edgecli.dev import keys
from edgecli.dev.table import HEADINGS, Row, drawn
from edgecli.errors import EdgeError
from edgecli.outline import wants_colour
from edgecli.workers.display import Painter, Reporter
from edgecli.workers.error_page import text_of
from edgecli.workers.journal import Journal
from edgecli.workers.process import WorkerError
from edgecli.workers.spec import WorkerSpec
from edgecli.workers.worker import described

NO_MAIN = "There is no Worker here: the configuration names no `main`. The platform's API is served alone."


class Voice(Protocol):
    """What a session says, to whomever."""

    def bindings(self, rows: Sequence[Row]) -> None: ...
    def ready(self, address: str) -> None: ...
    def loaded(self, spec: WorkerSpec, seconds: float) -> None: ...
    def broken(self, error: WorkerError, spec: WorkerSpec, *, answers: bool) -> None: ...
    def doubtful(self, text: str) -> None: ...
    def wrong(self, error: EdgeError) -> None: ...
    def note(self, text: str) -> None: ...
    async def follow(self, journal: Journal) -> None: ...


class Screen:
    """A person at a terminal, or a file that one reads later."""

    def __init__(self, *, level: str) -> None:
        self.paint = Painter(colour=wants_colour(sys.stderr))
        self.reporter = Reporter(form="text", level=level)
        self.level = level

    @property
    def width(self) -> int:
        """Cells of a line."""
        return shutil.get_terminal_size((100, 24)).columns if sys.stderr.isatty() else 100

    def lines(self, *lines: str) -> None:
        """Write lines to stderr."""
        sys.stderr.write("\n".join(lines) + "\n")
        sys.stderr.flush()

    def bindings(self, rows: Sequence[Row]) -> None:
        """Draw the table, then what is missing."""
        if rows:
            head, *rest = [console.printable(line) for line in drawn(rows, self.width)]
            head = self.paint(head, "bold") if head.startswith(HEADINGS[0]) else head
            self.lines("Your Worker has access to the following bindings:", head, *rest, "")
        for row in rows:
            if row.missing:
                console.warn(row.missing)

    def ready(self, address: str) -> None:
        """Say where the Worker answers."""
        console.write(f"Ready on {address}\n")

    def loaded(self, spec: WorkerSpec, seconds: float) -> None:
        """Say that the Worker was loaded again."""
        self.reporter.own = spec.name
        console.success(f"Reloaded `{spec.name}` in {seconds * 1000:.0f} ms.")

    def broken(self, error: WorkerError, spec: WorkerSpec, *, answers: bool) -> None:
        """Show an error with its place in the source."""
        said, *rest = console.printable(text_of(error, spec)).rstrip().split("\n")
        still = "The Worker as it was before goes on answering." if answers else "Nothing answers until it is mended."
        self.lines(self.paint(f"✘ {said}", "red"), *rest, self.paint(still, "dim"))

    def doubtful(self, text: str) -> None:
        """Warn."""
        console.warn(text)

    def wrong(self, error: EdgeError) -> None:
        """Show an error of the configuration."""
        console.error(error)

    def note(self, text: str) -> None:
        """Say something in passing."""
        console.note(text)

    async def follow(self, journal: Journal) -> None:
        """Show the requests and console lines."""
        await self.reporter.follow(journal)

    def box(self) -> None:
        """Draw the keys."""
        self.lines(*keys.box(self.width))

    def clear(self) -> None:
        """Clear the terminal and what it has scrolled away."""
        sys.stderr.write("\x1b[H\x1b[2J\x1b[3J")
        self.box()

    def toggle_detail(self) -> None:
        """Show requests with the Worker's lines, or alone."""
        self.reporter.level = self.level if self.reporter.level == "none" else "none"
        alone = self.reporter.level == "none"
        self.note("Requests only; press l for the Worker's lines." if alone else "Requests, and the Worker's lines.")

    def models(self, rows: Sequence[Sequence[str]], headings: Sequence[str]) -> None:
        """Show the loaded models, one below the other."""
        if not rows:
            self.note("No model is loaded. The first request loads one.")
        for row in rows:
            named = zip(headings, row, strict=True)
            facts = [cell if cell == "idle" else f"{heading} {cell}" for heading, cell in named if cell]
            whole = [fact.replace(" ", "\xa0") for fact in facts[1:]]  # lines break between facts
            self.note(row[0])
            for line in textwrap.wrap(" · ".join(whole), self.width - 2):
                self.note("  " + line.replace("\xa0", " "))


class Lines:
    """A program: one event a line."""

    def _say(self, event: str, **facts: Any) -> None:
        console.print_ndjson({"event": event, **facts})

    def bindings(self, rows: Sequence[Row]) -> None:
        """`{"event": "bindings", "bindings": [...]}`"""
        self._say("bindings", bindings=[row.to_dict() for row in rows])

    def ready(self, address: str) -> None:
        """`{"event": "ready", "address": ..., "pid": ...}`"""
        self._say("ready", address=address, pid=os.getpid())

    def loaded(self, spec: WorkerSpec, seconds: float) -> None:
        """`{"event": "reloaded", "worker": ..., "ms": ...}`"""
        self._say("reloaded", worker=spec.name, ms=round(seconds * 1000, 1))

    def broken(self, error: WorkerError, spec: WorkerSpec, *, answers: bool) -> None:
        """`{"event": "broken", "worker": ..., "answers": ..., "error": {...}}`"""
        self._say("broken", worker=spec.name, answers=answers, error=described(error))

    def doubtful(self, text: str) -> None:
        """`{"event": "warning", "message": ...}`"""
        self._say("warning", message=text)

    def wrong(self, error: EdgeError) -> None:
        """`{"event": "error", "error": {...}}`"""
        self._say("error", error=error.to_dict())

    def note(self, text: str) -> None:
        """`{"event": "note", "message": ...}`"""
        self._say("note", message=text)

    async def follow(self, journal: Journal) -> None:
        """`{"event": "request", ...}`, or `"log"` outside of any, as `tail --format json` has them."""
        async for event in journal.follow():
            self._say(
                "log" if event.event is None else "request",
                **{"call" if k == "event" else k: v for k, v in event.to_dict().items()},
            )
