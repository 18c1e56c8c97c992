"""A model whose layers keep one state of all they have read: a Mamba with random weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from edgecli.ai.engines.llama_cpp.engine import LlamaEngine
from edgecli.ai.engines.llama_cpp.options import LoadOptions
from tests.ai.engines.llama_cpp.running import complete, raw, start

WIDTH, INNER, STATE, CONVOLUTION, RANK, LAYERS = 64, 128, 16, 4, 4, 2


def write_mamba(path: Path) -> None:
    random = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, "mamba")
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_block_count(LAYERS)
    writer.add_ssm_conv_kernel(CONVOLUTION)
    writer.add_ssm_inner_size(INNER)
    writer.add_ssm_state_size(STATE)
    writer.add_ssm_time_step_rank(RANK)
    writer.add_layer_norm_rms_eps(1e-5)
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([2, 3, 3] + [6] * 256)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)

    def tensor(name: str, *shape: int, scale: float = 0.5) -> None:
        writer.add_tensor(name, (random.normal(size=shape) * scale).astype(np.float32))

    def ones(name: str, *shape: int) -> None:
        writer.add_tensor(name, np.ones(shape, dtype=np.float32))

    tensor("token_embd.weight", len(tokens), WIDTH, scale=1.0)
    tensor("output.weight", len(tokens), WIDTH)
    ones("output_norm.weight", WIDTH)
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        ones(f"{block}.attn_norm.weight", WIDTH)
        tensor(f"{block}.ssm_in.weight", 2 * INNER, WIDTH)
        tensor(f"{block}.ssm_conv1d.weight", INNER, CONVOLUTION)
        tensor(f"{block}.ssm_conv1d.bias", INNER)
        tensor(f"{block}.ssm_x.weight", RANK + 2 * STATE, INNER)
        tensor(f"{block}.ssm_dt.weight", INNER, RANK)
        tensor(f"{block}.ssm_dt.bias", INNER)
        writer.add_tensor(f"{block}.ssm_a", -random.uniform(0.01, 0.1, (INNER, STATE)).astype(np.float32))
        ones(f"{block}.ssm_d", INNER)
        tensor(f"{block}.ssm_out.weight", WIDTH, INNER)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaEngine]:
    folder = tmp_path_factory.mktemp("mamba")
    write_mamba(folder / "model.gguf")
    engine = LlamaEngine(LoadOptions(path=str(folder), context=256, cells=512, threads=1, slots=2))
    engine.start()
    yield engine
    engine.close()


def bytes_of(engine: LlamaEngine, prompt: str, **options: Any) -> list[bytes]:
    """Return the tokens of an answer: the text of random weights is hardly UTF-8."""
    pieces = list(start(engine, raw(prompt, logprobs=0, **options)))
    return [each.token for piece in pieces for each in piece.logprobs]


def test_what_ran_before_does_not_change_an_answer(engine: LlamaEngine) -> None:
    prompt = "The library opens at nine and closes at six. "
    first = bytes_of(engine, prompt)
    # It begins alike and goes on otherwise: the state that is left of it is not that of the beginning.
    bytes_of(engine, prompt + "On Sundays it is closed all day.")
    assert bytes_of(engine, prompt) == first
    assert complete(engine, raw(prompt))[2].cached_tokens == 0


def test_more_requests_than_slots(engine: LlamaEngine) -> None:
    running = [start(engine, raw(f"{number} and so on", max_tokens=6)) for number in range(6)]
    assert all(one.whole()[2].completion_tokens <= 6 for one in running)
    assert engine.status()["cells_used"] == 0
