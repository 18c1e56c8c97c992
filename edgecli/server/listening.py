"""uvicorn's server, ended by signals without noise: it says which signal ended it instead of raising it again."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

import uvicorn

SHUTDOWN_SECONDS = 3
"""What a running answer is given to finish when a signal comes."""


class Server(uvicorn.Server):
    """Serve an ASGI app until SIGINT or SIGTERM; a second signal does not wait for running answers."""

    def __init__(self, app: object, *, signals: bool = True) -> None:
        """Without `signals` only `should_exit` ends it."""
        config = uvicorn.Config(
            app,  # pyright: ignore[reportArgumentType] - uvicorn's type wants a union of its own protocols
            log_level="warning",
            lifespan="off",
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            server_header=False,
            access_log=False,
        )
        super().__init__(config)
        logging.getLogger("uvicorn.error").addFilter(_is_news)
        self.ended_by: int | None = None
        """The number of the signal that ended it."""
        self._signals = (signal.SIGINT, signal.SIGTERM) if signals else ()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        def end(number: int, frame: FrameType | None) -> None:
            del frame
            self.force_exit = self.should_exit
            self.should_exit = True
            self.ended_by = self.ended_by or number

        before = {number: signal.signal(number, end) for number in self._signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _is_news(record: logging.LogRecord) -> bool:
    """Leave out the trace of an answer that the server's end cut off, and that one was cut: its Worker has said why."""
    cancelled = record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError)
    return not cancelled and record.msg != "ASGI callable returned without completing response."
