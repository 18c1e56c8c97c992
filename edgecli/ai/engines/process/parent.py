"""A model's process as the server sees it: started, asked, listened to, and ended."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import sys
from collections import deque
from collections.abc import Generator
from pathlib import Path
from typing import Any, ClassVar, Self

import orjson

import edgecli
from edgecli.ai.engines.process.frames import HEAD, frame
from edgecli.errors import EdgeError, EngineError, error_from_dict

log = logging.getLogger("edgecli.ai")

CLOSE_SECONDS = 5.0
"""What the process is given to end by itself."""
PIPE_BYTES = 1 << 20
"""What is read ahead of the process's output; also its longest line on stderr."""


class ModelProcess:
    """A model that runs in a process of its own. Its methods belong to one event loop."""

    worker: ClassVar[str]
    """The module that the process runs."""
    if_it_dies: ClassVar[str]
    """What to do if the process dies again and again, a part of a sentence."""

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        """Use `spawn`, then `load`."""
        self._process = process
        self._name = name
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Queue[Any]] = {}
        self._said: deque[str] = deque(maxlen=12)
        self._death: EngineError | None = None
        self._closed = False
        self._listening = [asyncio.create_task(self._listen()), asyncio.create_task(self._overhear())]

    @classmethod
    async def spawn(cls, name: str) -> Self:
        """Start the process; `name` is the model's in messages."""
        package = str(Path(edgecli.__file__).parent.parent)
        known = os.environ.get("PYTHONPATH")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            cls.worker,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=PIPE_BYTES,
            env=os.environ
            | {"PYTHONPATH": f"{package}{os.pathsep}{known}" if known else package}
            # ggml would start a debugger to print where it aborted, and hang for minutes.
            | {"GGML_NO_BACKTRACE": "1"},
        )
        return cls(process, name)

    async def load(self, options: Any) -> dict[str, Any]:
        """Load the model and return its facts. Raises EngineError, with the process ended, if it cannot be loaded."""
        try:
            return await self.ask({"options": options})
        except BaseException:
            await self.close()
            raise

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._death is None

    async def ask(self, message: dict[str, Any]) -> Any:
        """Send a message and return the value of the one event that answers it. Raises what the event says."""
        with self.listening() as (number, events):
            self.send({"id": number, **message})
            kind, value = await events.get()
            if kind == "error":
                raise error_of(value)
            return value

    @contextlib.contextmanager
    def listening(self) -> Generator[tuple[int, asyncio.Queue[Any]]]:
        """Have a number for a request, and a queue of what the process says of it: `(kind, value)`."""
        number = next(self._numbers)
        events = self._waiting[number] = asyncio.Queue[Any]()
        try:
            yield number, events
        finally:
            del self._waiting[number]

    def send(self, message: dict[str, Any]) -> None:
        """Send a message. Raises EngineError, code `model_process_died`, if nobody is there."""
        if self._death is not None:
            raise self._death
        assert self._process.stdin is not None
        # Not awaited: a message is small, and the pipe's other end is read all the time.
        with contextlib.suppress(OSError, RuntimeError):
            self._process.stdin.write(frame(message))

    async def _listen(self) -> None:
        """Hand what the process says to those who wait for it; when it ends, tell them."""
        assert self._process.stdout is not None
        reader = self._process.stdout
        try:
            while True:
                length, extra = HEAD.unpack(await reader.readexactly(HEAD.size))
                events = orjson.loads(await reader.readexactly(length))
                if extra:
                    events[-1][2] = await reader.readexactly(extra)
                for number, kind, value in events:
                    if (waiting := self._waiting.get(number)) is not None:
                        waiting.put_nowait((kind, value))
        except (asyncio.IncompleteReadError, OSError):
            pass
        code = await self._process.wait()
        await asyncio.sleep(0)  # what it printed last is read by the other task
        self._death = self._died(code)
        for waiting in self._waiting.values():
            waiting.put_nowait(("error", self._death))

    async def _overhear(self) -> None:
        """Keep the last lines that native code printed, and pass them on."""
        assert self._process.stderr is not None
        while True:
            try:
                line = await self._process.stderr.readline()
            except ValueError:  # a line that is longer than the pipe; it is dropped
                continue
            if not line:
                return
            text = line.decode("utf-8", "replace").rstrip()
            self._said.append(text)
            log.info("%s: %s", self._name, text)

    def _died(self, code: int) -> EngineError:
        if self._closed:
            return EngineError(
                f"The model `{self._name}` was unloaded while it worked.",
                hint="Ask again: it is loaded anew.",
                code="model_unloaded",
                status=503,
            )
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        said = list(self._said)
        last = next((line for line in reversed(said) if line.strip()), "")
        return EngineError(
            f"The process of the model `{self._name}` {how}." + (f" It said: {last}" if last else ""),
            hint=f"Ask again: it is started anew. If it happens again, memory may be short: {self.if_it_dies}.",
            code="model_process_died",
            status=503,
            details={"said": said} if said else None,
        )

    async def close(self) -> None:
        """End the process; its memory has been given back when this returns."""
        self._closed = self._death is None
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), CLOSE_SECONDS)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        await asyncio.gather(*self._listening, return_exceptions=True)


def error_of(value: EdgeError | dict[str, Any]) -> EdgeError:
    """Return the error of an `error` event."""
    return value if isinstance(value, EdgeError) else error_from_dict(value, status=value["status"])
