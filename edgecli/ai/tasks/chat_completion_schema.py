"""The form of OpenAI's `chat.completion`, for the schemas of the models that answer with it."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from edgecli.ai.tasks.text_results import OpenAiToolCall, Truncated, UsageResult


class ChatCompletionMessage(TypedDict):
    """What the model said."""

    role: Literal["assistant"]
    content: str | None
    refusal: None
    tool_calls: list[OpenAiToolCall]
    reasoning_content: NotRequired[str]


class ChatCompletionChoice(TypedDict):
    """One answer."""

    index: int
    message: ChatCompletionMessage
    logprobs: dict[str, Any] | None
    finish_reason: Literal["stop", "length", "tool_calls"]
    stop_reason: str | None


class ChatCompletion(TypedDict):
    """What the newer models answer."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatCompletionChoice]
    usage: UsageResult
    truncated: NotRequired[Truncated]
