"""The way a workerd is started: so that it ends when edgecli does, however that ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Sequence

# On Linux the kernel ends workerd with its parent. Elsewhere a small process waits at a pipe that edgecli holds open.
_START = """
import os, sys
parent, life, *command = sys.argv[1:]
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, 9)
    if os.getppid() != int(parent):
        sys.exit(1)
else:
    program = os.getpid()
    if os.fork() == 0:
        life = os.dup2(int(life), 3)
        os.closerange(4, 256)
        os.close(1), os.close(2)
        os.read(life, 1)
        if os.getppid() == program:
            os.kill(program, 9)
        os._exit(0)
os.execv(command[0], command)
"""


class Leash:
    """Holds the processes that it starts. Close it when the process has ended."""

    def __init__(self) -> None:
        self._inner, self._held = os.pipe()

    async def spawn(self, command: Sequence[str], *, descriptors: Sequence[int]) -> asyncio.subprocess.Process:
        """Start a program, which gets `descriptors` beside its output's pipes."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-S", "-c", _START, str(os.getpid()), str(self._inner), *command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=(self._inner, *descriptors),
            start_new_session=True,  # Ctrl-C is for edgecli, which then ends the Worker
        )
        os.close(self._inner)
        self._inner = -1
        return process

    def close(self) -> None:
        """Let go."""
        for descriptor in (self._inner, self._held):
            if descriptor >= 0:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        self._inner = self._held = -1
