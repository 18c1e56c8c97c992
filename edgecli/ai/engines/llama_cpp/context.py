"""llama.cpp's context: one KV cache for all sequences, and batches that are written into NumPy arrays."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgecli.ai.engines.llama_cpp.gguf_model import GgufModel
from edgecli.errors import EngineError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Tokens = NDArray[np.int32]
    Logits = NDArray[np.float32]

KV_TYPES = {"f16": 1, "q8_0": 8}
"""Numbers of ggml types (ggml.h, enum ggml_type)."""
_NO_ROOM = 1  # llama_decode: no cells for the batch


class Batch:
    """Tokens of several sequences that are decoded in one step."""

    def __init__(self, lib: Any, size: int) -> None:
        import numpy as np

        self.size = size
        self.used = 0
        self.outputs = 0
        self._tokens = np.zeros(size, dtype=np.int32)
        self._positions = np.zeros(size, dtype=np.int32)
        self._sequences = np.zeros(size, dtype=np.int32)
        self._wanted = np.zeros(size, dtype=np.int8)
        self._one_each = np.ones(size, dtype=np.int32)
        # llama.cpp takes a list of sequences for each token; here it is always a list of one.
        addresses = self._sequences.ctypes.data + 4 * np.arange(size, dtype=np.uint64)
        self._sequence_lists = addresses.astype(np.uint64)

        def pointer(array: NDArray[Any], kind: Any) -> Any:
            return ctypes.cast(array.ctypes.data, ctypes.POINTER(kind))

        self.struct = lib.llama_batch(
            n_tokens=0,
            token=pointer(self._tokens, ctypes.c_int32),
            embd=None,
            pos=pointer(self._positions, ctypes.c_int32),
            n_seq_id=pointer(self._one_each, ctypes.c_int32),
            seq_id=pointer(self._sequence_lists, ctypes.POINTER(ctypes.c_int32)),
            logits=pointer(self._wanted, ctypes.c_int8),
        )

    @property
    def room(self) -> int:
        """Tokens that can still be added."""
        return self.size - self.used

    def clear(self) -> None:
        """Begin a new batch."""
        self.used = 0
        self.outputs = 0

    def add(self, tokens: Sequence[int] | Tokens, *, sequence: int, position: int, output: bool) -> None:
        """Add consecutive tokens of a sequence, the first at `position`; `output` asks for the last one's logits."""
        import numpy as np

        start, end = self.used, self.used + len(tokens)
        self._tokens[start:end] = tokens
        if end - start == 1:
            self._positions[start] = position
        else:
            self._positions[start:end] = np.arange(position, position + end - start)
        self._sequences[start:end] = sequence
        self._wanted[start:end] = 0
        self._wanted[end - 1] = output
        self.outputs += output
        self.used = end


class LlamaContext:
    """The KV cache of one model and the computations over it. All calls come from one thread."""

    def __init__(self, model: GgufModel, *, cells: int, batch: int, sequences: int, threads: int, kv_type: str) -> None:
        """Make a context of `cells` tokens in all, for sequences 0 to `sequences` - 1.

        `batch` is the most tokens of one step. llama.cpp keeps room for the logits of every sequence, so they should
        not be more than are needed. Raises EngineError, code `out_of_memory`.
        """
        self._lib = model.lib
        self._vocabulary = model.vocabulary_size
        self.sequences = sequences
        self.batch = Batch(model.lib, batch)
        params = self._lib.llama_context_default_params()
        params.n_ctx = cells
        params.n_batch = params.n_ubatch = batch
        params.n_seq_max = sequences
        params.n_outputs_max = sequences
        params.n_threads = params.n_threads_batch = threads
        params.type_k = params.type_v = KV_TYPES[kv_type]
        # One buffer for all: a prefix that several sequences share is held, and read, once.
        params.kv_unified = True
        params.no_perf = True
        if not model.gpu_layers:  # a build with CUDA would use the GPU for parts of the work all the same
            params.offload_kqv = params.op_offload = False
        self._handle: Any = self._lib.llama_init_from_model(model.handle, params)
        if not self._handle:
            raise EngineError(
                f"llama.cpp has no memory for a KV cache of {cells} tokens of `{model.file.name}`.",
                hint="Set a smaller `[edgecli.generation] context` or fewer `slots`.",
                code="out_of_memory",
            )
        self.cells: int = self._lib.llama_n_ctx(self._handle)
        self._memory: Any = self._lib.llama_get_memory(self._handle)

    @property
    def handle(self) -> Any:
        """What samplers take."""
        return self._handle

    def decode(self) -> Logits | None:
        """Run the batch; return the logits of its outputs in order, `(outputs, vocabulary)`, valid until the next call.

        None where the KV cache has no room; nothing has changed then. Raises EngineError if llama.cpp fails.
        """
        import numpy as np

        self.batch.struct.n_tokens = self.batch.used
        code = self._lib.llama_decode(self._handle, self.batch.struct)
        if code == _NO_ROOM:
            return None
        if code != 0:
            raise EngineError(
                f"llama.cpp failed to compute a batch of {self.batch.used} tokens (llama_decode gives {code}).",
                hint="If memory is short, set a smaller `[edgecli.generation] context` or `gpu_layers`.",
                code="decode_failed",
            )
        if not self.batch.outputs:
            return np.empty((0, self._vocabulary), dtype=np.float32)
        first = self._lib.llama_get_logits(self._handle)
        return np.ctypeslib.as_array(first, shape=(self.batch.outputs, self._vocabulary))

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        """Let the sequence `target` have the tokens of `source` at positions `start` to `end` - 1: no data moves."""
        self._lib.llama_memory_seq_cp(self._memory, source, target, start, end)

    def forget(self, sequence: int, start: int = 0, end: int = -1) -> None:
        """Take tokens from a sequence; a cell that no sequence has is free."""
        self._lib.llama_memory_seq_rm(self._memory, sequence, start, end)

    def clear(self) -> None:
        """Empty the cache."""
        self._lib.llama_memory_clear(self._memory, True)

    def close(self) -> None:
        """Free the cache."""
        if self._handle:
            self._lib.llama_free(self._handle)
            self._handle = None
