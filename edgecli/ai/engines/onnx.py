"""Embeddings on ONNX Runtime: the CPU engine, ready in tenths of a second because torch is never imported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecli.ai.engines.embedding import embed_in_batches
from edgecli.ai.engines.hardware import available_cores
from edgecli.ai.engines.pooling import choose_pooling, normalise, pool
from edgecli.ai.engines.text_tokenizer import TextTokenizer
from edgecli.errors import EngineError
from edgecli.models.sentence_files import find_onnx, read_sentence_files

if TYPE_CHECKING:
    from edgecli.ai.engines.embedding import Vectors

_OTHER_ENGINE = 'set `[edgecli.embeddings] engine = "sentence_transformers"`'
CPU_BATCH_TOKENS = 1024
"""Above this a batch outgrows the processor's caches: 16,384 tokens take up to twice the time a text."""


class OnnxEmbedding:
    """Run the exported transformer of a sentence-transformers model."""

    name = "onnx"
    device = "cpu"

    def __init__(
        self, path: Path, *, pooling: str | None = None, threads: int | None = None, batch_tokens: int = 4096
    ) -> None:
        """Load the model below `path`; `pooling` is the default where its files state none.

        Raises EngineError if onnxruntime, the graph or the tokenizer is missing, or a module has no ONNX
        form.
        """
        self._files = read_sentence_files(path)
        if self._files.other_modules:
            raise EngineError(
                f"The model in `{path}` has modules that run only in sentence-transformers: "
                f"{', '.join(self._files.other_modules)}.",
                hint=f"Then {_OTHER_ENGINE}.",
                code="module_unsupported",
            )
        graph = find_onnx(path)
        if graph is None:
            raise EngineError(
                f"The model in `{path}` has no ONNX graph (`model.onnx`).",
                hint=f"Pull it again with `edgecli models pull`, or {_OTHER_ENGINE}.",
                code="onnx_missing",
            )
        self._session = _session(graph, threads or available_cores())
        self._inputs = {node.name for node in self._session.get_inputs()}
        self._tokenizer = TextTokenizer(self._files, beside=graph.parent)
        self.pooling = choose_pooling(None, self._files, pooling)
        self._batch_tokens = min(batch_tokens, CPU_BATCH_TOKENS)
        self.dimensions = _width(self._session) or self._files.dimensions
        self.max_tokens = self._tokenizer.max_tokens

    def embed(self, texts: Sequence[str], *, pooling: str | None = None) -> Vectors:
        """Return one vector a text, `(n, dimensions)` float32."""
        mode = choose_pooling(pooling, self._files, self.pooling)

        def measure(slab: Sequence[str]) -> tuple[list[int], Callable[[list[int]], Vectors]]:
            encodings = self._tokenizer.encode(slab)
            return [len(item) for item in encodings], lambda batch: self._run([encodings[i] for i in batch], mode)

        return embed_in_batches(texts, dimensions=self.dimensions, budget=self._batch_tokens, measure=measure)

    def _run(self, encodings: Sequence[Any], mode: str) -> Vectors:
        import numpy as np

        # A text of no token at all still needs one (masked) column: a sequence of length 0 has no graph.
        width = max(1, *(len(item) for item in encodings)) if encodings else 1
        ids = np.full((len(encodings), width), self._files.pad_id, dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, item in enumerate(encodings):
            ids[row, : len(item)] = item.ids
            mask[row, : len(item)] = 1
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        if "position_ids" in self._inputs:
            feed["position_ids"] = np.broadcast_to(np.arange(width, dtype=np.int64), ids.shape).copy()
        hidden: Any = self._session.run(None, {name: feed[name] for name in self._inputs})[0]
        vectors = pool(hidden, mask, mode)
        return normalise(vectors) if self._files.normalise else vectors

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the real length of each text in tokens, without special tokens and uncut."""
        return self._tokenizer.count_tokens(texts)

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Return the span in characters of each token, without special tokens and uncut."""
        return self._tokenizer.offsets(text)

    def close(self) -> None:
        """Free the session."""
        del self._session


def _session(graph: Path, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise EngineError(
            "The ONNX engine needs the package `onnxruntime`.",
            hint=f"Install it (`pip install onnxruntime`), or {_OTHER_ENGINE}.",
            code="library_missing",
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Idle threads that spin would take the cores from llama.cpp and the server between two calls.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no public base class
        raise EngineError(
            f"ONNX Runtime {onnxruntime.__version__} cannot load `{graph}`: {error}",
            hint="`edgecli models verify` checks the file; `edgecli models remove` and `pull` write it anew.",
            code="model_files_damaged",
        ) from error


def _width(session: Any) -> int | None:
    last = session.get_outputs()[0].shape[-1]
    return last if isinstance(last, int) else None
