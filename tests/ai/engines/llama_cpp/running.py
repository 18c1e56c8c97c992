"""Requests to an engine in this process, and their answers."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from edgecli.ai.engines.generation import GenerationRequest, Piece, Usage
from edgecli.ai.engines.llama_cpp.engine import LlamaEngine
from edgecli.ai.engines.llama_cpp.job import Job
from edgecli.errors import EdgeError


def chat(*contents: str, **options: Any) -> GenerationRequest:
    roles = ("user", "assistant")
    messages = [{"role": roles[number % 2], "content": content} for number, content in enumerate(contents)]
    settings: dict[str, Any] = {"max_tokens": 16, "temperature": 0.0} | options
    return GenerationRequest(messages=messages, **settings)


def raw(prompt: str, **options: Any) -> GenerationRequest:
    settings: dict[str, Any] = {"max_tokens": 16, "temperature": 0.0} | options
    return GenerationRequest(raw_prompt=prompt, **settings)


@dataclass
class Running:
    """A request that has been submitted."""

    job: Job
    answers: queue.SimpleQueue[Piece | EdgeError]
    count: int = 0
    pieces: list[Piece] = field(default_factory=list[Piece])

    def next(self) -> Piece:
        """Return the next piece; raise the error if it is one."""
        item = self.answers.get(timeout=280)
        self.count += 1
        if isinstance(item, EdgeError):
            raise item
        self.pieces.append(item)
        return item

    def __iter__(self) -> Iterator[Piece]:
        while True:
            piece = self.next()
            yield piece
            if piece.usage is not None:
                return

    def whole(self) -> tuple[str, str, Usage]:
        """Return the text, the reason and the usage once the answer is complete."""
        last = list(self)[-1]
        assert last.finish_reason and last.usage
        return "".join(piece.text for piece in self.pieces), last.finish_reason, last.usage


def start(engine: LlamaEngine, request: GenerationRequest) -> Running:
    """Submit a request."""
    answers: queue.SimpleQueue[Piece | EdgeError] = queue.SimpleQueue()
    job = engine.prepare(request, answers.put)
    engine.submit(job)
    return Running(job, answers)


def complete(engine: LlamaEngine, request: GenerationRequest) -> tuple[str, str, Usage]:
    """Run a request to its end."""
    return start(engine, request).whole()
