"""An embedding model in a process of its own, as the server sees it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgecli.ai.engines.embedding import EmbeddingFacts
from edgecli.ai.engines.embedding_loading import EmbeddingOptions
from edgecli.ai.engines.process.parent import ModelProcess
from edgecli.ai.engines.text_tokenizer import TextTokenizer, read_tokenizer

if TYPE_CHECKING:
    from edgecli.ai.engines.embedding import Vectors


class EmbeddingProcess(ModelProcess):
    """Embed with a model that runs in a process of its own. Its methods belong to one event loop."""

    worker = "edgecli.ai.engines.embedding_worker"
    if_it_dies = "set a smaller `[edgecli.embeddings] batch_tokens`"
    facts: EmbeddingFacts
    _path: Path
    _tokens: TextTokenizer | None = None

    @classmethod
    async def start(cls, options: EmbeddingOptions) -> EmbeddingProcess:
        """Start a process and load the model in it. Raises EngineError if it cannot be loaded."""
        self = await cls.spawn(Path(options.path).name)
        self._path = Path(options.path)
        self.facts = EmbeddingFacts(**await self.load(options))
        return self

    async def embed(self, texts: Sequence[str], pooling: str | None) -> Vectors:
        """Return one vector a text, `(n, d)` float32."""
        import numpy as np

        # A lone surrogate has no UTF-8 form, and so none in a frame.
        sent = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        raw = await self.ask({"do": "embed", "texts": sent, "pooling": pooling})
        return np.frombuffer(raw or b"", dtype=np.float32).reshape(len(texts), self.facts.dimensions)

    @property
    def tokens(self) -> TextTokenizer:
        """The tokenizer, in this process: an ingest asks it for each document from its own thread."""
        if self._tokens is None:
            self._tokens = read_tokenizer(self._path)
        return self._tokens
