"""`chat/completions`: how a request is read. Answers are written by `edgecli.ai.tasks.chat_completion`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import Field

from edgecli.ai.engines.generation import GenerationRequest
from edgecli.ai.tasks.text_generation import NOT_TAKEN, ChatCompletionsInput, ChatMessage
from edgecli.ai.tasks.text_request import Defaults, to_requests
from edgecli.ai.tasks.validation import bad_input, parse
from edgecli.ai.v1.sampling import OPENAI_FORM, ModelId, Seed

REFUSED = NOT_TAKEN | {
    "functions": "the older form of tools: send them as `tools`",
    "function_call": "the older form of `tool_choice`: send that",
    "audio": "the model writes text, no audio",
    "prompt": "`chat/completions` takes `messages`, `completions` takes a prompt",
}


class ChatInput(ChatCompletionsInput):
    """The body of a request: what the newer models take on `ai/run`, with the ranges of OpenAI's API."""

    model: ModelId
    messages: Annotated[list[ChatMessage], Field(min_length=1)]  # pyright: ignore[reportGeneralTypeIssues, reportIncompatibleVariableOverride]
    top_p: float | None = Field(default=None, ge=0, le=1)
    repetition_penalty: float | None = Field(default=None, gt=0, le=2)
    seed: Seed | None = None


@dataclass(frozen=True, slots=True)
class ChatCall:
    """A request that has been read."""

    model: str
    requests: list[GenerationRequest]
    """One an answer."""
    stream: bool
    logprobs: bool
    include_usage: bool


def read_input(body: Mapping[str, Any], defaults: Defaults) -> ChatCall:
    """Return the checked request. Raises UsageError, cf_code 5006, naming the field and its value."""
    for name, reason in REFUSED.items():
        if body.get(name):
            raise bad_input(f"'/{name}' is not taken: {reason}", hint=f"Leave `{name}` out.")
    checked = parse(ChatInput, body)
    return ChatCall(
        model=checked.model,
        requests=to_requests(checked, replace(defaults, capabilities=OPENAI_FORM)),
        stream=checked.stream,
        logprobs=checked.logprobs,
        include_usage=checked.streamed_usage,
    )
