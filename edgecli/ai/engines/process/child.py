"""What every model's process does: it loads, reads messages, and answers with events."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, BinaryIO

from edgecli.ai.engines.process.frames import frame
from edgecli.errors import EdgeError, EngineError


class Answers:
    """The way back to the process that started this one. Safe to use from several threads."""

    def __init__(self, outside: BinaryIO) -> None:
        self._out = outside
        self._writing = threading.Lock()

    def write(self, events: list[Any], raw: bytes = b"") -> None:
        """Send events `[request, kind, value]`; `raw` becomes the value of the last one."""
        try:
            with self._writing:
                self._out.write(frame(events, raw))
                self._out.flush()
        except OSError:
            os._exit(1)  # nobody listens any more

    def error(self, number: int, error: Exception) -> None:
        """Send the error that ends a request."""
        if not isinstance(error, EdgeError):
            error = EngineError(f"Unexpected {type(error).__name__}: {error}", code="internal")
        self.write([error_event(number, error)])


def error_event(number: int, error: EdgeError) -> list[Any]:
    """Return the event that ends a request with an error."""
    return [number, "error", error.to_dict() | {"status": error.status}]


def serve(work: Callable[[BinaryIO, Answers], None]) -> None:
    """Be a model's process. Native code may print: its output must not come between the frames."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    outside = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    work(sys.stdin.buffer, Answers(outside))
