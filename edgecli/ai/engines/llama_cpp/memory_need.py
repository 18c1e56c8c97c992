"""How much memory a model needs, on the GPU and in the machine, by what llama.cpp puts where.

* Weights (llama-model.cpp, `load_tensors`): of `n_gpu_layers` n, the output and the last n - 1 layers are the GPU's;
  token embeddings stay with the CPU, and where they are the output too, the GPU has them a second time.
* KV cache (llama-kv-cache.cpp): a layer's keys and values lie where the layer does. The windows of layers with
  sliding attention are kept in full, as llama.cpp does unless told otherwise (`swa_full`).
* Compute buffer: 4 bytes x batch x (3 x feed forward + 4 x embedding), or what attention takes instead if its heads
  are wide, or the logits, 4 bytes x outputs x vocabulary, where those are more; and the attention mask, 2 bytes x
  batch x cells. With flash attention, which llama.cpp takes where it can; else there were a matrix of scores. For
  a Llama on a CPU it is exact to a few percent (tests/ai/engines/llama_cpp/test_memory_need.py).
* With some layers on the CPU, llama.cpp copies their weights to the GPU for large batches (`op_offload`): one layer.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Final, Literal

from edgecli.ai.engines.llama_cpp.gguf_header import GgufHeader

KvType = Literal["f16", "q8_0"]

_BLOCKS: Final[dict[KvType, tuple[int, int]]] = {"f16": (1, 2), "q8_0": (32, 34)}
_PAD = 256
_ACTIVATION = 4
_MASK = 2


def padded(cells: int) -> int:
    """Return the cells that llama.cpp makes of so many: a multiple of 256."""
    return -(-cells // _PAD) * _PAD


def kv_bytes(header: GgufHeader, kv_type: KvType) -> tuple[int, ...]:
    """Return the bytes of one token's keys and values in each layer."""
    block, block_bytes = _BLOCKS[kv_type]

    def row(elements: int) -> int:
        return -(-elements // block) * block_bytes

    return tuple(row(heads * header.key_length) + row(heads * header.value_length) for heads in header.head_count_kv)


class MemoryNeed:
    """Bytes that one model takes. `layers` is what llama.cpp takes as `n_gpu_layers`, `cells` the KV cache's tokens."""

    def __init__(self, header: GgufHeader, *, kv_type: KvType, slots: int, batch: int) -> None:
        self.slots = slots
        self.total_layers = header.block_count + 1
        self._header = header
        # Of the last 0, 1, 2 … layers.
        self._weights = list(accumulate(reversed(header.layer_bytes), initial=0))
        self._kv = list(accumulate(reversed(kv_bytes(header, kv_type)), initial=0))
        self._largest_layer = max(header.layer_bytes)
        attention = 2 * max(header.head_count) * (header.key_length + header.value_length)
        widest = max(3 * header.feed_forward_length, attention)
        activations = batch * (widest + 4 * header.embedding_length) * _ACTIVATION
        self._logits = slots * header.vocabulary_size * _ACTIVATION
        self._compute = max(activations, self._logits + batch * header.embedding_length * _ACTIVATION)
        self._mask = batch * _MASK
        self._hidden = batch * header.embedding_length * _ACTIVATION

    def device(self, layers: int, cells: int) -> int:
        """Return the bytes on the GPU, without CUDA's own."""
        if layers == 0:
            return 0
        weights = self._weights[layers - 1] + self._header.output_bytes + self._header.shared_output_bytes
        copied = self._largest_layer if layers < self.total_layers else 0
        return weights + self._compute + copied + self.device_cell(layers) * cells

    def host(self, layers: int, cells: int) -> int:
        """Return the bytes in the machine's own memory."""
        on_device = max(0, layers - 1)
        weights = self._header.input_bytes + self._weights[-1] - self._weights[on_device]
        if layers == 0:
            weights += self._header.output_bytes
        compute = self._hidden if layers == self.total_layers else self._compute
        return weights + compute + self._logits + self.host_cell(layers) * cells

    def device_cell(self, layers: int) -> int:
        """Return the bytes on the GPU for each token of the KV cache."""
        return self._kv[layers - 1] + self._mask if layers else 0

    def host_cell(self, layers: int) -> int:
        """Return the same in the machine's own memory."""
        return self._kv[-1] - self._kv[max(0, layers - 1)] + self._mask
