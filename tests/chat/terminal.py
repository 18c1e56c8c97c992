"""A terminal to type into and to look at: a process on a pty, and the screen that its output draws."""

from __future__ import annotations

import os
import signal
import sys
import time

import pexpect
import pyte

PATIENCE = 90
"""Seconds until something that should appear is missed; a loaded machine is slow."""

ENTER, ALT_ENTER, CTRL_C, CTRL_D = "\r", "\x1b\r", "\x03", "\x04"


class _Screen(pyte.HistoryScreen):
    """A screen that answers where its cursor is, as terminals do."""

    def __init__(self, columns: int, lines: int, terminal: Terminal) -> None:
        super().__init__(columns, lines, history=2000, ratio=0.5)
        self._terminal = terminal

    def write_process_input(self, data: str) -> None:
        self._terminal.type(data)


class Terminal:
    """A chat on a terminal of 80 x 24 cells."""

    def __init__(self) -> None:
        self._columns, self._lines = 80, 24
        self._process: pexpect.spawn | None = None
        self._screen = _Screen(self._columns, self._lines, self)
        self._stream = pyte.ByteStream(self._screen)

    def start(self, *arguments: str, columns: int = 80, lines: int = 24, **environment: str) -> Terminal:
        """Start `edgecli chat` and wait for its prompt."""
        self._screen.resize(lines, columns)
        self._process = pexpect.spawn(
            sys.executable,
            ["-m", "edgecli", "chat", *arguments],
            env=os.environ | {"TERM": "xterm-256color", "LANG": "C.UTF-8", "NO_COLOR": ""} | environment,
            dimensions=(lines, columns),
            timeout=20,
        )
        return self.until("/help shows")

    @property
    def process(self) -> pexpect.spawn:
        assert self._process is not None, "the chat has not been started"
        return self._process

    def type(self, text: str) -> Terminal:
        """Send keys."""
        self.process.send(text.encode())
        return self

    def say(self, text: str) -> Terminal:
        """Send a line when the prompt stands there. Afterwards only the next prompt counts as one."""
        self.until_prompt().type(text)
        self._wait(lambda: not self._at_prompt(), f"{text!r} did not appear at the prompt", PATIENCE)
        return self.type(ENTER)

    def screen(self) -> str:
        """Return what is on the screen now."""
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip()

    def everything(self) -> str:
        """Return the scrollback and the screen."""
        width = self._screen.columns
        above = ["".join(row[x].data for x in range(width)).rstrip() for row in self._screen.history.top]
        return "\n".join([*above, self.screen()])

    def until(self, text: str, *, times: int = 1) -> Terminal:
        """Wait until the scrollback and the screen show a text, and show it so many times."""
        return self._wait(lambda: self.everything().count(text) >= times, f"{text!r} did not appear", PATIENCE)

    def until_answering(self) -> Terminal:
        """Wait until an answer has begun: its first words stand where the waiting line stood."""

        def begun() -> bool:
            below = self.everything().rpartition("› ")[2].split("\n")[1:]
            return any(line and "waiting for" not in line and "· /help" not in line for line in below)

        return self._wait(begun, "no answer began", PATIENCE)

    def until_prompt(self) -> Terminal:
        """Wait until the chat waits for a message: an empty prompt, and the line below it."""
        return self._wait(self._at_prompt, "no prompt appeared", PATIENCE)

    def _at_prompt(self) -> bool:
        cursor = self._screen.cursor
        row = self._screen.display[cursor.y]
        return row.rstrip() == "›" and cursor.x == 2 and "· /help" in self.screen()

    def wait_for_end(self) -> int | None:
        """Wait until the chat has ended and return its exit code."""
        self._wait(lambda: not self.process.isalive() and not self._read(0.05), "the chat did not end", PATIENCE)
        return self.process.exitstatus

    def _wait(self, reached: object, complaint: str, seconds: float) -> Terminal:
        assert callable(reached)
        deadline = time.monotonic() + seconds
        while not reached():
            assert time.monotonic() < deadline, f"{complaint}; the terminal shows:\n{self.everything()}"
            self._read(0.05)
        return self

    def _read(self, seconds: float) -> bool:
        try:
            self._stream.feed(self.process.read_nonblocking(65536, timeout=seconds))
        except pexpect.TIMEOUT:
            return False
        except pexpect.EOF:
            self.process.wait() if self.process.isalive() else None
            return False
        return True

    def resize(self, columns: int, lines: int) -> None:
        """Change the size of the window."""
        self._screen.resize(lines, columns)
        self.process.setwinsize(lines, columns)

    def close(self) -> None:
        """End the chat if it still runs."""
        if self._process is not None:
            if self._process.isalive():
                self._process.kill(signal.SIGKILL)
                self._process.wait()  # pexpect itself gives up after 0.1 s
            self._process.close(force=True)
