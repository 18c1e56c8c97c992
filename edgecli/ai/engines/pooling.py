"""Turn the vectors of a text's tokens into one vector, as sentence-transformers does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgecli.errors import UsageError
from edgecli.models.sentence_files import POOLINGS, SentenceFiles

if TYPE_CHECKING:
    from edgecli.ai.engines.embedding import Vectors


def choose_pooling(requested: str | None, files: SentenceFiles, default: str | None) -> str:
    """Return the pooling of a call: the request's, else the model files', else the catalog's, else `mean`.

    Raises UsageError if the request names an unknown one.
    """
    if requested is not None and requested not in POOLINGS:
        raise UsageError(
            f"AiError: Bad input: Error: '/pooling' is '{requested}', not one of {', '.join(POOLINGS)}.",
            hint="Leave `pooling` out to use the model's own.",
        )
    return requested or files.pooling or default or "mean"


def pool(hidden: Any, mask: Any, mode: str) -> Vectors:
    """Pool token vectors `(b, n, d)` float32 under a mask `(b, n)` of 0 and 1 into `(b, d)` float32.

    A text without any token gives a vector of zeros, never NaN.
    """
    import numpy as np

    if mode == "cls":
        return hidden[:, 0]
    if mode == "lasttoken":
        last = np.maximum(mask.sum(axis=1) - 1, 0)
        return hidden[np.arange(len(hidden)), last]
    if mode == "max":
        kept = np.where(mask[:, :, None] > 0, hidden, np.float32(-np.inf)).max(axis=1)
        return np.where(np.isfinite(kept), kept, np.float32(0))
    weights = mask.astype(np.float32)
    total = np.matmul(weights[:, None, :], hidden)[:, 0]
    return total / np.maximum(weights.sum(axis=1, keepdims=True), np.float32(1e-9))


def normalise(vectors: Vectors) -> Vectors:
    """Scale each row to length 1; a row of zeros stays one."""
    import numpy as np

    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))
