"""What the APIs share: which model, and how an answer is drawn."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edgecli.ai.tasks.text_generation import MAX_TOKENS, Whole
from edgecli.ai.tasks.validation import TaskInput

OPENAI_FORM = ("chat_completions",)
"""What every model can do here, whatever its form on `ai/run`."""

ModelId = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Whole, Field(ge=1, le=MAX_TOKENS)]
"""Of tokens."""
Seed = Annotated[int, Whole, Field(ge=-(2**63), lt=2**63)]


class Sampling(TaskInput):
    """How an answer is drawn, in the fields that OpenAI and Anthropic share, and `min_p` of our own."""

    model: ModelId
    stream: bool = False
    temperature: float | None = Field(default=None, ge=0, le=5)
    """None is the setting `edgecli.generation.temperature`."""
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: Annotated[int, Whole, Field(ge=1)] | None = None
    min_p: float | None = Field(default=None, ge=0, le=1)
