"""What of a model goes where: layers to the GPU, and tokens to the KV cache, by the memory that is free.

Numbers only: nothing is asked of the machine here. What a model will need is estimated in `memory_need.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from edgecli.ai.engines.free_memory import Memory
from edgecli.ai.engines.llama_cpp.gguf_header import GgufHeader
from edgecli.ai.engines.llama_cpp.memory_need import KvType, MemoryNeed, padded

DEFAULT_CONTEXT = 8192
LEAST_CONTEXT = 2048
"""Tokens below which no automatic context goes."""
BATCH = 512
"""Tokens of one step, llama.cpp's own default."""
MARGIN = 512 << 20
MARGIN_SHARE = 0.08
"""What stays free on the GPU, bytes or share, whichever is more: CUDA's own context takes some 300 to 500 MiB."""
KV_SHARE = 4
"""An automatic KV cache takes at most one part in so many of the memory that it could have: other models want some."""

CPU_CELLS = 2048
"""Tokens of an automatic KV cache for each slot on a CPU, which looks at every cell in each step: a large one that is
full of old prefixes slows all down."""

Automatic = Literal["context", "cells", "gpu_layers"]


@dataclass(frozen=True, slots=True)
class Fit:
    """How to load a model. Sizes are estimates, in bytes."""

    gpu_layers: int
    """What llama.cpp takes as `n_gpu_layers`: the last layers go to the GPU, and the output is one of them."""
    total_layers: int
    """The model's layers, and one for the output."""
    context: int
    """Tokens of one request."""
    cells: int
    """Tokens of the KV cache, all requests together; a multiple of 256."""
    kv_type: KvType
    device_bytes: int
    """Weights, KV cache and buffers on the GPU, without the margin."""
    host_bytes: int
    """The same in the machine's own memory."""
    reasons: tuple[str, ...]
    """Sentences on why it is so; one for each step down, the last step last."""
    slots: int
    batch: int
    lacks: frozenset[Memory]
    """Where memory is short: with more of it there were more layers on the GPU, or what was asked for would fit."""
    automatic: frozenset[Automatic]
    """What was not asked for, and may change when loading fails."""


def plan(
    header: GgufHeader,
    *,
    free_device_memory: int | None,
    free_host_memory: int,
    slots: int,
    context: int = 0,
    cells: int = 0,
    gpu_layers: int = -1,
    kv_type: KvType = "f16",
    batch: int = BATCH,
) -> Fit:
    """Decide how to load a model.

    `free_device_memory` is None without a GPU that llama.cpp can use. `context` 0 is the model's own, at most 8192
    tokens; `cells` 0 is enough for `slots` requests of that length (on a CPU of 2048 tokens), in at most a quarter of
    the memory that is left, but never less than one context; `gpu_layers` -1 is as many as fit beside one context.
    What was asked for is kept even where it does not fit; `reasons` say so then. More memory on the GPU never gives
    fewer layers.
    """
    asked: dict[Automatic, bool] = {"context": context > 0, "cells": cells > 0, "gpu_layers": gpu_layers >= 0}
    reasons: list[str] = []
    context, least = _context(header, context, cells, reasons)
    need = MemoryNeed(header, kv_type=kv_type, slots=slots, batch=batch)
    layers = _layers(need, free_device_memory, gpu_layers, least, reasons)
    if not asked["cells"]:
        room = _room(free_device_memory)
        each = context if layers else min(context, CPU_CELLS)
        least = _cells(need, layers, least, padded(slots * each), room, free_host_memory, reasons)
    fit = Fit(
        gpu_layers=layers,
        total_layers=need.total_layers,
        context=context,
        cells=least,
        kv_type=kv_type,
        device_bytes=need.device(layers, least),
        host_bytes=need.host(layers, least),
        reasons=(),
        slots=slots,
        batch=batch,
        lacks=frozenset(),
        automatic=frozenset(name for name, was_asked in asked.items() if not was_asked),
    )
    lacks: set[Memory] = set()
    if free_device_memory is not None and not asked["gpu_layers"] and layers < need.total_layers:
        lacks.add("gpu")
    if free_device_memory is not None and fit.device_bytes > free_device_memory:
        lacks.add("gpu")
        reasons.append(
            f"It may not fit: {size(fit.device_bytes)} are needed on the GPU, {size(free_device_memory)} are free."
        )
    if fit.host_bytes > free_host_memory:
        lacks.add("machine")
        reasons.append(
            f"It may not fit: {size(fit.host_bytes)} of the machine's memory are needed, "
            f"{size(free_host_memory)} are free."
        )
    return replace(fit, lacks=frozenset(lacks), reasons=tuple(reasons))


def step_down(fit: Fit, header: GgufHeader) -> Fit | None:
    """Return what to try when loading as `fit` says has failed, or None if nothing is left to try.

    First the KV cache is halved down to one context, then the context down to 2048 tokens, both only where they were
    automatic; then layers on the GPU are halved; the last is the CPU alone. The last of `reasons` says what changed.
    """
    flexible = "cells" in fit.automatic
    one = padded(fit.context)
    if flexible and fit.cells > one:
        cells = max(one, padded(fit.cells // 2))
        return _changed(fit, header, f"The KV cache holds {cells} tokens instead of {fit.cells}.", cells=cells)
    if flexible and "context" in fit.automatic and fit.context > LEAST_CONTEXT:
        context = max(LEAST_CONTEXT, fit.context // 2)
        reason = f"The context is {context} tokens instead of {fit.context}."
        return _changed(fit, header, reason, context=context, cells=padded(context))
    if fit.gpu_layers:
        layers = fit.gpu_layers // 2
        where = f"{layers} of {fit.total_layers} layers go to the GPU" if layers else "No layer goes to the GPU"
        return _changed(fit, header, f"{where} instead of {fit.gpu_layers}.", layers=layers)
    return None


def size(count: int) -> str:
    """Return a number of bytes as a person reads it, `7.4 GiB`."""
    return f"{count / (1 << 30):.1f} GiB" if count >= 1 << 30 else f"{count / (1 << 20):.0f} MiB"


def _changed(
    fit: Fit, header: GgufHeader, reason: str, *, context: int = 0, cells: int = 0, layers: int | None = None
) -> Fit:
    need = MemoryNeed(header, kv_type=fit.kv_type, slots=fit.slots, batch=fit.batch)
    cells = cells or fit.cells
    layers = fit.gpu_layers if layers is None else layers
    return replace(
        fit,
        context=context or fit.context,
        cells=cells,
        gpu_layers=layers,
        device_bytes=need.device(layers, cells),
        host_bytes=need.host(layers, cells),
        reasons=(*fit.reasons, reason),
    )


def _context(header: GgufHeader, context: int, cells: int, reasons: list[str]) -> tuple[int, int]:
    """Return the context, and the fewest cells that will do."""
    trained = header.context_length
    if context > trained:
        reasons.append(f"The context of {context} tokens is longer than the {trained} that the model was trained on.")
    if not context:
        context = min(trained, DEFAULT_CONTEXT, cells or DEFAULT_CONTEXT)
        if context < trained:
            reasons.append(f"The context is {context} of the {trained} tokens that the model was trained on.")
    if 0 < cells < context:
        reasons.append(f"The KV cache of {cells} tokens is enlarged to hold one context of {context}.")
    return context, padded(max(context, cells))


def _room(free_device_memory: int | None) -> int:
    if free_device_memory is None:
        return 0
    return max(0, free_device_memory - max(MARGIN, int(free_device_memory * MARGIN_SHARE)))


def _layers(need: MemoryNeed, free: int | None, asked: int, cells: int, reasons: list[str]) -> int:
    """Return the layers for the GPU."""
    total = need.total_layers
    if free is None:
        reasons.append("All layers run on the CPU: there is no GPU that llama.cpp can use.")
        return 0
    room = _room(free)
    if asked >= 0:
        layers = min(asked, total)
        reasons.append(f"{layers} of {total} layers go to the GPU, as was asked.")
        return layers
    layers = next(count for count in range(total, -1, -1) if need.device(count, cells) <= room)
    if layers == total:
        reasons.append(f"All {total} layers go to the GPU.")
    else:
        reasons.append(
            f"{layers} of {total} layers go to the GPU: all of them with one context need "
            f"{size(need.device(total, cells))}, and {size(room)} can be had."
        )
    return layers


def _cells(
    need: MemoryNeed, layers: int, least: int, wanted: int, room: int, free_host_memory: int, reasons: list[str]
) -> int:
    """Return the cells of an automatic KV cache."""
    host_left = free_host_memory - need.host(layers, 0)
    budgets = [min(host_left, free_host_memory // KV_SHARE) // need.host_cell(layers)]
    if layers:
        left = room - need.device(layers, 0)
        budgets.append(left // KV_SHARE // need.device_cell(layers))
    if layers == need.total_layers:
        del budgets[0]  # no KV cache in the machine's own memory
    cells = max(least, min(wanted, min(budgets) // 256 * 256))
    if cells < wanted:
        reasons.append(
            f"The KV cache holds {cells} tokens, not the {wanted} of {need.slots} full contexts: "
            f"{'one context at least' if cells == least else 'a quarter of the memory that is left'}."
        )
    return cells
