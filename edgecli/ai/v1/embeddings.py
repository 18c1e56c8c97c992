"""`embeddings`: how a request is read and an answer is written."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from edgecli.ai.tasks.text_generation import Whole
from edgecli.ai.tasks.validation import TaskInput, bad_input, listed, parse
from edgecli.ai.v1.sampling import ModelId

if TYPE_CHECKING:
    from edgecli.ai.engines.embedding import Vectors
    from edgecli.models.schema import ModelSpec

MAX_TEXTS = 2048
"""Of one request, as on OpenAI's API; `ai/run` takes 100."""
SHORTENABLE = "matryoshka"
"""The capability of models whose vectors keep their meaning when only their first numbers are taken."""


class EmbeddingInput(TaskInput):
    """The body of a request."""

    model: ModelId
    input: Annotated[
        list[Annotated[str, Field(min_length=1)]],
        BeforeValidator(listed),
        Field(min_length=1, max_length=MAX_TEXTS),
    ]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Whole, Field(ge=1)] | None = None
    pooling: Literal["mean", "cls"] | None = None
    """Workers AI's own field; OpenAI has none."""


def read_input(body: Mapping[str, Any]) -> EmbeddingInput:
    """Return the checked request. Raises UsageError, cf_code 5006, naming the field and its value."""
    given: Any = body.get("input")
    if isinstance(given, list) and given and isinstance(given[0], int | list):
        raise bad_input(
            "'/input' holds token ids: those of one model mean nothing to another, and edgecli takes text only",
            hint="Send the texts; in LangChain, `OpenAIEmbeddings(check_embedding_ctx_length=False)` does.",
        )
    return parse(EmbeddingInput, body)


def check_dimensions(wanted: int | None, spec: ModelSpec) -> None:
    """Raise UsageError, cf_code 5006, if the model's vectors cannot have this many dimensions."""
    if wanted is None or wanted == spec.dimensions:
        return
    if SHORTENABLE not in spec.capabilities:
        raise bad_input(
            f"'/dimensions' is {wanted}: the vectors of `{spec.display_name}` have {spec.dimensions} and mean nothing "
            "when they are cut",
            hint="Leave `dimensions` out, or take a model trained for it (Matryoshka), "
            "`@cf/qwen/qwen3-embedding-0.6b` for one.",
        )
    if spec.dimensions is not None and wanted > spec.dimensions:
        raise bad_input(f"'/dimensions' is {wanted}: the vectors of `{spec.display_name}` have {spec.dimensions}")


def shortened(vectors: Vectors, dimensions: int | None) -> Vectors:
    """Return the first numbers of each vector, brought back to length 1: `(n, dimensions)` float32."""
    import numpy as np

    if dimensions is None or dimensions >= vectors.shape[1]:
        return vectors
    short = vectors[:, :dimensions]
    lengths = np.linalg.norm(short, axis=1, keepdims=True)
    return (short / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float32)


def result(checked: EmbeddingInput, model: str, vectors: Vectors, tokens: int) -> dict[str, Any]:
    """Return the answer; `tokens` is the length of all texts together."""
    as_text = checked.encoding_format == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _base64(vector) if as_text else vector}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": model, "usage": usage}


def _base64(vector: Any) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()
