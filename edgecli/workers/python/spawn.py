"""The process of a Python Worker, from outside: started, listened to, ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import edgecli
from edgecli.workers.journal import LONGEST_LINE, Level
from edgecli.workers.python.link import Exchange, Link, Message

_LINES_A_SECOND = 200
"""Lines of what the process itself writes (native libraries, the interpreter)."""


class Owner(Protocol):
    """Who uses a process."""

    async def serve(self, exchange: Exchange) -> None:
        """Answer a call of the Worker."""
        ...

    def hear(self, message: Message, raw: bytes) -> None:
        """Take a message."""
        ...

    def said(self, level: Level, text: str) -> None:
        """Take a line that the process wrote."""
        ...


class Child:
    """A started process. Until it has an owner it waits for one."""

    def __init__(self, process: subprocess.Popen[bytes], lifeline: int) -> None:
        """Use `spawn`."""
        self.pid = process.pid
        self.loop = asyncio.get_running_loop()
        self.exit: asyncio.Future[int] = self.loop.create_future()
        """Its exit status, negative for a signal."""
        self.last_words: deque[str] = deque(maxlen=30)
        self.owner: Owner | None = None
        self.link = Link(self._serve, self._hear, lambda: None)
        self._process = process
        self._lifeline = lifeline
        threading.Thread(target=self._wait, name=f"worker-{self.pid}", daemon=True).start()

    @classmethod
    async def spawn(cls) -> Child:
        """Start a process in a session of its own, so that Ctrl-C in the terminal is not for it."""
        package = str(Path(edgecli.__file__).parent.parent)
        known = os.environ.get("PYTHONPATH")
        ours, its = socket.socketpair()
        its_life, our_life = os.pipe()
        try:
            process = subprocess.Popen(  # noqa: ASYNC220 — a millisecond
                [sys.executable, "-P", "-m", "edgecli.workers.python.child", str(its.fileno()), str(its_life)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(its.fileno(), its_life),
                start_new_session=True,
                env=os.environ
                | {"PYTHONPATH": f"{package}{os.pathsep}{known}" if known else package, "PYTHONUTF8": "1"},
            )
        except BaseException:
            ours.close()
            os.close(our_life)
            raise
        finally:
            its.close()
            os.close(its_life)
        child = cls(process, our_life)
        ours.setblocking(False)
        try:
            await child.loop.create_unix_connection(lambda: child.link, sock=ours)
            for pipe, level in ((process.stdout, "log"), (process.stderr, "error")):
                await child.loop.connect_read_pipe(lambda level=level: _Native(child.said, level), pipe)
        except BaseException:  # cancelled: nobody would end it
            child.kill()
            child.link.close()
            raise
        return child

    async def _serve(self, exchange: Exchange) -> None:
        assert self.owner is not None
        await self.owner.serve(exchange)

    def _hear(self, message: Message, raw: bytes) -> None:
        if self.owner is not None:
            self.owner.hear(message, raw)

    def said(self, level: Level, text: str) -> None:
        """Keep a line that the process wrote, and hand it on."""
        self.last_words.append(text)
        if self.owner is not None:
            self.owner.said(level, text)

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if not self.exit.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it, and the processes it has started, whatever they do."""
        if not self.exit.done():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    async def end(self) -> None:
        """End it and wait until it has ended."""
        self.kill()
        await asyncio.shield(self.exit)
        self.link.close()

    def resident(self) -> int:
        """Return the bytes of memory it uses; 0 where the system does not tell."""
        try:
            return int(Path(f"/proc/{self.pid}/statm").read_bytes().split()[1]) * _PAGE
        except (OSError, IndexError, ValueError):
            return 0

    def _wait(self) -> None:
        code = self._process.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)  # what it has started
        os.close(self._lifeline)
        with contextlib.suppress(RuntimeError):  # the loop has ended first
            self.loop.call_soon_threadsafe(self._exited, code)

    def _exited(self, code: int) -> None:
        if not self.exit.done():
            self.exit.set_result(code)


_PAGE = os.sysconf("SC_PAGE_SIZE")


class _Native(asyncio.Protocol):
    """Lines from a pipe, so many in a second; the rest is read and counted."""

    def __init__(self, said: Callable[[Level, str], None], level: Any) -> None:
        self._said = said
        self._level: Level = level
        self._rest = b""
        self._lines = 0
        self._left_out = 0
        self._second = 0.0

    def data_received(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now - self._second >= 1:
            self._second, self._lines = now, 0
            loop.call_later(1, self._report)
        if self._lines >= _LINES_A_SECOND:
            self._left_out += data.count(b"\n")
            self._rest = b""
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[:LONGEST_LINE]
        for line in lines[: _LINES_A_SECOND - self._lines]:
            self._said(self._level, line[:LONGEST_LINE].decode("utf-8", "replace"))
        self._left_out += max(0, len(lines) - (_LINES_A_SECOND - self._lines))
        self._lines += len(lines)

    def connection_lost(self, exc: Exception | None) -> None:
        self._report()
        if self._rest:
            self._said(self._level, self._rest.decode("utf-8", "replace"))

    def _report(self) -> None:
        if self._left_out:
            left_out, self._left_out = self._left_out, 0
            self._said("warn", f"[{left_out} more lines left out]")
