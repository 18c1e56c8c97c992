"""Text embeddings: what goes in and what comes out, as Workers AI has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from typing_extensions import TypedDict

from edgecli.ai.tasks.validation import TaskInput, listed, parse

if TYPE_CHECKING:
    from edgecli.ai.engines.embedding import Vectors

MAX_TEXTS = 100

Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[list[Text], BeforeValidator(listed), Field(min_length=1, max_length=MAX_TEXTS)]


class TextEmbeddingsInput(TaskInput):
    """Inputs of an embedding model."""

    text: Texts
    """One text or several."""
    pooling: Literal["mean", "cls"] | None = None


class TextEmbeddingsResult(TypedDict):
    """What an embedding model answers."""

    shape: list[int]
    """How many vectors, and how many dimensions."""
    data: list[list[float]]
    pooling: str


def read_input(inputs: Mapping[str, Any]) -> TextEmbeddingsInput:
    """Return the checked inputs. Raises UsageError, cf_code 5006, naming the field and its value."""
    return parse(TextEmbeddingsInput, inputs)


def result(vectors: Vectors, pooling: str) -> dict[str, Any]:
    """Return the vectors as `result` carries them; `data` stays an array until it becomes JSON."""
    return {"shape": list(vectors.shape), "data": vectors, "pooling": pooling}
