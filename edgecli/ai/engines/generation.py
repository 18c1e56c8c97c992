"""The shape that all text generation engines share."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


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
    seed: int | None = None
    """The same seed gives the same answer; such a request does not reuse the KV cache of the one before."""
    repetition_penalty: float | None = None
    """Weakens tokens that the answer holds already; 1 is none. The prompt's are left alone: an answer from
    documents has to repeat their words."""
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    stop: tuple[str, ...] = ()


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
class Piece:
    """A part of the answer; the last one has an empty text, the reason and the usage."""

    text: str
    finish_reason: str | None = None
    """`stop`, `length` (max_tokens or the context is used up) or `cancelled`."""
    usage: Usage | None = None


class GenerationEngine(Protocol):
    """A model that continues text. Calls block; one thread at a time generates."""

    name: str
    device: str
    gpu_layers: tuple[int, int]
    """Layers on the GPU, and all layers."""
    context: int
    """Tokens of prompt and answer together."""

    def count_prompt(self, request: GenerationRequest) -> int:
        """Return the tokens of the prompt as the model sees it, template included."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the length of each text in the model's tokens, as a message's content counts."""
        ...

    def generate(self, request: GenerationRequest, cancelled: threading.Event) -> Iterator[Piece]:
        """Yield the answer piece by piece; stop within one token once `cancelled` is set.

        Raises UsageError, code `context_exceeded`, before anything runs if the prompt does not fit.
        """
        ...

    def close(self) -> None:
        """Free the model."""
        ...
