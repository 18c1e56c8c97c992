"""Load a model as memory allows: as planned, or smaller where that fails."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from edgecli.ai.engines.free_memory import does_not_fit, free_device_memory, free_host_memory
from edgecli.ai.engines.hardware import available_cores
from edgecli.ai.engines.llama_cpp.context import LlamaContext
from edgecli.ai.engines.llama_cpp.fit import Fit, plan, step_down
from edgecli.ai.engines.llama_cpp.gguf_header import GgufHeader, read_header
from edgecli.ai.engines.llama_cpp.gguf_model import GgufModel, library
from edgecli.ai.engines.llama_cpp.options import LoadOptions
from edgecli.errors import EngineError

log = logging.getLogger("edgecli.ai")

GPU_BATCH = 512
CPU_BATCH = 256
KEPT_PREFIXES = 16
"""Sequences beside those of the slots: they hold prefixes in the cache that no request uses now."""
MOST_SEQUENCES = 256  # llama.cpp: LLAMA_MAX_SEQ


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model, its KV cache, and how they were made to fit."""

    model: GgufModel
    context: LlamaContext
    fit: Fit


def load(options: LoadOptions) -> LoadedModel:
    """Load the `*.gguf` below `options.path`; where memory is short, with a smaller cache or fewer layers on the GPU.

    Raises EngineError if the library is missing, the file is damaged, or memory is too short for anything, or,
    if `options.whole`, for all that was planned.
    """
    file = find_gguf(Path(options.path))
    lib = library()
    header = read_header(file)
    fit = plan(
        header,
        free_device_memory=free_device_memory() if lib.llama_supports_gpu_offload() else None,
        free_host_memory=free_host_memory(),
        slots=options.slots,
        context=options.context,
        cells=options.cells,
        gpu_layers=options.gpu_layers,
        kv_type=options.kv_type,
    )
    if options.whole and fit.lacks:
        raise does_not_fit(file.name, fit.lacks)
    for reason in fit.reasons:
        log.info("%s: %s", file.name, reason)
    while True:
        try:
            return _load(file, header, fit, options)
        except EngineError as error:
            # llama.cpp does not say why weights could not be loaded: where a GPU takes part, it may be its memory.
            smaller = step_down(fit, header) if error.code == "out_of_memory" or fit.gpu_layers else None
            if smaller is None:
                raise
            log.warning("%s: %s %s", file.name, error.message, smaller.reasons[-1])
            fit = smaller


def _load(file: Path, header: GgufHeader, fit: Fit, options: LoadOptions) -> LoadedModel:
    model = GgufModel(file, gpu_layers=fit.gpu_layers, header=header)
    # A recurrent model keeps no prefixes, and a state for each sequence.
    sequences = options.slots if model.recurrent else min(options.slots * 2 + KEPT_PREFIXES, MOST_SEQUENCES)
    try:
        return LoadedModel(model, new_context(model, options, cells=fit.cells, sequences=sequences), fit)
    except EngineError:
        model.close()
        raise


def new_context(model: GgufModel, options: LoadOptions, *, cells: int, sequences: int) -> LlamaContext:
    """Make a KV cache of `cells` tokens for a model. Raises EngineError, code `out_of_memory`."""
    return LlamaContext(
        model,
        cells=cells,
        batch=max(GPU_BATCH if model.gpu_layers else CPU_BATCH, options.slots),
        sequences=sequences,
        threads=options.threads or available_cores(),
        kv_type=options.kv_type,
    )


def find_gguf(path: Path) -> Path:
    """Return the model file below a folder. Raises EngineError, code `model_files_missing`."""
    # Of a model in parts llama.cpp wants the first and finds the others; a projector is no model of its own.
    found = sorted(
        (file for file in path.rglob("*.gguf") if "mmproj" not in file.name.lower()),
        key=lambda file: (len(file.parts), str(file)),
    )
    if found:
        return found[0]
    raise EngineError(
        f"`{path}` holds no model: there is no `.gguf` file.",
        hint="Pull the model again: `edgecli models pull <id>`.",
        code="model_files_missing",
    )
