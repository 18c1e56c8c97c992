"""`chat/completions`: how a request is read. Answers are written by `edgecli.ai.tasks.chat_completion`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from edgecli.ai.engines.generation import GenerationRequest
from edgecli.ai.tasks.tools import Tools, read_arguments, read_choice
from edgecli.ai.tasks.validation import TaskInput, bad_input, parse
from edgecli.ai.v1.content import read_text
from edgecli.ai.v1.conversation import Conversation
from edgecli.ai.v1.sampling import OpenAiSampling, read_format

if TYPE_CHECKING:
    from edgecli.config.settings import GenerationSettings

REFUSED = {
    "functions": "the older form of tools: send them as `tools`",
    "function_call": "the older form of `tool_choice`: send that",
    "audio": "the model writes text, no audio",
}


class CalledFunction(TaskInput):
    """Which function a call is of."""

    name: str
    arguments: str = ""


class Call(TaskInput):
    """A call of a tool, sent back."""

    id: str
    function: CalledFunction


class Message(TaskInput):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Any = None
    name: str | None = None
    tool_call_id: str | None = None
    tool_calls: list[Call] | None = None


class ChatInput(OpenAiSampling):
    """The body of a request."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: int | None = Field(default=None, ge=1)
    """OpenAI's newer name of `max_tokens`; it goes first."""
    logprobs: bool = False
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    tools: Tools = Field(default_factory=list[Any])
    tool_choice: Any = None
    parallel_tool_calls: bool = True
    response_format: Any = None


@dataclass(frozen=True, slots=True)
class ChatCall:
    """A request that has been read."""

    model: str
    requests: list[GenerationRequest]
    """One an answer."""
    stream: bool
    logprobs: bool
    include_usage: bool
    parallel: bool


def read_input(body: Mapping[str, Any], settings: GenerationSettings) -> ChatCall:
    """Return the checked request. Raises UsageError, cf_code 5006, naming the field and its value."""
    for name, reason in REFUSED.items():
        if body.get(name):
            raise bad_input(f"'/{name}' is not taken: {reason}", hint=f"Leave `{name}` out.")
    checked = parse(ChatInput, body)
    if checked.top_logprobs is not None and not checked.logprobs:
        raise bad_input("'/top_logprobs' needs '/logprobs' to be true")
    tools = tuple(tool.function.to_tool() for tool in checked.tools)
    fields: dict[str, Any] = checked.fields() | {
        "messages": _messages(checked.messages),
        "max_tokens": checked.max_completion_tokens or checked.max_tokens or settings.max_tokens,
        "temperature": settings.temperature if checked.temperature is None else checked.temperature,
        "logprobs": (checked.top_logprobs or 0) if checked.logprobs else None,
        "constraint": read_format(checked.response_format, "/response_format"),
        "tools": tools,
        "tool_choice": read_choice(checked.tool_choice, tools),
    }
    return ChatCall(
        model=checked.model,
        requests=[GenerationRequest(seed=seed, **fields) for seed in checked.seeds()],
        stream=checked.stream,
        logprobs=checked.logprobs,
        include_usage=checked.include_usage,
        parallel=checked.parallel_tool_calls,
    )


def _messages(messages: list[Message]) -> list[dict[str, Any]]:
    conversation = Conversation()
    for number, message in enumerate(messages):
        place = f"/messages/{number}"
        calls = message.tool_calls or []
        silent = message.content is None and message.role == "assistant" and bool(calls)
        text = "" if silent else read_text(message.content, f"{place}/content")
        if message.role == "tool":
            if message.tool_call_id is None:
                raise bad_input(f"required properties at '{place}' are 'tool_call_id'")
            conversation.result(message.tool_call_id, text, name=message.name)
            continue
        conversation.say(message.role, text, name=message.name)
        for index, call in enumerate(calls):
            spot = f"{place}/tool_calls/{index}/function/arguments"
            conversation.call(call.id, call.function.name, read_arguments(call.function.arguments, spot))
    return conversation.messages
