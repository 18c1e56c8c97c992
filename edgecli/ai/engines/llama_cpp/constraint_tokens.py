"""A model's vocabulary as llguidance reads it: the bytes of each token, and which tokens are structure."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgecli.ai.engines.llama_cpp.gguf_model import GgufModel
from edgecli.errors import EngineError

if TYPE_CHECKING:
    from llguidance import LLTokenizer

# llama.h, enum llama_token_attr: tokens that are no text. What a vocabulary's author added as text (user-defined,
# such as Qwen's `<tool_call>`) is text here too: llama.cpp reads and writes it so.
_NO_TEXT = (1 << 0) | (1 << 1) | (1 << 3)  # unknown, unused, control
_STRUCTURE = b"\xff"
"""What llguidance expects before the name of a token of structure; no UTF-8 text has this byte."""
_LONGEST_TOKEN = 1 << 14


def make_tokenizer(model: GgufModel) -> LLTokenizer:
    """Return the model's vocabulary for llguidance: 0.9 s for 49,000 tokens, 3 s for 150,000,
    and for the last half of that no other thread of the process runs.

    Raises EngineError if llguidance cannot be loaded or the vocabulary says nowhere how an answer ends.
    """
    try:
        from llguidance import LLTokenizer, TokenizerWrapper
    except ImportError as error:
        raise EngineError(
            f"Answers of a given form need the package `llguidance`, which cannot be loaded: {error}",
            hint="Install it: `pip install llguidance`.",
            code="library_missing",
        ) from error
    vocabulary = _Vocabulary(model)
    return LLTokenizer(
        TokenizerWrapper(vocabulary),
        n_vocab=model.vocabulary_size,
        eos_token=vocabulary.endings,
        # Prepared answers for what JSON strings allow: without them some masks take milliseconds.
        slices=LLTokenizer.json_slices(),
    )


class _Vocabulary:
    """What `llguidance.TokenizerWrapper` asks for."""

    bos_token_id = None

    def __init__(self, model: GgufModel) -> None:
        self._model = model
        self.endings = [token for token in _all(model) if model.lib.llama_vocab_is_eog(model.vocab, token)]
        structure = [bool(model.lib.llama_vocab_get_attr(model.vocab, token) & _NO_TEXT) for token in _all(model)]
        for token in self.endings:
            structure[token] = True  # Qwen's `</s>` is text by its type, and yet llama.cpp ends the answer there
        self.tokens = _texts(model, structure)
        self.special_token_ids = [token for token in _all(model) if structure[token]]
        if not self.endings:
            raise EngineError(
                f"The vocabulary of `{model.file.name}` has no token that ends an answer.",
                hint="Send the request without `response_format` and tools.",
                code="no_end_token",
            )
        self.eos_token_id = self.endings[0]
        self._by_text = {text: token for token, text in reversed(list(enumerate(self.tokens))) if text}
        self._longest = max(map(len, self.tokens))

    def __call__(self, text: bytes) -> list[int]:
        """Return the tokens of a text as the model has learnt to write it."""
        tokens = self._model.tokenize(text.decode("utf-8", "replace"), special=False)
        # Some vocabularies put a space before each text; then any tokens that spell the text will do.
        if b"".join(self.tokens[token] for token in tokens) == text:
            return tokens
        return self._spell(text)

    def _spell(self, text: bytes) -> list[int]:
        tokens: list[int] = []
        position = 0
        while position < len(text):
            for length in range(min(self._longest, len(text) - position), 0, -1):
                token = self._by_text.get(text[position : position + length])
                if token is not None:
                    tokens.append(token)
                    position += length
                    break
            else:
                break
        return tokens


def _all(model: GgufModel) -> range:
    return range(model.vocabulary_size)


def _texts(model: GgufModel, structure: Sequence[bool]) -> list[bytes]:
    """Return the bytes of each token."""
    read: Any = model.lib.llama_token_to_piece
    buffer = ctypes.create_string_buffer(_LONGEST_TOKEN)
    texts: list[bytes] = []
    for token in _all(model):
        length = read(model.vocab, token, buffer, _LONGEST_TOKEN, 0, True)
        if length < 0:
            raise EngineError(
                f"Token {token} of `{model.file.name}` is longer than {_LONGEST_TOKEN} bytes.", code="token_too_long"
            )
        text = ctypes.string_at(buffer, length)
        texts.append(_STRUCTURE + text if structure[token] else text)
    return texts
