"""The process of one model: loads it, and answers on its standard input and output.

An abort in native code ends this process and nothing else; the server notices and says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

from edgecli.ai.engines.generation import GenerationRequest, Piece
from edgecli.ai.engines.llama_cpp.engine import LlamaEngine
from edgecli.ai.engines.llama_cpp.job import Job
from edgecli.ai.engines.llama_cpp.options import LoadOptions
from edgecli.ai.engines.llama_cpp.protocol import request_from
from edgecli.ai.engines.process.child import Answers, error_event, serve
from edgecli.ai.engines.process.frames import read_message
from edgecli.errors import EdgeError, EngineError

log = logging.getLogger("edgecli.ai")


class Worker:
    """Serve one engine to the process that started this one."""

    def __init__(self, inside: BinaryIO, answers: Answers) -> None:
        self._in = inside
        self._answers = answers
        self._events: list[Any] = []
        self._jobs: dict[int, Job] = {}
        self._preparing: set[int] = set()
        # A schema may take a second to be understood: the others' messages are not kept waiting for it.
        self._understanding = ThreadPoolExecutor(2, thread_name_prefix="edgecli-forms")

    def run(self) -> None:
        """Load the model that the first message names, then answer until the other side ends."""
        first = read_message(self._in)
        if first is None:
            return
        try:
            engine = LlamaEngine(LoadOptions(**first["options"]))
        except EdgeError as error:
            self._answers.error(first["id"], error)
            return
        self._answers.write([[first["id"], "loaded", engine.facts]])
        engine.start(self._flush)
        while (message := read_message(self._in)) is not None:
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
            self._answers.error(number, error)
        except Exception as error:
            log.exception("a message failed")
            self._answers.error(number, error)

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
                self._answers.write([[number, "value", engine.count_prompt(request_from(message["request"]))]])
            case "count_tokens":
                self._answers.write([[number, "value", engine.count_tokens(message["texts"])]])
            case "status":
                self._answers.write([[number, "value", engine.status()]])
            case other:
                raise EngineError(f"The model's process does not know `{other}`.", code="internal")

    def _receive(self, number: int, item: Piece | EdgeError) -> None:
        """Keep what the engine's thread hands out until its step ends."""
        if isinstance(item, EdgeError):
            self._jobs.pop(number, None)
            self._events.append(error_event(number, item))
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
            self._answers.write(events)


if __name__ == "__main__":
    serve(lambda inside, answers: Worker(inside, answers).run())
