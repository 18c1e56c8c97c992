"""What the log shows on stderr: warnings and worse, one plain line each, with traces where somebody wants them."""

from __future__ import annotations

import logging
import traceback

from edgecli import console


class StderrLines(logging.Handler):
    """Print each record as the console prints a warning."""

    def __init__(self, *, traces: bool) -> None:
        super().__init__(logging.WARNING)
        self._traces = traces

    def emit(self, record: logging.LogRecord) -> None:
        text = " ".join(record.getMessage().split())
        fault = record.exc_info[1] if record.exc_info else None
        if fault is not None and not self._traces:
            text += f": {type(fault).__name__}: {fault}"
        console.warn(text)
        if fault is not None and self._traces:
            console.note("".join(traceback.format_exception(fault)).rstrip())


def configure(*, traces: bool, libraries: bool = False) -> None:
    """Send the log of edgecli to stderr, and what the HTTP server says; that of other libraries where `libraries`
    asks for it.
    """
    lines = StderrLines(traces=traces)
    own, root = [logging.getLogger("edgecli"), logging.getLogger("uvicorn.error")], logging.getLogger()
    for logger in (*own, root):
        for earlier in [handler for handler in logger.handlers if type(handler) in _OURS]:
            logger.removeHandler(earlier)
    for logger in [root] if libraries else own:
        logger.addHandler(lines)
    if not libraries:
        # Without a handler of the root, Python prints the warnings of every library.
        root.addHandler(logging.NullHandler())


_OURS = (StderrLines, logging.NullHandler)
