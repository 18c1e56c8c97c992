"""The process of one model: loads it, and answers on its standard input and output.

An abort in native code ends this process and nothing else; the server notices and says so.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

from edgecli.ai.engines.generation import GenerationRequest, Piece
from edgecli.ai.engines.llama_cpp.engine import LlamaEngine
from edgecli.ai.engines.llama_cpp.job import Job
from edgecli.ai.engines.llama_cpp.options import LoadOptions
from edgecli.ai.engines.llama_cpp.protocol import frame, read_frame, request_from
from edgecli.errors import EdgeError, EngineError

log = logging.getLogger("edgecli.ai")


class Worker:
    """Serve one engine to the process that started this one."""

    def __init__(self, inside: BinaryIO, outside: BinaryIO) -> None:
        self._in = inside
        self._out = outside
        self._events: list[Any] = []
        self._jobs: dict[int, Job] = {}
        self._preparing: set[int] = set()
        # A schema may take a second to be understood: the others' messages are not kept waiting for it.
        self._understanding = ThreadPoolExecutor(2, thread_name_prefix="edgecli-forms")
        self._writing = threading.Lock()

    def run(self) -> None:
        """Load the model that the first message names, then answer until the other side ends."""
        first = read_frame(self._in)
        if first is None:
            return
        try:
            engine = LlamaEngine(LoadOptions(**first["options"]))
        except EdgeError as error:
            self._write([[0, "error", _error(error)]])
            return
        self._write([[0, "loaded", engine.facts]])
        engine.start(self._flush)
        while (message := read_frame(self._in)) is not None:
            self._do(engine, message)
        # The other side is gone, or has closed: nobody waits for what still runs.
        self._understanding.shutdown(cancel_futures=True)
        engine.close()

    def _do(self, engine: LlamaEngine, message: dict[str, Any]) -> None:
        if message["do"] != "generate":
            self._answer(message["id"], lambda: self._other(engine, message))
            return
        number: int = message["id"]
        request = request_from(message["request"])
        self._preparing.add(number)
        if request.constraint or request.tools:
            self._understanding.submit(self._answer, number, lambda: self._generate(engine, number, request))
        else:
            self._answer(number, lambda: self._generate(engine, number, request))

    def _answer(self, number: int, work: Callable[[], None]) -> None:
        """Do something for a message; if it fails, say so."""
        try:
            work()
        except EdgeError as error:
            self._write([[number, "error", _error(error)]])
        except Exception as error:
            log.exception("a message failed")
            problem = EngineError(f"Unexpected {type(error).__name__}: {error}", code="internal")
            self._write([[number, "error", _error(problem)]])

    def _generate(self, engine: LlamaEngine, number: int, request: GenerationRequest) -> None:
        try:
            job = engine.prepare(request, lambda item: self._receive(number, item))
        finally:
            wanted = number in self._preparing
            self._preparing.discard(number)
        if wanted:
            self._jobs[number] = job
            engine.submit(job)

    def _other(self, engine: LlamaEngine, message: dict[str, Any]) -> None:
        number: int = message["id"]
        match message["do"]:
            case "cancel":
                self._preparing.discard(number)
                if (job := self._jobs.pop(number, None)) is not None:
                    engine.cancel(job)
            case "count_prompt":
                self._write([[number, "value", engine.count_prompt(request_from(message["request"]))]])
            case "count_tokens":
                self._write([[number, "value", engine.count_tokens(message["texts"])]])
            case "status":
                self._write([[number, "value", engine.status()]])
            case other:
                raise EngineError(f"The model's process does not know `{other}`.", code="internal")

    def _receive(self, number: int, item: Piece | EdgeError) -> None:
        """Keep what the engine's thread hands out until its step ends."""
        if isinstance(item, EdgeError):
            self._jobs.pop(number, None)
            self._events.append([number, "error", _error(item)])
        elif item.usage is not None:
            self._jobs.pop(number, None)
            self._events.append([number, "piece", item])
        elif item.tool_calls or item.reasoning or item.logprobs or item.cut or item.warning:
            self._events.append([number, "piece", item])
        else:  # nearly all of them
            self._events.append([number, "text", item.text])

    def _flush(self) -> None:
        if self._events:
            events, self._events = self._events, []
            self._write(events)

    def _write(self, events: list[Any]) -> None:
        try:
            with self._writing:
                self._out.write(frame(events))
                self._out.flush()
        except OSError:
            os._exit(1)  # nobody listens any more


def _error(error: EdgeError) -> dict[str, Any]:
    return error.to_dict() | {"status": error.status}


def main() -> None:
    """Be a model's process. Native code may print: its output must not come between the frames."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    outside = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    Worker(sys.stdin.buffer, outside).run()


if __name__ == "__main__":
    main()
