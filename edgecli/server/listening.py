"""uvicorn's server, ended by signals without noise: it says which signal ended it instead of raising it again."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

import uvicorn

_EXPECTED = (
    "ASGI callable returned without completing response.",  # the way to cut an answer off; its log says why
    "ASGI callable returned without completing handshake.",  # a WebSocket was refused, with an answer
    "Cancel %s running task(s), timeout graceful shutdown exceeded",
)


class Server(uvicorn.Server):
    """Serve an ASGI app until SIGINT or SIGTERM; a second signal does not wait for running answers."""

    def __init__(self, app: object, *, signals: bool = True, patience: int = 3) -> None:
        """Without `signals` only `should_exit` ends it; running answers then have `patience` seconds."""
        config = uvicorn.Config(
            app,  # pyright: ignore[reportArgumentType] - uvicorn's type wants a union of its own protocols
            log_level="warning",
            log_config=None,
            lifespan="off",
            timeout_graceful_shutdown=patience,
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
    """Leave out what is said of answers that were cut off on purpose, among them the end of the server."""
    return record.msg not in _EXPECTED and not (
        record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError)
    )
