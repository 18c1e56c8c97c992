"""Ctrl-C, SIGTERM and the keyboard, while an answer comes."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Generic, TypeVar

import typer

T = TypeVar("T")

TERMINATED = 128 + signal.SIGTERM


class Interruptible(Generic[T]):
    """Iterate until the end or until Ctrl-C, and close what was iterated in both cases.

    Ctrl-C breaks only the wait for the next item; the loop's body always runs to its end, so that what it
    draws is never torn. Use as a context manager.
    """

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._waiting = False
        self._before: Any = None
        self.stopped = False
        """Whether the user ended it."""

    def __enter__(self) -> Interruptible[T]:
        self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            close = getattr(self._items, "close", None)
            if close is not None:
                close()
        finally:
            signal.signal(signal.SIGINT, self._before)

    def __iter__(self) -> Iterator[T]:
        while not self.stopped:
            try:
                self._waiting = True
                item = next(self._items)
            except (StopIteration, KeyboardInterrupt):
                return
            finally:
                self._waiting = False
            yield item

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.stopped = True
        if self._waiting:
            self._waiting = False
            raise KeyboardInterrupt


@contextmanager
def quiet_keyboard() -> Generator[None]:
    """Show no typed keys while the block runs; what is typed ahead waits for the next prompt."""
    with _keyboard(shown=False):
        yield


@contextmanager
def open_keyboard() -> Generator[None]:
    """Show typed keys while the block runs, for a question; forget what was typed before it was asked."""
    with _keyboard(shown=True):
        yield


@contextmanager
def _keyboard(*, shown: bool) -> Generator[None]:
    try:
        import termios
    except ImportError:  # Windows: the console shows no keys while nobody reads them
        yield
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    wanted = termios.tcgetattr(descriptor)
    if shown:
        wanted[3] |= termios.ECHO | termios.ICANON
    else:
        wanted[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(descriptor, termios.TCSAFLUSH if shown else termios.TCSADRAIN, wanted)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def confirm(question: str, *, default: bool) -> bool:
    """Ask a yes-or-no question; Ctrl-C and Ctrl-D mean no."""
    from edgecli import console

    try:
        with open_keyboard():
            return console.confirm(question, default=default)
    except (KeyboardInterrupt, EOFError):
        console.out()
        return False


@contextmanager
def ended_by_sigterm() -> Generator[None]:
    """Turn SIGTERM into an ordinary end of the program, with its cleaning up, while the block runs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        from prompt_toolkit.application import get_app_or_none

        app = get_app_or_none()
        if app is not None and app.is_running and app.loop is not None:
            # The prompt must give the terminal back first.
            app.loop.call_soon_threadsafe(lambda: app.exit(exception=typer.Exit(TERMINATED)))
            return
        raise typer.Exit(TERMINATED)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
