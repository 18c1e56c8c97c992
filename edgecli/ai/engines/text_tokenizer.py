"""The tokenizer that both embedding engines share, so that their token counts cannot differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgecli.errors import EngineError
from edgecli.models.sentence_files import SentenceFiles, find_onnx, read_sentence_files

if TYPE_CHECKING:
    from pathlib import Path

    from tokenizers import Encoding


class TextTokenizer:
    """Count, locate and encode tokens. Safe to call from several threads."""

    def __init__(self, files: SentenceFiles, *, beside: Path | None = None) -> None:
        """Read `tokenizer.json` from the model's folder, else from the folder `beside` its ONNX graph.

        Raises EngineError if there is none or the library is missing.
        """
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise EngineError(
                "Embedding needs the package `tokenizers`.",
                hint="Install it: `pip install tokenizers`.",
                code="library_missing",
            ) from error
        candidates = [files.folder / "tokenizer.json", *([beside / "tokenizer.json"] if beside else [])]
        source = next((file for file in candidates if file.exists()), None)
        if source is None:
            raise EngineError(
                f"The model in `{files.folder}` has no `tokenizer.json`.",
                hint="Pull the model again; the conversion writes one.",
                code="model_files_missing",
            )
        self._tokenizer = Tokenizer.from_file(str(source))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._lowercase = files.lowercase
        self.max_tokens: int = files.max_sequence - self._tokenizer.num_special_tokens_to_add(False)

    def _clean(self, text: str) -> str:
        # A lone surrogate (from a broken file name or JSON escape) has no UTF-8 form and would raise.
        text = text.encode("utf-8", "replace").decode("utf-8")
        return text.lower() if self._lowercase else text

    def encode(self, texts: Sequence[str]) -> list[Encoding]:
        """Return the tokens that the model sees: cut to its length, special tokens added."""
        encodings = self._tokenizer.encode_batch_fast([self._clean(text) for text in texts], add_special_tokens=False)
        for encoding in encodings:
            encoding.truncate(self.max_tokens)
        return [self._tokenizer.post_process(encoding) for encoding in encodings]

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, without special tokens and uncut."""
        cleaned = [self._clean(text) for text in texts]
        return [len(encoding) for encoding in self._tokenizer.encode_batch_fast(cleaned, add_special_tokens=False)]

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Return the span in characters of each token, without special tokens and uncut."""
        cleaned = self._clean(text)
        if len(cleaned) != len(text):  # lowering `İ` gives two characters: positions must stay those of `text`
            cleaned = text.encode("utf-8", "replace").decode("utf-8")
        return self._tokenizer.encode(cleaned, add_special_tokens=False).offsets


def read_tokenizer(path: Path) -> TextTokenizer:
    """Return the tokenizer of the model below `path`. Raises EngineError."""
    graph = find_onnx(path)
    return TextTokenizer(read_sentence_files(path), beside=graph.parent if graph else None)
