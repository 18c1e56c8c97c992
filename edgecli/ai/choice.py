"""Choose and load the engine that runs a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgecli.ai.engines.hardware import cuda_device_name, llama_cpp_backends, torch_can_use_cuda
from edgecli.errors import EngineError, UsageError
from edgecli.models.schema import ModelSpec, Task

if TYPE_CHECKING:
    from edgecli.ai.engines.embedding import EmbeddingRunner
    from edgecli.ai.engines.generation import GenerationEngine
    from edgecli.config.settings import Settings


async def load_generation(
    spec: ModelSpec, path: Path, settings: Settings, *, whole: bool, verbose: bool
) -> GenerationEngine:
    """Load a text generation model from its folder. Raises EngineError, code `out_of_memory` if it must be `whole`."""
    if spec.engine != "llama_cpp":
        raise not_available(spec)
    from edgecli.ai.engines.llama_cpp.options import LoadOptions
    from edgecli.ai.engines.llama_cpp.process import LlamaProcess

    wanted = settings.generation
    return await LlamaProcess.start(
        LoadOptions(
            path=str(path),
            context=wanted.context,
            cells=wanted.cells,
            slots=wanted.slots,
            gpu_layers=wanted.gpu_layers,
            kv_type=wanted.kv_type,
            threads=wanted.threads or settings.threads,
            whole=whole,
            verbose=verbose,
        )
    )


async def load_embedding(
    spec: ModelSpec, path: Path, settings: Settings, *, whole: bool, own_process: bool
) -> EmbeddingRunner:
    """Load an embedding model from its folder, in a process of its own or on a thread. Raises EngineError."""
    if spec.engine != "embedding":
        raise not_available(spec)
    from edgecli.ai.engines.embedding_loading import EmbeddingOptions

    wanted = settings.embeddings
    options = EmbeddingOptions(
        path=str(path),
        engine=wanted.engine,
        pooling=spec.pooling,
        device=wanted.device,
        threads=settings.threads,
        batch_tokens=wanted.batch_tokens,
        whole=whole,
    )
    if own_process:
        from edgecli.ai.engines.embedding_process import EmbeddingProcess

        return await EmbeddingProcess.start(options)
    from edgecli.ai.engines.embedding_thread import EmbeddingThread

    return await EmbeddingThread.start(options)


def expected_device(engine: str, settings: Settings) -> str | None:
    """Return where an engine will compute, before it has loaded a model: `cpu`, a GPU; None if no one can say."""
    name = cuda_device_name()
    if engine == "llama_cpp":
        if settings.generation.gpu_layers == 0:
            return "cpu"
        built_for = llama_cpp_backends()
        if "metal" in built_for:
            return "gpu"
        return f"cuda:0 {name}" if name and "cuda" in built_for else "cpu"
    if engine == "embedding":
        wanted = settings.embeddings
        if wanted.engine == "onnx" or (wanted.engine == "auto" and not torch_can_use_cuda()):
            return "cpu"
        if wanted.device == "auto":
            return f"cuda:0 {name}" if torch_can_use_cuda() else None
        return wanted.device
    return None


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
