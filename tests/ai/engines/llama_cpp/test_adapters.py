"""LoRA adapters over the starter model: random ones, which change what it says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
import pytest

from edgecli.ai.engines.generation import LoraAdapter
from edgecli.ai.engines.llama_cpp.engine import LlamaEngine
from edgecli.ai.engines.llama_cpp.gguf_model import library
from edgecli.ai.engines.llama_cpp.options import LoadOptions
from edgecli.errors import UsageError
from tests.ai.engines.llama_cpp.running import complete, raw, start

pytestmark = pytest.mark.models

WIDTH = 576  # of the starter model
RANK = 4


def write_adapter(path: Path, *, width: int = WIDTH, seed: int = 1) -> LoraAdapter:
    """Write an adapter that turns the queries of some layers."""
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 64.0)
    for layer in range(10):
        name = f"blk.{layer}.attn_q.weight"
        writer.add_tensor(f"{name}.lora_a", random.normal(size=(RANK, width)).astype(np.float32))
        writer.add_tensor(f"{name}.lora_b", random.normal(size=(width, RANK)).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return LoraAdapter(str(path))


@pytest.fixture(scope="module")
def engine(generation_folder: Path) -> Iterator[LlamaEngine]:
    engine = LlamaEngine(LoadOptions(path=str(generation_folder), context=512, threads=2, slots=4))
    engine.start()
    yield engine
    engine.close()


@pytest.mark.slow
def test_requests_with_and_without_adapters_run_side_by_side(engine: LlamaEngine, tmp_path: Path) -> None:
    first, second = write_adapter(tmp_path / "a.gguf"), write_adapter(tmp_path / "b.gguf", seed=2)
    prompt = "The capital of France is the city of"
    bare = complete(engine, raw(prompt, max_tokens=8))[0]
    running = [start(engine, raw(prompt, max_tokens=8, lora=lora)) for lora in (None, first, second, None)]
    plain, one, two, again = (each.whole() for each in running)
    assert len({plain[0], one[0], two[0]}) == 3
    assert bare in (plain[0], again[0])
    # What one adapter has computed is nothing for another.
    assert (one[2].cached_tokens, two[2].cached_tokens) == (0, 0)
    assert start(engine, raw(prompt, max_tokens=8, lora=first)).whole()[2].cached_tokens > 0


def test_files_that_are_no_adapter_are_refused(engine: LlamaEngine, tmp_path: Path) -> None:
    wrong = write_adapter(tmp_path / "wide.gguf", width=WIDTH * 2)
    (tmp_path / "text.gguf").write_text("no adapter")
    for path in (wrong.path, str(tmp_path / "text.gguf"), str(tmp_path / "missing.gguf")):
        with pytest.raises(UsageError, match="LoRA adapter") as caught:
            complete(engine, raw("x", lora=LoraAdapter(path)))
        assert caught.value.cf_code == 3039
    assert complete(engine, raw("Still", max_tokens=2))[0] is not None


def test_an_older_complaint_of_llama_cpp_is_not_taken_for_the_reason(engine: LlamaEngine, tmp_path: Path) -> None:
    lib = library()
    assert not lib.llama_model_load_from_file(b"/nowhere/at-all.gguf", lib.llama_model_default_params())
    with pytest.raises(UsageError, match="there is no such file"):
        start(engine, raw("One", lora=LoraAdapter(str(tmp_path / "none.gguf"))))
