"""Answers as OpenAI's `chat.completion` and `chat.completion.chunk` objects carry them.

The newer models of Workers AI give these objects on `ai/run` too.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from edgecli.ai.engines.generation import Piece, TokenLogprob, ToolCallPart, Usage
from edgecli.ai.tasks.answer import Answer, merged, notes, total

IMPOSSIBLE = -9999.0
"""The logarithm of a probability of 0, which JSON cannot write; OpenAI's own stand-in."""


@dataclass(frozen=True, slots=True)
class Head:
    """What all objects of one answer begin with."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def to_dict(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def whole(head: Head, answers: Sequence[Answer], *, logprobs: bool = False) -> dict[str, Any]:
    """Return the `chat.completion` object of finished answers, one a choice."""
    choices = [_choice(index, answer, logprobs=logprobs) for index, answer in enumerate(answers)]
    usage = total([answer.usage for answer in answers])
    return head.to_dict("chat.completion") | {"choices": choices, "usage": usage.to_dict()} | answers[0].notes()


def _choice(index: int, answer: Answer, *, logprobs: bool) -> dict[str, Any]:
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in answer.tool_calls.values()
    ]
    text = answer.text
    message = {
        "role": "assistant",
        "content": None if calls and not text else text,
        "refusal": None,
        "tool_calls": calls,
    }
    if reasoning := answer.reasoning:
        message["reasoning_content"] = reasoning
    return {
        "index": index,
        "message": message,
        "logprobs": token_logprobs(answer.logprobs) if logprobs else None,
        "finish_reason": answer.finish_reason,
        "stop_reason": answer.stop_sequence,
    }


async def stream(
    head: Head, sources: Sequence[AsyncGenerator[Piece]], *, logprobs: bool = False, usage: bool = False
) -> AsyncGenerator[dict[str, Any]]:
    """Yield the `chat.completion.chunk` objects of answers that are being written, one a choice.

    `usage` adds a last chunk without choices, as `stream_options.include_usage` asks for.
    """
    begun: set[int] = set()
    usages: dict[int, Usage] = {}
    empty: dict[str, Any] = {"usage": None} if usage else {}
    async with aclosing(merged(sources)) as pieces:
        async for index, piece in pieces:
            if piece.usage is not None:
                usages[index] = piece.usage
            first = index not in begun
            begun.add(index)
            for choice in choices(index, piece, first=first, logprobs=logprobs):
                yield head.to_dict("chat.completion.chunk") | {"choices": [choice]} | empty | _notes(piece, first)
                first = False
    if usage:
        ordered = [usages[index] for index in sorted(usages)]
        yield head.to_dict("chat.completion.chunk") | {"choices": [], "usage": total(ordered).to_dict()}


def choices(index: int, piece: Piece, *, first: bool, logprobs: bool = False) -> Iterator[dict[str, Any]]:
    """Yield the choices of the chunks that carry a piece; `first` is true for an answer's first piece."""
    if first:
        yield _delta(index, {"role": "assistant", "content": ""})
    delta: dict[str, Any] = {}
    if piece.reasoning:
        delta["reasoning_content"] = piece.reasoning
    if piece.text:
        delta["content"] = piece.text
    if piece.tool_calls:
        delta["tool_calls"] = [tool_call_delta(part) for part in piece.tool_calls]
    if delta or (logprobs and piece.logprobs):
        said = token_logprobs(piece.logprobs) if logprobs and piece.logprobs else None
        yield _delta(index, delta) | {"logprobs": said}
    if piece.finish_reason is not None:
        yield _delta(index, {}) | {"finish_reason": piece.finish_reason}


def _delta(index: int, delta: dict[str, Any]) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}


def _notes(piece: Piece, first: bool) -> dict[str, Any]:
    return notes(piece.cut, piece.warning) if first else {}


def tool_call_delta(part: ToolCallPart) -> dict[str, Any]:
    """Return a part of a call of a tool as a chunk carries it."""
    if part.name is None:
        return {"index": part.index, "function": {"arguments": part.arguments}}
    function = {"name": part.name, "arguments": part.arguments}
    return {"index": part.index, "id": part.id, "type": "function", "function": function}


def token_logprobs(tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
    """Return the `logprobs` of a choice."""
    content = [
        token_entry(each.token, each.logprob) | {"top_logprobs": [token_entry(*one) for one in each.top]}
        for each in tokens
    ]
    return {"content": content, "refusal": None}


def token_entry(token: bytes, logprob: float) -> dict[str, Any]:
    """Return a token with its probability; its bytes tell what a broken character in its text cannot."""
    return {
        "token": token.decode(errors="replace"),
        "logprob": logprob if math.isfinite(logprob) else IMPOSSIBLE,
        "bytes": list(token),
    }
