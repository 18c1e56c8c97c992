"""What goes where, by numbers."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecli.ai.engines.llama_cpp.fit import LEAST_CONTEXT, MARGIN, MARGIN_SHARE, Fit, plan, step_down
from edgecli.ai.engines.llama_cpp.gguf_file import Tensor
from edgecli.ai.engines.llama_cpp.gguf_header import GgufHeader
from edgecli.ai.engines.llama_cpp.memory_need import MemoryNeed, kv_bytes, padded
from tests.ai.engines.llama_cpp.gguf_bytes import LLAMA_3_8B, llama, size_of

GIB = 1 << 30
MIB = 1 << 20


@cache
def header_of(**shape: Any) -> GgufHeader:
    """Return the header that a Llama of this shape has, without a file."""
    metadata, tensors = llama(**shape)
    layers = metadata["llama.block_count"]
    width = metadata["llama.embedding_length"] // metadata["llama.attention.head_count"]
    return GgufHeader(
        files=(Path("model.gguf"),),
        version=3,
        architecture="llama",
        name="",
        file_type="Q4_K_M",
        metadata=metadata,
        tensors=tuple(
            Tensor(name, tuple(dims), kind, 0, size_of(dims, kind)) for name, (dims, kind) in tensors.items()
        ),
        block_count=layers,
        context_length=metadata["llama.context_length"],
        embedding_length=metadata["llama.embedding_length"],
        feed_forward_length=metadata["llama.feed_forward_length"],
        head_count=(metadata["llama.attention.head_count"],) * layers,
        head_count_kv=(metadata["llama.attention.head_count_kv"],) * layers,
        key_length=width,
        value_length=width,
        sliding_window=0,
        expert_count=0,
        expert_used_count=0,
        vocabulary_size=len(metadata["tokenizer.ggml.tokens"]),
    )


def eight() -> GgufHeader:
    return header_of(**LLAMA_3_8B)


def made(*, device: float | None, host: float = 64, slots: int = 8, **options: Any) -> Fit:
    free = None if device is None else int(device * GIB)
    return plan(eight(), free_device_memory=free, free_host_memory=int(host * GIB), slots=slots, **options)


def test_bytes_of_keys_and_values() -> None:
    # 8 heads of 128 elements, keys and values, 2 bytes each: the 128 KiB a token that Llama 3 8B is known for.
    assert kv_bytes(eight(), "f16") == (4096,) * 32
    assert kv_bytes(eight(), "q8_0") == (2176,) * 32
    assert kv_bytes(replace(eight(), head_count_kv=(8, 0) * 16), "f16") == (4096, 0) * 16
    assert kv_bytes(replace(eight(), key_length=576, value_length=0, head_count_kv=(1,) * 32), "f16") == (1152,) * 32


def test_weights_of_the_gpu_and_the_cpu() -> None:
    need = MemoryNeed(eight(), kv_type="f16", slots=8, batch=512)
    header = eight()
    whole = need.device(33, 0) + need.host(33, 0)
    assert need.device(0, 8192) == 0
    assert 0 < need.device(33, 0) - (header.weight_bytes - header.input_bytes) < 200 * MIB
    assert need.device(33, 8192) - need.device(33, 0) == 8192 * (128 * 1024 + 2 * 512)
    assert need.device(2, 0) - need.device(1, 0) == header.layer_bytes[-1]
    assert need.host(33, 0) - header.input_bytes < 100 * MIB
    assert whole > header.weight_bytes


def test_an_output_that_is_the_embedding_is_on_the_gpu_once_more() -> None:
    shared = header_of(**(LLAMA_3_8B | {"shared_output": True}))
    need = MemoryNeed(shared, kv_type="f16", slots=1, batch=512)
    assert need.device(33, 0) == MemoryNeed(eight(), kv_type="f16", slots=1, batch=512).device(33, 0)
    assert need.host(0, 0) < MemoryNeed(eight(), kv_type="f16", slots=1, batch=512).host(0, 0)


@pytest.mark.parametrize(
    ("device", "options", "layers", "context", "cells"),
    [
        # A quarter of what is left of the 24 GiB beside 4 GiB of weights.
        (24, {}, 33, 8192, 36608),
        (24, {"slots": 2}, 33, 8192, 16384),
        (24, {"kv_type": "q8_0"}, 33, 8192, 65536),
        (24, {"context": 4096}, 33, 4096, 32768),
        (24, {"context": 100_000}, 33, 100_000, 100_096),
        (24, {"cells": 20_000}, 33, 8192, 20_224),
        (24, {"cells": 4096}, 33, 4096, 4096),
        (24, {"cells": 4096, "context": 6000}, 33, 6000, 6144),
        (24, {"gpu_layers": 10}, 10, 8192, 65536),
        (24, {"gpu_layers": 999}, 33, 8192, 36608),
        (24, {"gpu_layers": 0}, 0, 8192, 16384),
        (8, {}, 33, 8192, 8192),
        (4, {}, 21, 8192, 8192),
        (4, {"kv_type": "q8_0"}, 23, 8192, 8192),
        (1, {}, 0, 8192, 16384),
        (None, {}, 0, 8192, 16384),
        (None, {"host": 16}, 0, 8192, 16384),
        (None, {"host": 4}, 0, 8192, 8192),
        (None, {"gpu_layers": 33}, 0, 8192, 16384),
    ],
)
def test_a_model_of_8_billion_weights(
    device: float | None, options: dict[str, Any], layers: int, context: int, cells: int
) -> None:
    fit = made(device=device, **options)
    assert (fit.gpu_layers, fit.context, fit.cells) == (layers, context, cells), fit
    assert fit.total_layers == 33
    assert bool(fit.device_bytes) == bool(layers)


def test_what_it_says() -> None:
    assert made(device=24, slots=2).reasons == (
        "The context is 8192 of the 131072 tokens that the model was trained on.",
        "All 33 layers go to the GPU.",
    )
    assert made(device=None, host=4, context=200_000).reasons == (
        "The context of 200000 tokens is longer than the 131072 that the model was trained on.",
        "All layers run on the CPU: there is no GPU that llama.cpp can use.",
        "It may not fit: 29.0 GiB of the machine's memory are needed, 4.0 GiB are free.",
    )
    assert made(device=4, slots=1).reasons[1:] == (
        "21 of 33 layers go to the GPU: all of them with one context need 5.1 GiB, and 3.5 GiB can be had.",
    )
    assert made(device=4, slots=1, gpu_layers=33).reasons[1:] == (
        "33 of 33 layers go to the GPU, as was asked.",
        "It may not fit: 5.1 GiB are needed on the GPU, 4.0 GiB are free.",
    )
    assert made(device=24, context=1000, cells=500).reasons[0] == (
        "The KV cache of 500 tokens is enlarged to hold one context of 1000."
    )


@pytest.mark.parametrize(
    ("device", "host", "options", "lacks"),
    [
        (24, 64, {}, set()),
        (4, 64, {}, {"gpu"}),  # 21 of 33 layers
        (4, 64, {"gpu_layers": 21}, set()),  # as was asked
        (4, 64, {"gpu_layers": 33}, {"gpu"}),
        (4, 1, {}, {"gpu", "machine"}),
        (None, 64, {}, set()),
        (None, 4, {}, {"machine"}),
    ],
)
def test_where_memory_is_short(device: float | None, host: float, options: dict[str, Any], lacks: set[str]) -> None:
    assert made(device=device, host=host, **options).lacks == lacks


def steps(fit: Fit, header: GgufHeader) -> list[Fit]:
    found = [fit]
    while (step := step_down(found[-1], header)) is not None:
        found.append(step)
    return found


def test_steps_down() -> None:
    found = steps(made(device=24), eight())
    assert [(step.context, step.cells, step.gpu_layers) for step in found] == [
        (8192, 36608, 33),
        (8192, 18432, 33),
        (8192, 9216, 33),
        (8192, 8192, 33),
        (4096, 4096, 33),
        (2048, 2048, 33),
        (2048, 2048, 16),
        (2048, 2048, 8),
        (2048, 2048, 4),
        (2048, 2048, 2),
        (2048, 2048, 1),
        (2048, 2048, 0),
    ]
    assert [step.reasons[-1] for step in found[1:]] == [
        "The KV cache holds 18432 tokens instead of 36608.",
        "The KV cache holds 9216 tokens instead of 18432.",
        "The KV cache holds 8192 tokens instead of 9216.",
        "The context is 4096 tokens instead of 8192.",
        "The context is 2048 tokens instead of 4096.",
        "16 of 33 layers go to the GPU instead of 33.",
        "8 of 33 layers go to the GPU instead of 16.",
        "4 of 33 layers go to the GPU instead of 8.",
        "2 of 33 layers go to the GPU instead of 4.",
        "1 of 33 layers go to the GPU instead of 2.",
        "No layer goes to the GPU instead of 1.",
    ]
    needed = [step.device_bytes for step in found]
    assert needed == sorted(needed, reverse=True)


def test_what_was_asked_for_stays() -> None:
    found = steps(made(device=24, context=5000, cells=20_000), eight())
    assert {(step.context, step.cells) for step in found} == {(5000, 20_224)}
    assert [step.gpu_layers for step in found] == [33, 16, 8, 4, 2, 1, 0]
    found = steps(made(device=24, context=5000), eight())
    assert {step.context for step in found} == {5000}
    assert found[-1].cells == padded(5000)


FREE = st.integers(0, 200 * GIB)
ASKED = st.fixed_dictionaries(
    {
        "slots": st.integers(1, 64),
        "context": st.just(0) | st.integers(1, 200_000),
        "cells": st.just(0) | st.integers(1, 500_000),
        "kv_type": st.sampled_from(["f16", "q8_0"]),
        "batch": st.sampled_from([128, 512, 2048]),
    }
)
MODELS = st.sampled_from([{"vocabulary": 32}, LLAMA_3_8B, LLAMA_3_8B | {"shared_output": True, "layers": 80}])


@given(MODELS, FREE, FREE, FREE, ASKED)
@settings(max_examples=300, deadline=None)
def test_more_memory_never_gives_fewer_layers(
    shape: dict[str, Any], less: int, more: int, host: int, asked: dict[str, Any]
) -> None:
    less, more = sorted((less, more))
    header = header_of(**shape)
    poor = plan(header, free_device_memory=less, free_host_memory=host, **asked)
    rich = plan(header, free_device_memory=more, free_host_memory=host, **asked)
    none = plan(header, free_device_memory=None, free_host_memory=host, **asked)
    assert 0 == none.gpu_layers <= poor.gpu_layers <= rich.gpu_layers <= rich.total_layers


@given(MODELS, st.none() | FREE, FREE, ASKED, st.just(-1) | st.integers(0, 100))
@settings(max_examples=500, deadline=None)
def test_what_is_planned_fits_or_it_says_so(
    shape: dict[str, Any], device: int | None, host: int, asked: dict[str, Any], layers: int
) -> None:
    header = header_of(**shape)
    fit = plan(header, free_device_memory=device, free_host_memory=host, gpu_layers=layers, **asked)
    warned = "It may not fit" in " ".join(fit.reasons)
    assert warned == (fit.device_bytes > (device or 0) or fit.host_bytes > host)
    if layers < 0 and device is not None:
        assert fit.device_bytes == 0 or fit.device_bytes + max(MARGIN, int(device * MARGIN_SHARE)) <= device
    assert fit.context >= 1
    assert fit.cells % 256 == 0
    assert fit.cells >= fit.context
    if asked["context"]:
        assert fit.context == asked["context"]
    if asked["cells"]:
        assert fit.cells >= asked["cells"]
    else:
        assert fit.cells <= padded(asked["slots"] * fit.context)
    assert all(reason.endswith(".") for reason in fit.reasons)


@given(MODELS, st.none() | FREE, FREE, ASKED)
@settings(max_examples=200, deadline=None)
def test_every_step_needs_less_and_the_last_is_the_cpu(
    shape: dict[str, Any], device: int | None, host: int, asked: dict[str, Any]
) -> None:
    header = header_of(**shape)
    found = steps(plan(header, free_device_memory=device, free_host_memory=host, **asked), header)
    assert found[-1].gpu_layers == 0
    assert len(found) < 40
    for before, after in pairwise(found):
        assert len(after.reasons) == len(before.reasons) + 1
        assert (after.context, after.cells, after.gpu_layers) != (before.context, before.cells, before.gpu_layers)
        assert after.cells >= after.context >= min(before.context, LEAST_CONTEXT)
        if after.gpu_layers == before.gpu_layers:
            assert after.device_bytes + after.host_bytes < before.device_bytes + before.host_bytes
        else:
            assert after.gpu_layers < before.gpu_layers
    if asked["context"]:
        assert {fit.context for fit in found} == {asked["context"]}
