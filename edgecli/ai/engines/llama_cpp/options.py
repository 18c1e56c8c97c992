"""How a model is to be loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What the model's process is told; 0 and -1 leave the choice to it."""

    path: str
    """The folder with the `*.gguf` file."""
    context: int = 0
    """Tokens of one request, prompt and answer; 0 is the model's own, at most 8192."""
    cells: int = 0
    """Tokens of the KV cache, of all requests together; 0 is what memory allows."""
    slots: int = 8
    """Requests that run at once."""
    gpu_layers: int = -1
    """Layers on the GPU; -1 is all that fit."""
    kv_type: Literal["f16", "q8_0"] = "f16"
    threads: int = 0
    """0 is all cores."""
    whole: bool = False
    """Where memory is short, refuse, and load no smaller: another model may leave."""
    verbose: bool = False
    """Print llama.cpp's warnings on stderr."""
