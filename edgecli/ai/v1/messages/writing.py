"""How an answer is written: the message object, and the events of its stream."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

from edgecli.ai.engines.generation import Piece, Usage
from edgecli.ai.tasks.answer import Answer

Event = dict[str, Any]

PING: Event = {"type": "ping"}
PING_SECONDS = 10.0
"""How long a stream is silent at most: what stands between client and server may cut a connection that says nothing."""


def new_id() -> str:
    """Return the id of a message."""
    return f"msg_{uuid.uuid4().hex}"


def whole(message_id: str, model: str, answer: Answer, *, thinking: bool = False) -> dict[str, Any]:
    """Return the message object of a finished answer; with `thinking`, what the model thought is its first block."""
    content: list[dict[str, Any]] = []
    if thinking and answer.reasoning:
        content.append(_thinking(answer.reasoning))
    if answer.text or not answer.tool_calls:
        content.append({"type": "text", "text": answer.text})
    for call in answer.tool_calls.values():
        try:
            arguments = json.loads(call.arguments or "{}")
        except ValueError:
            # `max_tokens` cut it: an object with a part of the arguments would look like the whole.
            continue
        content.append({"type": "tool_use", "id": call.id, "name": call.name, "input": arguments})
    reason, sequence = _stop(answer)
    return _message(message_id, model) | {
        "content": content,
        "stop_reason": reason,
        "stop_sequence": sequence,
        "usage": _usage(answer.usage),
        **answer.notes(),
    }


def _thinking(text: str) -> dict[str, Any]:
    """Return a block of thoughts. What Anthropic signs for its own servers is empty here."""
    return {"type": "thinking", "thinking": text, "signature": ""}


def _message(message_id: str, model: str) -> dict[str, Any]:
    return {"id": message_id, "type": "message", "role": "assistant", "model": model}


def _stop(answer: Answer) -> tuple[str, str | None]:
    if answer.stop_sequence is not None:
        return "stop_sequence", answer.stop_sequence
    return {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}[answer.finish_reason], None


def _usage(usage: Usage) -> dict[str, Any]:
    """Return the usage as Anthropic counts it: what came from the cache is not in `input_tokens`."""
    return {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
    }


class MessageWriter:
    """Write one message, event by event.

    Pieces of calls of tools come in the order of the calls: one is whole when the next begins.
    """

    def __init__(self, message_id: str, model: str, *, thinking: bool = False) -> None:
        """With `thinking`, what the model thinks is a block of its own; else it is left out."""
        self._thinking = thinking
        self._head = _message(message_id, model)
        self._answer = Answer()
        self._index = -1
        self._open: int | str | None = None
        """What the last block is: `thinking`, `text`, the index of a call, or None after it was closed."""

    def begin(self, prompt_tokens: int) -> Iterator[Event]:
        """Yield the events before the first piece; how much of the prompt was cached is known at the end."""
        usage = _usage(Usage(prompt_tokens, 0))
        message = self._head | {"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
        yield {"type": "message_start", "message": message}
        yield PING

    def write(self, piece: Piece) -> Iterator[Event]:
        """Yield the events that tell of a piece."""
        self._answer.add(piece)
        if piece.reasoning and self._thinking:
            if self._open != "thinking":
                yield from self._start("thinking", _thinking(""))
            yield self._delta({"type": "thinking_delta", "thinking": piece.reasoning})
        if piece.text:
            if self._open != "text":
                yield from self._start("text", {"type": "text", "text": ""})
            yield self._delta({"type": "text_delta", "text": piece.text})
        for part in piece.tool_calls:
            if self._open != part.index:
                call_id = part.id or f"toolu_{uuid.uuid4().hex}"
                block = {"type": "tool_use", "id": call_id, "name": part.name or "", "input": {}}
                yield from self._start(part.index, block)
            if part.arguments:
                yield self._delta({"type": "input_json_delta", "partial_json": part.arguments})

    def end(self) -> Iterator[Event]:
        """Yield the events after the last piece."""
        if self._index < 0:
            yield from self._start("text", {"type": "text", "text": ""})
        yield from self._close()
        reason, sequence = _stop(self._answer)
        delta = {"stop_reason": reason, "stop_sequence": sequence}
        yield {"type": "message_delta", "delta": delta, "usage": _usage(self._answer.usage), **self._answer.notes()}
        yield {"type": "message_stop"}

    def _start(self, what: int | str, block: dict[str, Any]) -> Iterator[Event]:
        yield from self._close()
        self._open = what
        self._index += 1
        yield {"type": "content_block_start", "index": self._index, "content_block": block}

    def _delta(self, delta: dict[str, Any]) -> Event:
        return {"type": "content_block_delta", "index": self._index, "delta": delta}

    def _close(self) -> Iterator[Event]:
        if self._open is not None:
            self._open = None
            yield {"type": "content_block_stop", "index": self._index}


async def stream(
    writer: MessageWriter, pieces: AsyncGenerator[Piece], prompt_tokens: int, *, silence: float = PING_SECONDS
) -> AsyncGenerator[Event]:
    """Yield the events of a message while it is written, and a ping whenever `silence` seconds brought nothing.

    What is raised before the first event passes through: a refusal comes at once, before there is any.
    """
    begun = False
    async with aclosing(_or_silence(pieces, silence)) as said:
        async for piece in said:
            if not begun:
                begun = True
                for event in writer.begin(prompt_tokens):
                    yield event
            elif piece is None:
                yield PING
            if piece is not None:
                for event in writer.write(piece):
                    yield event
    for event in writer.end():
        yield event


async def _or_silence(pieces: AsyncGenerator[Piece], seconds: float) -> AsyncGenerator[Piece | None]:
    """Yield the pieces as they come, and None whenever none came for so long."""
    waiting: asyncio.Future[Piece | None] | None = None
    try:
        while True:
            waiting = asyncio.ensure_future(_next(pieces))
            while not (await asyncio.wait({waiting}, timeout=seconds))[0]:
                yield None
            if (piece := waiting.result()) is None:
                return
            yield piece
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        await pieces.aclose()


async def _next(pieces: AsyncGenerator[Piece]) -> Piece | None:
    return await anext(pieces, None)
