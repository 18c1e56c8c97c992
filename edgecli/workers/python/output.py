"""What a Worker says: prints, `logging`, warnings and `console`, as lines of the request that runs.

A Worker that writes without end must fill nobody's memory: a request has so many lines and characters, what runs
outside of requests has so many in a second, and what is left out is counted.
"""

from __future__ import annotations

import io
import logging
import sys
import threading
import time
import warnings
from typing import Any

from edgecli.workers.journal import LINES_KEPT, LONGEST_LINE
from edgecli.workers.python.context import PROCESS, RUNNING, Running

CHARACTERS_KEPT = 1_000_000
"""Characters of one request's lines."""
LINES_A_SECOND = 200
"""Lines outside of requests."""

_LEVELS = {"DEBUG": "debug", "INFO": "info", "WARNING": "warn", "ERROR": "error", "CRITICAL": "error"}
_outside = Running(0)
_second = 0.0


def say(level: str, text: str) -> None:
    """Send a line to the server, at once where the loop's own thread says it: it may block, or end, next."""
    running = RUNNING.get() or _loose()
    if running.lines >= LINES_KEPT or running.characters >= CHARACTERS_KEPT:
        running.left_out += 1
        if running is _outside and running.left_out == 1:
            PROCESS.link.loop.call_soon_threadsafe(PROCESS.link.loop.call_later, 1, _report)
        return
    running.lines += 1
    running.characters += len(text)
    link = PROCESS.link
    message = ["log", running.number, level, text[:LONGEST_LINE].encode("utf-8", "replace").decode()]
    if threading.get_ident() == _thread:
        link.send(message)
        link.flush()
    else:
        link.loop.call_soon_threadsafe(link.send, message)


def _loose() -> Running:
    global _second
    now = time.monotonic()
    if now - _second >= 1:
        _second = now
        _outside.lines = LINES_KEPT - LINES_A_SECOND
        _outside.characters = 0
    return _outside


def _report() -> None:
    left_out, _outside.left_out = _outside.left_out, 0
    say("warn", f"[{left_out} more lines left out]")


class _Lines(io.TextIOBase):
    """A text stream whose lines become log lines."""

    encoding = "utf-8"  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]
    errors = "replace"  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]

    def __init__(self, level: str, descriptor: int) -> None:
        self._level = level
        self._descriptor = descriptor
        self._parts: dict[Any, str] = {}

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    @property
    def buffer(self) -> Any:
        """The stream of bytes beneath, whose lines belong to no request."""
        return getattr(sys.__stdout__ if self._descriptor == 1 else sys.__stderr__, "buffer", None)

    def write(self, text: str, /) -> int:
        key = RUNNING.get()
        whole = self._parts.pop(key, "") + text if self._parts else text
        start = 0
        while (end := whole.find("\n", start)) >= 0:
            say(self._level, whole[start:end])
            start = end + 1
        if start < len(whole):
            self._parts[key] = whole[start : start + LONGEST_LINE]
        return len(text)

    def flush(self) -> None:
        pass

    def end(self, key: Any) -> None:
        """Send the line that has no end, when its request is over."""
        if self._parts and (rest := self._parts.pop(key, "")):
            say(self._level, rest)


class _Records(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            say(_LEVELS.get(record.levelname, "log"), self.format(record))
        except Exception:
            self.handleError(record)


_out = _Lines("log", 1)
_err = _Lines("error", 2)
_thread = 0


def capture() -> None:
    """Take over what this process says. To be called in the loop's thread."""
    global _thread
    _thread = threading.get_ident()
    sys.stdout = _out
    sys.stderr = _err
    handler = _Records()
    handler.setFormatter(logging.Formatter("%(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.basicConfig = _basic_config(logging.basicConfig)
    warnings.showwarning = _warn  # pyright: ignore[reportAttributeAccessIssue]


def _basic_config(original: Any) -> Any:
    """Let `logging.basicConfig(level=…)` do what it does in a fresh process, where the root has no handler yet."""

    def basic_config(**options: Any) -> None:
        if options.get("level") is not None:
            logging.getLogger().setLevel(options["level"])
        if options.get("force") or options.get("filename") or options.get("handlers"):
            original(**options)

    return basic_config


def _warn(message: Any, category: type[Warning], filename: str, lineno: int, *_: Any, **__: Any) -> None:
    say("warn", f"{filename}:{lineno}: {category.__name__}: {message}")


def finish(running: Running) -> None:
    """Send what a request said last, and how much was left out."""
    _out.end(running)
    _err.end(running)
    if running.left_out:
        PROCESS.link.send(["left", running.number, running.left_out])
