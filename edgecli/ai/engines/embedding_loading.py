"""Load an embedding model with the engine that settings and machine ask for."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edgecli.ai.engines.embedding import EmbeddingFacts
from edgecli.ai.engines.free_memory import Memory, does_not_fit, free_device_memory, free_host_memory
from edgecli.ai.engines.hardware import torch_can_use_cuda
from edgecli.errors import EngineError

if TYPE_CHECKING:
    from edgecli.ai.engines.embedding import EmbeddingEngine

log = logging.getLogger("edgecli.ai")

BESIDE_WEIGHTS = {"onnx": 192 << 20, "torch": 640 << 20}
"""Bytes that a process takes beside its model's weights: libraries or CUDA's context, and one batch; measured with
all-MiniLM-L6-v2 on a CPU, 80 and 520 MiB, and some more."""


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
    whole: bool = False
    """Where memory is short, refuse, and do not try: another model may leave."""


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

    _check_memory(options, "machine", "*.onnx*", BESIDE_WEIGHTS["onnx"])
    return OnnxEmbedding(
        Path(options.path),
        pooling=options.pooling,
        threads=options.threads or None,
        batch_tokens=options.batch_tokens,
    )


def _with_torch(options: EmbeddingOptions) -> EmbeddingEngine:
    from edgecli.ai.engines.sentence_transformers import SentenceTransformersEmbedding

    gpu = options.device.startswith("cuda") or (options.device == "auto" and torch_can_use_cuda())
    _check_memory(options, "gpu" if gpu else "machine", "*.safetensors", BESIDE_WEIGHTS["torch"])
    return SentenceTransformersEmbedding(
        Path(options.path),
        pooling=options.pooling,
        device=options.device,
        threads=options.threads or None,
        batch_tokens=options.batch_tokens,
    )


def _check_memory(options: EmbeddingOptions, where: Memory, weights: str, beside: int) -> None:
    """Raise EngineError, code `out_of_memory`, if the model is to be loaded whole and is expected not to fit."""
    if not options.whole:
        return
    free = free_device_memory() if where == "gpu" else free_host_memory()
    needed = sum(file.stat().st_size for file in Path(options.path).rglob(weights)) + beside
    if free is not None and needed > free:
        raise does_not_fit(Path(options.path).name, {where})


def facts_of(engine: EmbeddingEngine) -> EmbeddingFacts:
    """Return what an engine of this process is."""
    return EmbeddingFacts(
        engine.name, engine.device, engine.dimensions, engine.pooling, engine.max_tokens, pid=os.getpid()
    )
