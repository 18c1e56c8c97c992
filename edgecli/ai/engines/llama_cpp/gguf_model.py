"""A GGUF model in memory: its weights, vocabulary and metadata, through llama.cpp's C API."""

from __future__ import annotations

import ctypes
import logging
import os
from collections import deque
from functools import cached_property
from pathlib import Path
from typing import Any

from edgecli.ai.engines.llama_cpp.broken import broken
from edgecli.ai.engines.llama_cpp.gguf_header import GgufHeader, check_tokens, read_header
from edgecli.ai.engines.llama_cpp.sampling import check_samplers
from edgecli.errors import EngineError

log = logging.getLogger("edgecli.llama")
log.addHandler(logging.NullHandler())
log.propagate = False  # its failures are told by the errors that edgecli raises

# llama.cpp: ggml_log_level; what continues a line comes at 5.
_LEVELS = {1: logging.DEBUG, 2: logging.INFO, 3: logging.WARNING, 4: logging.ERROR}
_ERROR = 4
_said: deque[str] = deque(maxlen=20)
_keep: list[Any] = []

# Attributes of a token that stands for structure and not for text (llama.h, enum llama_token_attr).
_UNKNOWN = 1 << 0
_CONTROL = 1 << 3
_USER_DEFINED = 1 << 4


def library() -> Any:
    """Return llama-cpp-python, its messages redirected to the log `edgecli.llama`.

    Raises EngineError if it is not installed, cannot be loaded, or has another API than is used here.
    """
    # Threads that wait by spinning take the core that the thread they wait for needs: with other work on the
    # machine, generation came to a twentieth of its speed. Read once, when the library's OpenMP is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        import llama_cpp
    except (ImportError, OSError, RuntimeError) as error:
        raise EngineError(
            f"Text generation needs the package `llama-cpp-python`, which cannot be loaded: {error}",
            hint="Install it with a C++ compiler at hand: `pip install llama-cpp-python`. "
            "`edgecli doctor` shows the command for a GPU.",
            code="library_missing",
        ) from error
    if not _keep:
        check_samplers(llama_cpp)
        callback = llama_cpp.llama_log_callback(_take_message)
        _keep.append(callback)  # C holds only the address
        llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
    return llama_cpp


def show_messages() -> None:
    """Print llama.cpp's warnings and errors on stderr."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    log.addHandler(handler)
    log.setLevel(logging.WARNING)


def _take_message(level: int, text: bytes, _: Any) -> None:
    line = text.decode("utf-8", "replace").rstrip()
    if not line.strip(". "):
        return
    if level == _ERROR:
        _said.append(line)
    log.log(_LEVELS.get(level, logging.DEBUG), "%s", line)


def last_messages() -> str:
    """Return what llama.cpp complained of last, and forget it."""
    said = "; ".join(_said)
    _said.clear()
    return said


class GgufModel:
    """The weights and vocabulary of one file. Reading the vocabulary is safe from several threads."""

    def __init__(self, file: Path, *, gpu_layers: int, header: GgufHeader | None = None) -> None:
        """Load `file`; `gpu_layers` go to the GPU, all of them if negative. `header` is the file's, if it is read.

        Raises EngineError if the file is no whole GGUF model that this llama.cpp knows.
        """
        self.lib = library()
        self.file = file
        self.gpu_layers = gpu_layers
        self.header = header or read_header(file)  # llama.cpp would end the process over some files
        check_tokens(self.header)
        params = self.lib.llama_model_default_params()
        params.n_gpu_layers = gpu_layers if gpu_layers >= 0 else 0x7FFFFFFF
        _said.clear()
        self.handle: Any = self.lib.llama_model_load_from_file(str(file).encode(), params)
        if not self.handle:
            raise broken(file, last_messages() or "llama.cpp gives no reason")
        self.vocab: Any = self.lib.llama_model_get_vocab(self.handle)
        self.vocabulary_size: int = self.lib.llama_vocab_n_tokens(self.vocab)
        self.trained_context: int = self.lib.llama_model_n_ctx_train(self.handle)
        self.recurrent: bool = self.lib.llama_model_is_recurrent(self.handle) or self.lib.llama_model_is_hybrid(
            self.handle
        )
        """Whether layers keep one state of all that was read (Mamba, LFM2 …), which cannot be cut back to a prefix."""
        self.adapters: dict[str, Any] = {}
        """Handles of the LoRA adapters that were loaded for it, by file."""
        self._pieces: dict[int, bytes] = {}
        self._endings: dict[int, bool] = {}
        self.layers: int = self.lib.llama_model_n_layer(self.handle) + 1  # the output layer counts as one

    @property
    def chat_template(self) -> str | None:
        """The Jinja template of the file, or None."""
        source = self.lib.llama_model_chat_template(self.handle, None)
        return source.decode("utf-8", "replace") if source else None

    def text_of(self, token: int) -> str:
        """Return a token as the vocabulary writes it, special tokens too; no token (-1) is empty."""
        text = self.lib.llama_vocab_get_text(self.vocab, token) if token >= 0 else None
        return text.decode("utf-8", "replace") if text else ""

    @cached_property
    def bos(self) -> str:
        """The token that begins a text, or an empty string."""
        return self.text_of(self.lib.llama_vocab_bos(self.vocab))

    @cached_property
    def eos(self) -> str:
        """The token that ends a text, or an empty string."""
        return self.text_of(self.lib.llama_vocab_eos(self.vocab))

    @cached_property
    def special_texts(self) -> list[str]:
        """The texts that the tokenizer reads as structure, the longest first."""
        texts = {
            self.text_of(token)
            for token in range(self.vocabulary_size)
            if self.lib.llama_vocab_get_attr(self.vocab, token) & (_UNKNOWN | _CONTROL | _USER_DEFINED)
        }
        return sorted((text for text in texts if text.strip()), key=len, reverse=True)

    def tokenize(self, text: str, *, special: bool, begin: bool = False) -> list[int]:
        """Return the tokens of `text`; `special` reads structure in it, `begin` adds the first token."""
        data = text.encode("utf-8", "replace")
        # A token has a byte at least, but for spaces: a vocabulary without its own writes each as three.
        for room in (len(data) + 8, 3 * len(data) + 8):
            tokens = (ctypes.c_int32 * room)()
            count = self.lib.llama_tokenize(self.vocab, data, len(data), tokens, room, begin, special)
            if count >= 0:
                return list(tokens[:count])
        raise EngineError(f"llama.cpp could not tokenize a text of {len(text)} characters.", code="tokenize_failed")

    def piece(self, token: int) -> bytes:
        """Return the bytes of a token; structure has none."""
        known = self._pieces.get(token)
        if known is None:
            known = self._pieces[token] = self._read_piece(token)
        return known

    def _read_piece(self, token: int) -> bytes:
        for room in (64, 4096):
            buffer = ctypes.create_string_buffer(room)
            count = self.lib.llama_token_to_piece(self.vocab, token, buffer, room, 0, False)
            if count >= 0:
                return buffer.raw[:count]
        raise EngineError(f"Token {token} of `{self.file.name}` is longer than 4096 bytes.", code="token_too_long")

    def silent_marks(self, *marks: str) -> dict[int, bytes]:
        """Return those of `marks` that are tokens without a text of their own, by token."""
        found: dict[int, bytes] = {}
        for mark in filter(None, marks):
            tokens = self.tokenize(mark, special=True)
            if len(tokens) == 1 and not self.piece(tokens[0]):
                found[tokens[0]] = mark.encode()
        return found

    def ends(self, token: int) -> bool:
        """Tell whether the model says with `token` that its answer is complete."""
        known = self._endings.get(token)
        if known is None:
            known = self._endings[token] = bool(self.lib.llama_vocab_is_eog(self.vocab, token))
        return known

    def close(self) -> None:
        """Free the weights."""
        if self.handle:
            self.lib.llama_model_free(self.handle)
            self.handle = None
