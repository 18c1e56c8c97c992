"""The keys of `edgecli dev`, read one by one, and the box that names them."""

from __future__ import annotations

import asyncio
import atexit
import os
import signal
import sys
import termios
import tty
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

LABELS = (
    ("b", "open a browser"),
    ("r", "restart"),
    ("c", "clear"),
    ("l", "logs"),
    ("m", "models"),
    ("x", "exit"),
)


def box(width: int, labels: Sequence[tuple[str, str]] = LABELS) -> list[str]:
    """Return the lines of the box: one line of keys, or a line for each where it would be too wide."""
    keys = [f"[{key}] {label}" for key, label in labels]
    rows = ["  ".join(keys)]
    if len(rows[0]) + 4 > width:
        rows = keys
    inner = max(len(row) for row in rows)
    if inner + 4 > width:
        return rows
    return [f"╭{'─' * (inner + 2)}╮", *(f"│ {row:<{inner}} │" for row in rows), f"╰{'─' * (inner + 2)}╯"]


def can_read() -> bool:
    """Tell whether a person can press keys: stdin is a terminal, and this process is in its foreground."""
    try:
        return sys.stdin.isatty() and sys.stderr.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False


@contextmanager
def single_keys(descriptor: int) -> Generator[None]:
    """Let the terminal give keys as they are pressed and show none; Ctrl-C and Ctrl-Z stay signals.

    Its settings come back whatever happens, short of SIGKILL.
    """
    before = termios.tcgetattr(descriptor)

    def restore() -> None:
        # A process in the background would be stopped by this.
        earlier = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        try:
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
        except termios.error:  # the terminal is gone
            return
        finally:
            signal.signal(signal.SIGTTOU, earlier)

    atexit.register(restore)
    try:
        tty.setcbreak(descriptor, termios.TCSADRAIN)
        yield
    finally:
        restore()
        atexit.unregister(restore)


async def pressed() -> AsyncGenerator[str]:
    """Yield the keys that are pressed, in small letters, until stdin ends."""
    descriptor = sys.stdin.fileno()
    loop = asyncio.get_running_loop()
    keys: asyncio.Queue[str | None] = asyncio.Queue()
    with single_keys(descriptor):
        loop.add_reader(descriptor, _read(descriptor, keys.put_nowait))
        # After Ctrl-Z and `fg` the shell has set the terminal its own way.
        loop.add_signal_handler(signal.SIGCONT, lambda: tty.setcbreak(descriptor, termios.TCSADRAIN))
        try:
            while (key := await keys.get()) is not None:
                yield key
        finally:
            loop.remove_reader(descriptor)
            loop.remove_signal_handler(signal.SIGCONT)


def _read(descriptor: int, put: Callable[[str | None], Any]) -> Callable[[], None]:
    def read() -> None:
        try:
            data = os.read(descriptor, 64)
        except OSError:
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(descriptor)
            put(None)
        elif not data.startswith(b"\x1b"):  # an arrow, or what a terminal answers
            for key in data.decode("utf-8", "replace").lower():
                put(key)

    return read
