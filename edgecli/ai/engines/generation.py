"""The shape that all text generation engines share."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from edgecli.ai.engines.free_memory import Memory

FinishReason = Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True, slots=True)
class Constraint:
    """What form the answer must have, token by token."""

    kind: Literal["json", "json_schema", "regex"]
    """`json` is any JSON object."""
    source: Any = None
    """The JSON Schema, or the regular expression."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may ask to be called."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """JSON Schema of its arguments."""


@dataclass(frozen=True, slots=True)
class LoraAdapter:
    """A LoRA adapter to lay over the model for one request."""

    path: str
    """Its GGUF file."""
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """What to generate from, and how. Exactly one of `messages` and `raw_prompt` is given."""

    messages: Sequence[Mapping[str, Any]] | None = None
    """The conversation, for the model's chat template."""
    raw_prompt: str | None = None
    """Text that goes to the model as it is."""
    max_tokens: int = 256
    temperature: float = 0.6
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    """The same seed gives the same answer: such a request shares neither batches nor the KV cache with others, as
    both change the last bits of the logits."""
    repetition_penalty: float | None = None
    """Weakens tokens that the answer holds already; 1 is none. The prompt's are left alone: an answer from
    documents has to repeat their words."""
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict[int, float])
    """By token id, added to its logit."""
    stop: tuple[str, ...] = ()
    logprobs: int | None = None
    """How many alternatives to report for each token; None reports nothing, 0 the token itself only."""
    constraint: Constraint | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    """`auto`, `none`, `required` (some tool), or `=NAME` (this tool)."""
    parallel_tool_calls: bool = True
    """Whether one answer may hold several calls, where the model's way of writing them allows it."""
    split_reasoning: bool = False
    """Whether what the model thinks before its answer comes apart, as `Piece.reasoning`, and not as text with its
    marks. A raw prompt's answer is not divided, nor one that is held to a form from its first token."""
    lora: LoraAdapter | None = None
    truncate: Literal["head", "middle"] | None = None
    """What to leave out of a prompt that is longer than the context; None refuses it."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    """Those of the prompt that the KV cache held already."""

    def to_dict(self) -> dict[str, Any]:
        """Return the usage as the API carries it."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
        }


@dataclass(frozen=True, slots=True)
class ToolCallPart:
    """A part of a call of a tool: the first part of each call has its id and name, all add to its arguments."""

    index: int
    """Which call of the answer, from 0."""
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    """A piece of JSON text; the pieces of one call in order are one JSON object."""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """How likely a token was: the natural logarithm of its probability, before sampling changes it."""

    token: bytes
    logprob: float
    top: tuple[tuple[bytes, float], ...] = ()
    """The most likely tokens at this place, best first."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What was left out of a prompt that was longer than the context."""

    strategy: Literal["head", "middle"]
    tokens: int
    """How many tokens of the prompt were left out."""
    messages: int
    """How many messages were left out whole."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the answer; the last one has the reason and the usage."""

    text: str = ""
    tool_calls: tuple[ToolCallPart, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    reasoning: str = ""
    """What the model thinks, where `split_reasoning` asked for it; all of it comes before the first text."""
    cut: Cut | None = None
    """In the first piece, where the prompt was cut."""
    warning: str | None = None
    """In the first piece, where the conversation had to be changed for the model's template."""
    finish_reason: FinishReason | None = None
    """`stop`, `length` (max_tokens or the context is used up) or `tool_calls`."""
    stop_sequence: str | None = None
    """In the last piece, which of the request's `stop` ended the answer, if one did."""
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """Where and how a loaded model runs."""

    engine: str
    device: str
    """`cpu`, or the GPU's name."""
    gpu_layers: tuple[int, int]
    """Layers on the GPU, and all layers."""
    context: int
    """Tokens of prompt and answer together, of one request."""
    cells: int
    """Tokens that the KV cache holds, of all requests together."""
    slots: int
    """Requests that run at the same time."""
    memory: int
    """Bytes of weights, KV cache and buffers, estimated."""
    pid: int
    notes: tuple[str, ...] = ()
    """Sentences on why it is so."""


class GenerationEngine(Protocol):
    """A model that continues text, for many callers at once. Its methods belong to one event loop."""

    facts: EngineFacts
    counted: Mapping[str, Any]
    """What `statistics` returned last; empty before. `close` asks once more."""

    @property
    def alive(self) -> bool:
        """Whether it can still be used: the process that it runs in may have ended."""
        ...

    @property
    def holds(self) -> frozenset[Memory]:
        """Where it takes memory."""
        ...

    def generate(self, request: GenerationRequest) -> AsyncGenerator[Piece]:
        """Yield the answer piece by piece. Closing the iterator ends the generation within one step.

        Raises UsageError, before anything runs, if the prompt does not fit (code `context_exceeded`) or asks for
        what the model cannot do; EngineError if the engine fails.
        """
        ...

    async def count_prompt(self, request: GenerationRequest) -> int:
        """Return the tokens of the prompt as the model sees it, template included."""
        ...

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the length of each text in the model's tokens, as a message's content counts."""
        ...

    async def statistics(self) -> dict[str, Any]:
        """Return what the engine counted so far: see `edgecli/ai/engines/llama_cpp/scheduler.py`."""
        ...

    async def close(self) -> None:
        """Free the model; its memory is given back when this returns."""
        ...
