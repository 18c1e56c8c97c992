"""Show an answer as Markdown while it comes."""

from __future__ import annotations

import threading
from time import monotonic
from types import TracebackType

from rich.console import Console, RenderableType
from rich.text import Text

from edgecli.chat.markdown import THEME, ChatMarkdown, parser
from edgecli.chat.region import Region
from edgecli.plain import printable

FRAME_SECONDS = 0.06
WIDEST_TEXT = 100
"""Cells: longer lines are hard to read."""
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


def make_console() -> Console:
    """Return the console of the answers: stdout."""
    return Console(theme=THEME, highlight=False)


def finished_length(text: str) -> int:
    """Return how many characters at the beginning of Markdown no later text can change.

    They are whole blocks (paragraphs, lists, code, tables): the block after them has begun with a whole line.
    """
    known = text[: text.rfind("\n") + 1]
    starts = [token.map[0] for token in parser().parse(known) if token.level == 0 and token.map and token.nesting >= 0]
    if len(starts) < 2:
        return 0
    return sum(len(line) for line in known.splitlines(keepends=True)[: starts[-1]])


class AnswerView:
    """An answer on the terminal, drawn by a thread, so that `feed` is cheap. Use as a context manager."""

    def __init__(self, console: Console, waiting: str) -> None:
        self._console = console
        self._region = Region(console.file, lambda: console.size, plain=not _moves_cursor(console))
        self._waiting = waiting
        self._since = monotonic()
        self._text = ""
        self._begun = False
        """Whether a block has been finished: the next one stands below an empty line."""
        self._changed = True
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._painter = threading.Thread(target=self._paint, name="edgecli-chat-view", daemon=True)

    def __enter__(self) -> AnswerView:
        self._painter.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._painter.join()
        blocks = self._lines(self._text, first=not self._begun) if self._text.strip() else []
        self._region.draw(blocks, [])

    def wait_for(self, what: str) -> None:
        """Change what the line says that stands there until the answer begins."""
        self._waiting = what

    def feed(self, piece: str) -> None:
        """Add a piece of the answer."""
        with self._lock:
            self._text += printable(piece)
            self._changed = True

    def _paint(self) -> None:
        while not self._ended.wait(FRAME_SECONDS):
            with self._lock:
                text, changed = self._text, self._changed
                self._changed = False
            if not self._begun and not text.strip():
                self._region.draw([], self._waiting_line())
            elif changed:
                self._draw(text)

    def _draw(self, text: str) -> None:
        length = finished_length(text)
        final: list[str] = []
        if length:
            final = self._lines(text[:length], first=not self._begun)
            self._begun = True
            with self._lock:
                self._text = self._text[length:]
        self._region.draw(final, self._lines(text[length:], first=not self._begun))

    def _waiting_line(self) -> list[str]:
        seconds = monotonic() - self._since
        mark = _SPINNER[int(seconds * 12) % len(_SPINNER)]
        after = f" {seconds:.0f} s" if seconds >= 2 else ""
        return self._printed(Text(f"{mark} {self._waiting}{after}", style="dim", no_wrap=True, overflow="ellipsis"))

    def _lines(self, markup: str, *, first: bool) -> list[str]:
        return [*([] if first else [""]), *self._printed(ChatMarkdown(markup.strip("\n")))]

    def _printed(self, content: RenderableType) -> list[str]:
        with self._console.capture() as captured:
            self._console.print(content, width=min(self._console.width, WIDEST_TEXT), crop=False)
        lines = [line.rstrip(" ") for line in captured.get().rstrip("\n").split("\n")]
        # rich sets an empty line before a list or a table that stands alone.
        return lines[next((number for number, line in enumerate(lines) if line), 0) :]


def _moves_cursor(console: Console) -> bool:
    return console.is_terminal and not console.is_dumb_terminal
