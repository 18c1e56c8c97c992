"""Text generation: what goes in and what comes out, as Workers AI has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from edgecli.ai.engines.generation import GenerationRequest, Usage
from edgecli.ai.tasks.validation import TaskInput, bad_input, listed, parse

PROMPT_CHARACTERS = 131_072
NOT_YET = ("tools", "functions", "response_format", "guided_json", "lora", "image")


class ChatMessage(TaskInput):
    """One message of a conversation."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    name: str | None = None
    tool_call_id: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class TextGenerationInput(TaskInput):
    """Inputs of a text generation model; ranges are those of Cloudflare's widest models."""

    prompt: Annotated[str, Field(min_length=1, max_length=PROMPT_CHARACTERS)] | None = None
    messages: Annotated[list[ChatMessage], Field(min_length=1)] | None = None
    raw: bool = False
    """Send `prompt` to the model without its chat template."""
    stream: bool = False
    max_tokens: int | None = Field(default=None, ge=1)
    """None is the setting `edgecli.generation.max_tokens`: 256, as on Cloudflare."""
    temperature: float | None = Field(default=None, ge=0, le=5)
    """None is the setting `edgecli.generation.temperature`: 0.6, as on Cloudflare."""
    top_p: float | None = Field(default=None, ge=0, le=2)
    top_k: int | None = Field(default=None, ge=1, le=50)
    seed: int | None = Field(default=None, ge=1, le=9_999_999_999)
    repetition_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float = Field(default=0.0, ge=-2, le=2)
    presence_penalty: float = Field(default=0.0, ge=-2, le=2)
    stop: Annotated[list[str], BeforeValidator(listed)] = Field(default_factory=list[str])

    @model_validator(mode="after")
    def _one_of_two(self) -> TextGenerationInput:
        if self.prompt is None and self.messages is None:
            raise ValueError("oneOf at '/' not met, 0 matches: required properties at '/' are 'prompt' or 'messages'")
        if self.prompt is not None and self.messages is not None:
            raise ValueError("oneOf at '/' not met, 2 matches: '/prompt' and '/messages' are mutually exclusive")
        if self.raw and self.prompt is None:
            raise ValueError("'/raw' is true: it sends '/prompt' without a template and cannot go with '/messages'")
        return self


def read_input(inputs: Mapping[str, Any]) -> TextGenerationInput:
    """Return the checked inputs. Raises UsageError, cf_code 5006, naming the field and its value."""
    for name in NOT_YET:
        if inputs.get(name):
            raise bad_input(
                f"'/{name}' is not supported yet by this engine.",
                hint=f"Leave `{name}` out; edgecli does not ignore it silently.",
            )
    return parse(TextGenerationInput, inputs)


def to_request(checked: TextGenerationInput, *, max_tokens: int, temperature: float) -> GenerationRequest:
    """Return what the engine is to do; the two arguments stand in where the inputs are silent."""
    messages: list[dict[str, Any]] | None = None
    if checked.messages is not None:
        messages = [message.model_dump(exclude_none=True) for message in checked.messages]
    elif not checked.raw:
        messages = [{"role": "user", "content": checked.prompt}]
    return GenerationRequest(
        messages=messages,
        raw_prompt=checked.prompt if checked.raw else None,
        max_tokens=checked.max_tokens or max_tokens,
        temperature=temperature if checked.temperature is None else checked.temperature,
        top_p=checked.top_p,
        top_k=checked.top_k,
        seed=checked.seed,
        repetition_penalty=checked.repetition_penalty,
        frequency_penalty=checked.frequency_penalty,
        presence_penalty=checked.presence_penalty,
        stop=tuple(checked.stop),
    )


def result(text: str, usage: Usage) -> dict[str, Any]:
    """Return the answer as `result` carries it."""
    return {"response": text, "tool_calls": [], "usage": usage.to_dict()}


def text_event(text: str) -> dict[str, Any]:
    """Return one event of a stream."""
    return {"response": text}


def last_event(usage: Usage) -> dict[str, Any]:
    """Return the event that ends a stream."""
    return {"response": "", "usage": usage.to_dict()}
