"""Load an embedding model with the engine that settings and machine ask for."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edgecli.ai.engines.embedding import EmbeddingFacts
from edgecli.ai.engines.hardware import torch_can_use_cuda
from edgecli.errors import EngineError

if TYPE_CHECKING:
    from edgecli.ai.engines.embedding import EmbeddingEngine

log = logging.getLogger("edgecli.ai")


@dataclass(frozen=True, slots=True)
class EmbeddingOptions:
    """How an embedding model is to be loaded."""

    path: str
    """Its folder."""
    engine: Literal["auto", "onnx", "sentence_transformers"] = "auto"
    pooling: str | None = None
    """What is done where neither a call nor the model's files say."""
    device: str = "auto"
    """Where sentence_transformers runs."""
    threads: int = 0
    """0 is all cores."""
    batch_tokens: int = 4096
    """Tokens of one batch, padding included."""


def load_engine(options: EmbeddingOptions) -> EmbeddingEngine:
    """Load an embedding model. Raises EngineError."""
    engine = options.engine
    if engine == "auto":
        engine = "sentence_transformers" if torch_can_use_cuda() else "onnx"
    if engine == "sentence_transformers":
        return _with_torch(options)
    try:
        return _with_onnx(options)
    except EngineError as error:
        if options.engine != "auto" or error.code not in {"onnx_missing", "module_unsupported"}:
            raise
        log.warning("%s It runs on sentence-transformers instead, which starts slower.", error.message)
        return _with_torch(options)


def _with_onnx(options: EmbeddingOptions) -> EmbeddingEngine:
    from edgecli.ai.engines.onnx import OnnxEmbedding

    return OnnxEmbedding(
        Path(options.path),
        pooling=options.pooling,
        threads=options.threads or None,
        batch_tokens=options.batch_tokens,
    )


def _with_torch(options: EmbeddingOptions) -> EmbeddingEngine:
    from edgecli.ai.engines.sentence_transformers import SentenceTransformersEmbedding

    return SentenceTransformersEmbedding(
        Path(options.path),
        pooling=options.pooling,
        device=options.device,
        threads=options.threads or None,
        batch_tokens=options.batch_tokens,
    )


def facts_of(engine: EmbeddingEngine) -> EmbeddingFacts:
    """Return what an engine of this process is."""
    return EmbeddingFacts(
        engine.name, engine.device, engine.dimensions, engine.pooling, engine.max_tokens, pid=os.getpid()
    )
