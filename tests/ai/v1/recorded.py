"""Answers of an engine, piece by piece, and a service that gives them again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from edgecli.ai.engines.generation import (
    Cut,
    GenerationRequest,
    Piece,
    TokenLogprob,
    ToolCallPart,
    Usage,
)
from edgecli.ai.tasks.text_request import Defaults
from edgecli.config.settings import Settings
from edgecli.errors import EdgeError
from edgecli.models.catalog import Catalog
from edgecli.models.schema import ModelSpec

T = TypeVar("T")

DEFAULTS = Defaults(max_tokens=256, temperature=0.6)
MODEL = "@edge/smollm2-135m-instruct"

TEXT = (
    Piece("Hel", logprobs=(TokenLogprob(b"Hel", -0.25, ((b"Hel", -0.25), (b"Go", -2.0))),)),
    Piece("", logprobs=(TokenLogprob(b"\xe9\x80", -0.5, ((b"\xe9\x80", -0.5),)),)),
    Piece("退款", logprobs=(TokenLogprob(b"\x80\xe6\xac\xbe", float("-inf")),)),
    Piece(finish_reason="stop", usage=Usage(11, 3, 8)),
)
THOUGHT = (Piece(reasoning="A "), Piece(reasoning="greeting."), *TEXT)
CUT_SHORT = (
    Piece("Once upon", cut=Cut("head", 40, 2), warning="neighbours were merged"),
    Piece(finish_reason="length", usage=Usage(7, 2)),
)
STOPPED = (Piece("One, two"), Piece(finish_reason="stop", stop_sequence=", three", usage=Usage(7, 5)))
SILENT = (Piece(finish_reason="stop", usage=Usage(7, 1)),)
CALLS = (
    Piece("Let me look."),
    Piece(tool_calls=(ToolCallPart(0, "call_a", "weather", ""),)),
    Piece(tool_calls=(ToolCallPart(0, arguments='{"city":'),)),
    Piece(tool_calls=(ToolCallPart(0, arguments='"Oslo"}'),)),
    Piece(tool_calls=(ToolCallPart(1, "call_b", "time", "{}"),)),
    Piece(finish_reason="tool_calls", usage=Usage(50, 20)),
)
CALL_CUT_SHORT = (
    Piece(tool_calls=(ToolCallPart(0, "call_a", "weather", '{"city":'),)),
    Piece(finish_reason="length", usage=Usage(50, 4)),
)


async def replay(pieces: Sequence[Piece | EdgeError]) -> AsyncGenerator[Piece]:
    """Give recorded pieces again; an error among them is raised."""
    for piece in pieces:
        await asyncio.sleep(0)
        if isinstance(piece, EdgeError):
            raise piece
        yield piece


def gather(make: Callable[[], AsyncGenerator[T]]) -> list[T]:
    """Return all that an iterator yields."""

    async def run() -> list[T]:
        return [each async for each in make()]

    return asyncio.run(run())


class RecordedService:
    """Gives recorded answers, one after the other, and notes what it was asked for."""

    def __init__(self) -> None:
        self.settings = Settings()
        self.answers: list[Sequence[Piece | EdgeError]] = []
        self.asked: list[GenerationRequest] = []
        self.keep_alive: float | None = None
        """What the last call said of how long the model stays."""
        self.closed = 0
        self._catalog = Catalog.load()

    @contextmanager
    def giving(self, *answers: Sequence[Piece | EdgeError]) -> Iterator[None]:
        self.answers, self.asked = [*answers], []
        yield
        assert not self.answers, "an answer was not asked for"

    def spec(self, model: str) -> ModelSpec:
        return self._catalog.resolve(model)

    async def generate(
        self, model: str, request: GenerationRequest, *, keep_alive: float | None = None
    ) -> AsyncGenerator[Piece]:
        self.spec(model)
        self.asked.append(request)
        self.keep_alive = keep_alive
        try:
            async for piece in replay(self.answers.pop(0)):
                yield piece
        finally:
            self.closed += 1

    async def count_prompt(self, model: str, request: GenerationRequest) -> int:
        del model
        return sum(len(str(message["content"]).split()) for message in request.messages or ())

    async def embed(
        self, model: str, texts: Sequence[str], pooling: str | None = None, *, keep_alive: float | None = None
    ) -> Any:
        import numpy as np

        del pooling
        self.keep_alive = keep_alive
        size = self.spec(model).dimensions or 4
        return np.stack([np.arange(1, size + 1, dtype=np.float32) * len(text) for text in texts])

    async def count_tokens(self, model: str, texts: Sequence[str]) -> list[int]:
        del model
        return [len(text.split()) for text in texts]
