"""LoRA adapters over a model: loaded once, laid over one batch at a time. For the engine's thread."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecli.ai.engines.generation import LoraAdapter
from edgecli.ai.engines.llama_cpp.gguf_model import GgufModel, last_messages
from edgecli.errors import UsageError

if TYPE_CHECKING:
    from edgecli.ai.engines.llama_cpp.context import LlamaContext


class Adapters:
    """The adapters that requests over one context have asked for."""

    def __init__(self, model: GgufModel, context: LlamaContext) -> None:
        self._model = model
        self._context = context
        self._now: LoraAdapter | None = None

    def use(self, adapter: LoraAdapter | None) -> None:
        """Let the next batches run with an adapter, or with the bare model.

        Raises UsageError, cf_code 3039, if its file is missing or was not made for the model.
        """
        if adapter == self._now:
            return
        lib = self._model.lib
        chosen = [] if adapter is None else [load_adapter(self._model, adapter)]
        handles = (lib.llama_adapter_lora_p_ctypes * len(chosen))(*chosen)
        scales = (ctypes.c_float * len(chosen))(*([] if adapter is None else [adapter.scale]))
        lib.llama_set_adapters_lora(self._context.handle, handles, len(chosen), scales)
        self._now = adapter


def load_adapter(model: GgufModel, adapter: LoraAdapter) -> Any:
    """Return the model's handle of an adapter, its file loaded once.

    Raises UsageError, cf_code 3039, if the file is missing or was not made for the model.
    """
    if adapter.path not in model.adapters:
        handle = None
        last_messages()  # of something else
        if Path(adapter.path).is_file():
            handle = model.lib.llama_adapter_lora_init(model.handle, adapter.path.encode())
        if not handle:
            said = last_messages() or "there is no such file"
            raise UsageError(
                f"The LoRA adapter `{adapter.path}` cannot be used with `{model.file.name}`: {said}.",
                hint="It has to be a GGUF file made for this very model (llama.cpp's convert_lora_to_gguf.py).",
                code="lora_unusable",
                cf_code=3039,
                status=400,
            )
        model.adapters[adapter.path] = handle
    return model.adapters[adapter.path]
