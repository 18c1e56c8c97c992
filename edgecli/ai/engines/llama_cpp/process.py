"""A model in a process of its own, as the server sees it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import orjson

import edgecli
from edgecli.ai.engines.generation import EngineFacts, GenerationRequest, Piece
from edgecli.ai.engines.llama_cpp.options import LoadOptions
from edgecli.ai.engines.llama_cpp.protocol import LENGTH, facts_from, frame, piece_from
from edgecli.errors import EdgeError, EngineError, error_from_dict

log = logging.getLogger("edgecli.ai")

CLOSE_SECONDS = 5.0
"""What the process is given to end by itself."""
_COMMAND = ("-P", "-m", "edgecli.ai.engines.llama_cpp.worker")


class ModelProcess:
    """Generate text with a model that runs in a process of its own. Its methods belong to one event loop."""

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        """Use `start`."""
        self._process = process
        self._name = name
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Queue[Any]] = {}
        self._said: deque[str] = deque(maxlen=12)
        self._death: EngineError | None = None
        self.facts: EngineFacts
        self._listening = [asyncio.create_task(self._listen()), asyncio.create_task(self._overhear())]

    @classmethod
    async def start(cls, options: LoadOptions) -> ModelProcess:
        """Start a process and load the model in it. Raises EngineError if it cannot be loaded."""
        package = str(Path(edgecli.__file__).parent.parent)
        known = os.environ.get("PYTHONPATH")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *_COMMAND,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ
            | {"PYTHONPATH": f"{package}{os.pathsep}{known}" if known else package}
            # ggml would start a debugger to print where it aborted, and hang for minutes.
            | {"GGML_NO_BACKTRACE": "1"},
        )
        self = cls(process, Path(options.path).name)
        try:
            self.facts = facts_from(await self._ask(0, {"options": options}))
        except BaseException:
            await self.close()
            raise
        return self

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._death is None

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Piece]:
        """Yield the answer piece by piece; closing the iterator ends the generation within one step.

        Raises what the engine raises, before the first piece or, if it fails later, between two.
        """
        number = next(self._numbers)
        events = self._waiting[number] = asyncio.Queue()
        over = False
        try:
            self._send({"do": "generate", "id": number, "request": request})
            while not over:
                kind, value = await events.get()
                if kind == "text":
                    yield Piece(value)
                    continue
                over = kind == "error" or value["usage"] is not None
                if kind == "error":
                    raise _error(value)
                yield piece_from(value)
        finally:
            del self._waiting[number]
            if not over:
                self._send({"do": "cancel", "id": number}, quietly=True)

    async def count_prompt(self, request: GenerationRequest) -> int:
        """Return the tokens of the prompt as the model sees it, template included."""
        return await self._ask(next(self._numbers), {"do": "count_prompt", "request": request})

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the length of each text in the model's tokens, as a message's content counts."""
        return await self._ask(next(self._numbers), {"do": "count_tokens", "texts": list(texts)})

    async def statistics(self) -> dict[str, Any]:
        """Return what the scheduler says of itself."""
        return await self._ask(next(self._numbers), {"do": "status"})

    async def _ask(self, number: int, message: dict[str, Any]) -> Any:
        events = self._waiting[number] = asyncio.Queue()
        try:
            self._send({"id": number, **message})
            kind, value = await events.get()
            if kind == "error":
                raise _error(value)
            return value
        finally:
            del self._waiting[number]

    def _send(self, message: dict[str, Any], *, quietly: bool = False) -> None:
        if self._death is not None:
            if quietly:
                return
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
                (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
                for number, kind, value in orjson.loads(await reader.readexactly(length)):
                    if (events := self._waiting.get(number)) is not None:
                        events.put_nowait((kind, value))
        except (asyncio.IncompleteReadError, OSError):
            pass
        code = await self._process.wait()
        await asyncio.sleep(0)  # what it printed last is read by the other task
        self._death = _death(self._name, code, list(self._said))
        for events in self._waiting.values():
            events.put_nowait(("error", self._death))

    async def _overhear(self) -> None:
        """Keep the last lines that native code printed, and pass them on."""
        assert self._process.stderr is not None
        while line := await self._process.stderr.readline():
            text = line.decode("utf-8", "replace").rstrip()
            self._said.append(text)
            log.info("%s: %s", self._name, text)

    async def close(self) -> None:
        """End the process; its memory has been given back when this returns."""
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


def _error(value: EdgeError | dict[str, Any]) -> EdgeError:
    return value if isinstance(value, EdgeError) else error_from_dict(value, status=value["status"])


def _death(name: str, code: int, said: Sequence[str]) -> EngineError:
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    last = next((line for line in reversed(said) if line.strip()), "")
    return EngineError(
        f"The process of the model `{name}` {how}." + (f" It said: {last}" if last else ""),
        hint="Ask again: it is started anew. If it happens again, memory may be short: set a smaller "
        "`[edgecli.generation] context` or `gpu_layers`.",
        code="model_process_died",
        status=503,
        details={"said": list(said)} if said else None,
    )
