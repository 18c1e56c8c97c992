"""The estimate of memory, against what llama.cpp takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from edgecli.ai.engines.llama_cpp import gguf_model
from edgecli.ai.engines.llama_cpp.gguf_header import read_header
from edgecli.ai.engines.llama_cpp.memory_need import KvType, MemoryNeed
from tests.ai.engines.llama_cpp.gguf_bytes import LLAMA_3_8B, llama, write_model

MIB = 1 << 20
_TYPES: dict[KvType, int] = {"f16": 1, "q8_0": 8}  # ggml_type


def taken(path: Path, caplog: pytest.LogCaptureFixture, *, cells: int, slots: int, batch: int, kv: KvType) -> int:
    """Load a model on the CPU and return the bytes of its weights, its KV cache and its buffers."""
    lib = gguf_model.library()
    with caplog.at_level("DEBUG", logger="edgecli.llama"):
        gguf_model.log.addHandler(caplog.handler)
        params = lib.llama_model_default_params()
        params.n_gpu_layers = 0
        params.use_extra_bufts = False  # else weights are held twice, in an order that the processor likes
        model = lib.llama_model_load_from_file(str(path).encode(), params)
        assert model
        options = lib.llama_context_default_params()
        options.n_ctx = cells
        options.n_batch = options.n_ubatch = batch
        options.n_seq_max = options.n_outputs_max = slots
        options.kv_unified = True
        options.type_k = options.type_v = _TYPES[kv]
        context = lib.llama_init_from_model(model, options)
        assert context
        lib.llama_free(context)
        lib.llama_model_free(model)
        gguf_model.log.removeHandler(caplog.handler)
    sizes = re.findall(r"(\w+) buffer size = +([0-9.]+) MiB", caplog.text)
    assert {kind for kind, _ in sizes} == {"model", "output", "KV", "compute"}
    return int(sum(float(number) for _, number in sizes) * MIB)


def check(path: Path, caplog: pytest.LogCaptureFixture, **options: Any) -> None:
    cells, kv = options["cells"], options["kv"]
    need = MemoryNeed(read_header(path), kv_type=kv, slots=options["slots"], batch=options["batch"])
    assert taken(path, caplog, **options) == pytest.approx(need.host(0, cells), rel=0.05)


@pytest.mark.models
@pytest.mark.parametrize(
    "options",
    [
        {"cells": 2048, "slots": 8, "batch": 128, "kv": "f16"},
        {"cells": 8192, "slots": 64, "batch": 512, "kv": "f16"},
        {"cells": 8192, "slots": 8, "batch": 512, "kv": "q8_0"},
    ],
)
def test_the_starter_model(generation_folder: Path, caplog: pytest.LogCaptureFixture, options: dict[str, Any]) -> None:
    (path,) = generation_folder.glob("*.gguf")
    check(path, caplog, **options)


def test_four_layers_as_wide_as_those_of_8_billion_weights(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_model(tmp_path / "eight.gguf", *llama(**(LLAMA_3_8B | {"layers": 4, "vocabulary": 32_000})))
    check(path, caplog, cells=8192, slots=64, batch=512, kv="f16")
