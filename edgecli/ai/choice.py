"""Choose and load the engine that runs a model."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from edgecli.ai.engines.hardware import torch_can_use_cuda
from edgecli.errors import EngineError, UsageError
from edgecli.models.schema import ModelSpec, Task

if TYPE_CHECKING:
    from edgecli.ai.engines.embedding import EmbeddingEngine
    from edgecli.ai.engines.generation import GenerationEngine
    from edgecli.config.settings import Settings

log = logging.getLogger("edgecli.ai")


async def load_generation(spec: ModelSpec, path: Path, settings: Settings, *, verbose: bool) -> GenerationEngine:
    """Load a text generation model from its folder. Raises EngineError."""
    if spec.engine != "llama_cpp":
        raise not_available(spec)
    from edgecli.ai.engines.llama_cpp.options import LoadOptions
    from edgecli.ai.engines.llama_cpp.process import ModelProcess

    wanted = settings.generation
    return await ModelProcess.start(
        LoadOptions(
            path=str(path),
            context=wanted.context,
            cells=wanted.cells,
            slots=wanted.slots,
            gpu_layers=wanted.gpu_layers,
            kv_type=wanted.kv_type,
            threads=wanted.threads or settings.threads,
            verbose=verbose,
        )
    )


def load_embedding(spec: ModelSpec, path: Path, settings: Settings) -> EmbeddingEngine:
    """Load an embedding model from its folder, with the engine that settings and machine ask for.

    Raises EngineError.
    """
    if spec.engine != "embedding":
        raise not_available(spec)
    wanted = settings.embeddings.engine
    if wanted == "auto":
        wanted = "sentence_transformers" if torch_can_use_cuda() else "onnx"
    if wanted == "sentence_transformers":
        return _with_torch(spec, path, settings)
    try:
        return _with_onnx(spec, path, settings)
    except EngineError as error:
        if settings.embeddings.engine != "auto" or error.code not in {"onnx_missing", "module_unsupported"}:
            raise
        log.warning("%s It runs on sentence-transformers instead, which starts slower.", error.message)
        return _with_torch(spec, path, settings)


def _with_onnx(spec: ModelSpec, path: Path, settings: Settings) -> EmbeddingEngine:
    from edgecli.ai.engines.onnx import OnnxEmbedding

    return OnnxEmbedding(
        path,
        pooling=spec.pooling,
        threads=settings.threads or None,
        batch_tokens=settings.embeddings.batch_tokens,
    )


def _with_torch(spec: ModelSpec, path: Path, settings: Settings) -> EmbeddingEngine:
    from edgecli.ai.engines.sentence_transformers import SentenceTransformersEmbedding

    return SentenceTransformersEmbedding(
        path,
        pooling=spec.pooling,
        device=settings.embeddings.device,
        threads=settings.threads or None,
        batch_tokens=settings.embeddings.batch_tokens,
    )


def not_available(spec: ModelSpec) -> EngineError:
    """Return the error for a model that no engine runs yet."""
    return EngineError(
        f"AiError: No such model {spec.display_name} or task: no engine `{spec.engine}` is available yet.",
        hint="edgecli runs text generation (GGUF files) and text embeddings.",
        code="engine_unavailable",
        cf_code=5007,
        status=400,
    )


def check_task(spec: ModelSpec, task: Task) -> None:
    """Raise UsageError, cf_code 5007, if the model does another task than `task`."""
    if spec.task is not task:
        raise UsageError(
            f"AiError: `{spec.display_name}` does {spec.task}, not {task}.",
            hint=f"`edgecli models list --task '{task}'` names models that do.",
            code="wrong_task",
            cf_code=5007,
            status=400,
        )
