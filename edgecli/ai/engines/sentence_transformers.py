"""Embeddings with sentence-transformers: the engine for GPUs, and the reference for correctness."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecli.ai.engines.embedding import embed_in_batches
from edgecli.ai.engines.hardware import available_cores
from edgecli.ai.engines.pooling import choose_pooling
from edgecli.ai.engines.text_tokenizer import TextTokenizer
from edgecli.errors import EngineError
from edgecli.models.sentence_files import read_sentence_files

if TYPE_CHECKING:
    from edgecli.ai.engines.embedding import Vectors


class SentenceTransformersEmbedding:
    """Run a sentence-transformers model with torch."""

    name = "sentence_transformers"

    def __init__(
        self,
        path: Path,
        *,
        pooling: str | None = None,
        device: str = "auto",
        threads: int | None = None,
        batch_tokens: int = 16384,
    ) -> None:
        """Load the model below `path` on `device`: torch's name of one, or `auto` (CUDA, else mps, else cpu).

        Raises EngineError if the library is missing or the model cannot be loaded.
        """
        self._files = read_sentence_files(path)
        sentence_transformers, torch = _libraries()
        chosen = _choose_device(torch, device)
        if chosen == "cpu":
            torch.set_num_threads(threads or available_cores())
        try:
            self._model: Any = sentence_transformers.SentenceTransformer(
                str(self._files.folder), device=chosen, local_files_only=True
            )
        except Exception as error:  # the library lets its parts' exceptions through
            raise EngineError(
                f"sentence-transformers cannot load the model in `{path}` on `{chosen}`: {error}",
                hint="`edgecli models verify` checks the model's files.",
                code="model_load_failed",
            ) from error
        # Prefixes are the callers' choice; one from the files would go before queries and texts alike.
        self._model.default_prompt_name = None
        self.device = f"{chosen} {torch.cuda.get_device_name(chosen)}" if chosen.startswith("cuda") else chosen
        self._tokenizer = TextTokenizer(self._files, beside=path / "onnx")
        self.pooling = choose_pooling(None, self._files, pooling)
        self._batch_tokens = batch_tokens
        self._variants: dict[str, Any] = {}
        self.max_tokens = self._tokenizer.max_tokens
        self.dimensions = int(self._model.get_embedding_dimension() or self._files.dimensions)

    def embed(self, texts: Sequence[str], *, pooling: str | None = None) -> Vectors:
        """Return one vector a text, `(n, dimensions)` float32."""
        model = self._variant(choose_pooling(pooling, self._files, self.pooling))

        def measure(slab: Sequence[str]) -> tuple[list[int], Callable[[list[int]], Vectors]]:
            cleaned = [text.encode("utf-8", "replace").decode("utf-8") for text in slab]
            lengths = [min(count, self.max_tokens) + 2 for count in self._tokenizer.count_tokens(cleaned)]
            return lengths, lambda batch: model.encode(
                [cleaned[index] for index in batch],
                batch_size=len(batch),
                convert_to_numpy=True,
                show_progress_bar=False,
            )

        return embed_in_batches(texts, dimensions=self.dimensions, budget=self._batch_tokens, measure=measure)

    def _variant(self, mode: str) -> Any:
        """Return the model with another pooling, sharing the network and the modules that come after."""
        if mode == self._files.pooling:
            return self._model
        if mode not in self._variants:
            import sentence_transformers

            modules = list(self._model)
            # The class has moved between releases of the library; the model knows where it is.
            position = next(i for i, module in enumerate(modules) if type(module).__name__ == "Pooling")
            modules[position] = type(modules[position])(self._files.dimensions, pooling_mode=mode)
            self._variants[mode] = sentence_transformers.SentenceTransformer(
                modules=modules, device=str(self._model.device)
            )
        return self._variants[mode]

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the real length of each text in tokens, without special tokens and uncut."""
        return self._tokenizer.count_tokens(texts)

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Return the span in characters of each token, without special tokens and uncut."""
        return self._tokenizer.offsets(text)

    def close(self) -> None:
        """Free the model."""
        self._variants.clear()
        del self._model


def _libraries() -> tuple[Any, Any]:
    try:
        import sentence_transformers
        import torch
        import transformers
    except ImportError as error:
        raise EngineError(
            f"The sentence-transformers engine needs a package that is missing: {error.name}.",
            hint="Install it: `pip install sentence-transformers`.",
            code="library_missing",
        ) from error
    # Its bar of loaded weights would stand between the user's own lines.
    transformers.logging.disable_progress_bar()
    return sentence_transformers, torch


def _choose_device(torch: Any, wanted: str) -> str:
    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "cuda:0"
    return "mps" if torch.backends.mps.is_available() else "cpu"
