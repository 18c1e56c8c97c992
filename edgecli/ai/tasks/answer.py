"""Answers put together from the pieces of an engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from edgecli.ai.engines.generation import Cut, FinishReason, Piece, TokenLogprob, Usage


@dataclass(slots=True)
class ToolCall:
    """A call of a tool that the model asks for."""

    id: str
    name: str
    arguments: str = ""
    """JSON text of an object; a part of one where `max_tokens` cut it."""


@dataclass(slots=True)
class Answer:
    """What a model wrote, so far or whole."""

    texts: list[str] = field(default_factory=list[str])
    thoughts: list[str] = field(default_factory=list[str])
    tool_calls: dict[int, ToolCall] = field(default_factory=dict[int, ToolCall])
    logprobs: list[TokenLogprob] = field(default_factory=list[TokenLogprob])
    cut: Cut | None = None
    warning: str | None = None
    finish_reason: FinishReason = "stop"
    stop_sequence: str | None = None
    usage: Usage = field(default_factory=lambda: Usage(0, 0))

    @property
    def text(self) -> str:
        return "".join(self.texts)

    @property
    def reasoning(self) -> str:
        """What the model thought, where that comes apart from the text."""
        return "".join(self.thoughts)

    def add(self, piece: Piece) -> None:
        """Append a piece."""
        if piece.text:
            self.texts.append(piece.text)
        if piece.reasoning:
            self.thoughts.append(piece.reasoning)
        for part in piece.tool_calls:
            call = self.tool_calls.setdefault(part.index, ToolCall(part.id or "", part.name or ""))
            call.arguments += part.arguments
        self.logprobs.extend(piece.logprobs)
        self.cut = self.cut or piece.cut
        self.warning = self.warning or piece.warning
        self.finish_reason = piece.finish_reason or self.finish_reason
        self.stop_sequence = piece.stop_sequence or self.stop_sequence
        self.usage = piece.usage or self.usage

    def notes(self) -> dict[str, Any]:
        """Return what a client should know of how its request was read; empty if it was taken as it is."""
        return notes(self.cut, self.warning)


def notes(cut: Cut | None, warning: str | None) -> dict[str, Any]:
    """Return `{"edge": {…}}` with what was left out of the prompt and what was changed in it, or nothing."""
    edge: dict[str, Any] = {}
    if cut is not None:
        edge["truncated"] = {"strategy": cut.strategy, "tokens": cut.tokens, "messages": cut.messages}
    if warning is not None:
        edge["warning"] = warning
    return {"edge": edge} if edge else {}


async def merged(sources: Sequence[AsyncGenerator[Piece]]) -> AsyncGenerator[tuple[int, Piece]]:
    """Yield the pieces of several answers as they come, each with the index of its answer.

    An error of one ends all. Closing the iterator closes all.
    """
    if len(sources) == 1:
        async with aclosing(sources[0]) as only:
            async for piece in only:
                yield 0, piece
        return
    waiting = {asyncio.ensure_future(_next(source)): index for index, source in enumerate(sources)}
    try:
        while waiting:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=waiting.__getitem__):
                index = waiting.pop(task)
                if (piece := task.result()) is None:
                    continue
                waiting[asyncio.ensure_future(_next(sources[index]))] = index
                yield index, piece
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for source in sources:
            await source.aclose()


async def _next(source: AsyncGenerator[Piece]) -> Piece | None:
    return await anext(source, None)


async def collect(sources: Sequence[AsyncGenerator[Piece]]) -> list[Answer]:
    """Return the whole answers of several generations that run at once, in the order of the generations."""
    answers = [Answer() for _ in sources]
    async with aclosing(merged(sources)) as pieces:
        async for index, piece in pieces:
            answers[index].add(piece)
    return answers


def total(usages: Sequence[Usage]) -> Usage:
    """Return the usage of several answers to one prompt, which counts once."""
    first = usages[0] if usages else Usage(0, 0)
    return Usage(first.prompt_tokens, sum(usage.completion_tokens for usage in usages), first.cached_tokens)
