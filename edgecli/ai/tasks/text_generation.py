"""Text generation: what goes in, as Workers AI has it. `text_request.py` makes an engine's request of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from edgecli.ai.tasks.tools import Tools
from edgecli.ai.tasks.validation import TaskInput, bad_input, listed, parse, whole_number

PROMPT_CHARACTERS = 131_072
MAX_TOKENS = 10_000_000
MAX_CHOICES = 16
MAX_STOPS = 64
NOT_TAKEN = {
    "functions": "embedded function calling runs code inside a Worker; send `tools` and run them yourself.",
    "image": "the engine reads text, no images.",
}

Whole = BeforeValidator(whole_number)
Stops = Annotated[list[Annotated[str, Field(min_length=1)]], Field(max_length=MAX_STOPS), BeforeValidator(listed)]
Bias = dict[Annotated[str, Field(pattern=r"^[0-9]{1,9}$")], Annotated[float, Field(ge=-100, le=100)]]


class ChatMessage(TaskInput):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Any = None
    """A text; on some models also its parts, `[{"type": "text", "text"}]`; null only beside `tool_calls`."""
    name: str | None = None
    tool_call_id: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    """Calls that the model made: flat, `{name, arguments}`, or in OpenAI's form."""


class ResponseFormat(TaskInput):
    """What form the answer must have."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: dict[str, Any] | None = None
    """A bare JSON Schema, or OpenAI's `{name, schema, strict}`."""


class TextGenerationInput(TaskInput):
    """Inputs of a text generation model; the ranges are those of Workers AI's older schema."""

    prompt: Annotated[str, Field(min_length=1, max_length=PROMPT_CHARACTERS)] | None = None
    messages: Annotated[list[ChatMessage], Field(min_length=1)] | None = None
    raw: bool = False
    """Send `prompt` to the model without its chat template."""
    stream: bool = False
    max_tokens: Annotated[int, Field(ge=1, le=MAX_TOKENS), Whole] | None = None
    """None is what the model's schema has, or the setting `edgecli.generation.max_tokens`."""
    temperature: float | None = Field(default=None, ge=0, le=5)
    """None is what the model's schema has, or the setting `edgecli.generation.temperature`."""
    top_p: float | None = Field(default=None, ge=0, le=2)
    top_k: Annotated[int, Field(ge=1, le=50), Whole] | None = None
    min_p: float | None = Field(default=None, ge=0, le=1)
    """edgecli's own: leave out tokens that are less likely than this share of the likeliest."""
    seed: Annotated[int, Field(ge=1, le=9_999_999_999), Whole] | None = None
    repetition_penalty: float | None = Field(default=None, ge=0, le=2)
    frequency_penalty: float = Field(default=0.0, ge=0, le=2)
    presence_penalty: float = Field(default=0.0, ge=0, le=2)
    logit_bias: Bias = Field(default_factory=dict[str, float])
    """By token id, added to its logit."""
    stop: Stops = Field(default_factory=list[str])
    lora: Annotated[str, Field(min_length=1)] | None = None
    """Name or id of a LoRA adapter to lay over the model."""
    response_format: ResponseFormat | None = None
    guided_json: dict[str, Any] | None = None
    """A JSON Schema of the answer: the older form of `response_format`."""
    tools: Tools = Field(default_factory=list[Any])
    tool_choice: Any = None
    """`auto`, `none`, `required`, or `{"type": "function", "function": {"name"}}`."""
    keep_alive: str | float | None = None
    """edgecli's own: how long the model stays loaded after this, in seconds or as `5m`; -1 is for ever."""
    split_reasoning: bool = False
    """edgecli's own: keep what the model thinks before its answer out of the text. Chat completions always do."""
    truncate: Literal["head", "middle"] | None = None
    """edgecli's own: what to leave out of a prompt that is longer than the context; without it, it is refused."""

    @model_validator(mode="after")
    def _fits_together(self) -> TextGenerationInput:
        if self.prompt is not None and self.messages is not None:
            raise ValueError("oneOf at '/' not met, 2 matches: '/prompt' and '/messages' are mutually exclusive")
        if self.raw and self.messages is not None:
            raise ValueError("'/raw' is true: it sends '/prompt' without a template and cannot go with '/messages'")
        if self.raw and self.tools:
            raise ValueError("'/raw' is true: '/tools' reach the model through its template only")
        if self.guided_json is not None and self.response_format is not None:
            raise ValueError("'/guided_json' and '/response_format' are mutually exclusive")
        return self

    @property
    def choices(self) -> int:
        """How many answers are wanted."""
        return 1

    @property
    def alternatives(self) -> int | None:
        """How many alternatives to report for each token; None reports nothing."""
        return None

    @property
    def several_calls(self) -> bool:
        """Whether one answer may call several tools."""
        return True

    @property
    def streamed_usage(self) -> bool:
        """Whether a stream of chunks is to end with a chunk of usage."""
        return False


class StreamOptions(TaskInput):
    """How a stream is written."""

    include_usage: bool = False


class ChatCompletionsInput(TextGenerationInput):
    """Inputs of the newer models, which take and give OpenAI's chat completions."""

    top_p: float | None = Field(default=None, ge=0.001, le=1)
    repetition_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float = Field(default=0.0, ge=-2, le=2)
    presence_penalty: float = Field(default=0.0, ge=-2, le=2)
    max_completion_tokens: Annotated[int, Field(ge=1, le=MAX_TOKENS), Whole] | None = None
    """OpenAI's newer name of `max_tokens`; it goes first."""
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES), Whole] = 1
    logprobs: bool = False
    top_logprobs: Annotated[int, Field(ge=0, le=20), Whole] | None = None
    stream_options: StreamOptions | None = None
    parallel_tool_calls: bool = True
    """Whether one answer may call several tools."""

    @model_validator(mode="after")
    def _says_logprobs(self) -> ChatCompletionsInput:
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("'/top_logprobs' needs '/logprobs' to be true")
        return self

    @property
    def choices(self) -> int:
        return self.n

    @property
    def alternatives(self) -> int | None:
        return (self.top_logprobs or 0) if self.logprobs else None

    @property
    def several_calls(self) -> bool:
        return self.parallel_tool_calls

    @property
    def streamed_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage


def input_type(capabilities: Collection[str]) -> type[TextGenerationInput]:
    """Return the inputs that a model with these capabilities takes."""
    return ChatCompletionsInput if "chat_completions" in capabilities else TextGenerationInput


def read_input(inputs: Mapping[str, Any], capabilities: Collection[str] = ()) -> TextGenerationInput:
    """Return the checked inputs of a model. Raises UsageError, cf_code 5006, naming the field and its value."""
    for name, reason in NOT_TAKEN.items():
        if inputs.get(name):
            raise bad_input(f"'/{name}' is not taken: {reason}", hint=f"Leave `{name}` out.")
    checked = parse(
        input_type(capabilities),
        inputs,
        either=("prompt", "messages"),
        strict="strict" in capabilities,
    )
    if checked.stream and "chat_completions" not in capabilities and _json_mode(checked):
        raise bad_input(
            "'/response_format' cannot go with '/stream': JSON Mode does not support streaming",
            hint="Leave `stream` out, as Workers AI wants it for this model.",
        )
    return checked


def _json_mode(checked: TextGenerationInput) -> bool:
    form = checked.response_format
    return checked.guided_json is not None or (form is not None and form.type != "text")
