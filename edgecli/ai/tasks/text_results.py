"""Text generation in Workers AI's own form: the result, and the events of a stream."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from edgecli.ai.engines.generation import Cut, Piece, ToolCallPart
from edgecli.ai.tasks.answer import Answer, ToolCall
from edgecli.errors import EngineError

WARNING = 1000
"""Code of a message in the envelope that says how a request was changed; Cloudflare has none for it."""


class PromptTokensDetails(TypedDict):
    """Of the prompt's tokens, those that had been computed before."""

    cached_tokens: int


class UsageResult(TypedDict):
    """Tokens of one request."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails


class FlatToolCall(TypedDict):
    """A call of a tool, as Workers AI has it."""

    name: str
    arguments: Any


class CalledFunction(TypedDict):
    """Which function a call is of."""

    name: str
    arguments: str
    """JSON text."""


class OpenAiToolCall(TypedDict):
    """A call of a tool, as OpenAI has it; some models of Workers AI give these."""

    id: str
    type: str
    function: CalledFunction


class Truncated(TypedDict):
    """What was left out of the prompt, where the request had `truncate`."""

    strategy: str
    tokens: int
    messages: int


class TextGenerationResult(TypedDict):
    """What a text generation model answers."""

    response: Any
    """The text; in JSON mode what it says; null where tools are called."""
    tool_calls: Sequence[FlatToolCall | OpenAiToolCall]
    usage: UsageResult
    finish_reason: NotRequired[Literal["length"]]
    """edgecli's own: the answer was cut at `max_tokens`, or where the context ended."""
    truncated: NotRequired[Truncated]


def result(answer: Answer, *, json_mode: bool = False, openai_calls: bool = False) -> TextGenerationResult:
    """Return a finished answer as `result` carries it.

    Raises EngineError, cf_code 5024, if JSON was asked for and the answer ended before it was whole.
    """
    calls = [(_openai if openai_calls else _flat)(call) for call in answer.tool_calls.values()]
    response: Any = answer.text
    if calls:
        response = answer.text or None
    elif json_mode:
        response = read_json(answer)
    usage: Any = answer.usage.to_dict()
    whole = TextGenerationResult(response=response, tool_calls=calls, usage=usage)
    if answer.finish_reason == "length":
        whole["finish_reason"] = "length"
    if answer.cut is not None:
        whole["truncated"] = truncated(answer.cut)
    return whole


def read_json(answer: Answer) -> Any:
    """Return what the text of an answer says in JSON. Raises EngineError, cf_code 5024, if it is not whole."""
    try:
        return json.loads(answer.text)
    except ValueError as error:
        ended = "it was longer than `max_tokens`" if answer.finish_reason == "length" else "it is no JSON"
        raise EngineError(
            "AiError: JSON Mode couldn't be met",
            hint=f"The answer ended after {answer.usage.completion_tokens} tokens: {ended}.",
            code="json_mode_not_met",
            cf_code=5024,
            status=403,
        ) from error


def truncated(cut: Cut) -> Truncated:
    """Return what was left out of a prompt, as an answer tells it."""
    return Truncated(strategy=cut.strategy, tokens=cut.tokens, messages=cut.messages)


def messages(warning: str | None) -> list[dict[str, Any]]:
    """Return the messages of an envelope that tell how a request was changed."""
    return [] if warning is None else [{"code": WARNING, "message": warning}]


def _flat(call: ToolCall) -> FlatToolCall:
    try:
        arguments: Any = json.loads(call.arguments or "{}")
    except ValueError:  # cut by max_tokens: what there is
        arguments = call.arguments
    return FlatToolCall(name=call.name, arguments=arguments)


def _openai(call: ToolCall) -> OpenAiToolCall:
    function = CalledFunction(name=call.name, arguments=call.arguments)
    return OpenAiToolCall(id=call.id, type="function", function=function)


async def stream(source: AsyncGenerator[Piece]) -> AsyncGenerator[dict[str, Any]]:
    """Yield the events of an answer that is being written; the last one has the usage."""
    open_call: int | None = None
    async with aclosing(source) as pieces:
        async for piece in pieces:
            if piece.cut is not None or piece.warning is not None:
                yield _first(piece)
            if piece.text:
                yield {"response": piece.text, "tool_calls": []}
            for part in piece.tool_calls:
                if open_call is not None and part.index != open_call:
                    yield _closed(open_call)
                open_call = part.index
                yield {"tool_calls": [_delta(part)]}
            if piece.usage is not None:
                for event in _end(piece, open_call):
                    yield event


def _first(piece: Piece) -> dict[str, Any]:
    event: dict[str, Any] = {"response": "", "tool_calls": []}
    if piece.cut is not None:
        event["truncated"] = truncated(piece.cut)
    if piece.warning is not None:
        event["messages"] = messages(piece.warning)
    return event


def _end(piece: Piece, open_call: int | None) -> Iterator[dict[str, Any]]:
    if open_call is not None:
        yield _closed(open_call)
        yield {"finish_reason": piece.finish_reason}
    if piece.usage is not None:
        ended = {"finish_reason": "length"} if piece.finish_reason == "length" and open_call is None else {}
        yield {"response": "", "usage": piece.usage.to_dict()} | ended


def _delta(part: ToolCallPart) -> dict[str, Any]:
    kind = None if part.name is None else "function"
    function = {"name": part.name, "arguments": part.arguments}
    return {"id": part.id, "type": kind, "index": part.index, "function": function}


def _closed(index: int) -> dict[str, Any]:
    """Return the event that ends a call: one of nothing."""
    return {"tool_calls": [_delta(ToolCallPart(index))]}
