"""Text generation with llama.cpp: one request at a time, the last conversation kept in the KV cache."""

from __future__ import annotations

import ctypes
import logging
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from edgecli.ai.engines.generation import GenerationRequest, Piece, Usage
from edgecli.ai.engines.gguf_model import GgufModel
from edgecli.ai.engines.hardware import available_cores, cuda_device_name
from edgecli.ai.engines.prompt import PromptMaker
from edgecli.ai.engines.sampling import Sampler
from edgecli.ai.engines.text_stream import TextStream
from edgecli.errors import EngineError, UsageError

log = logging.getLogger("edgecli.ai")

DEFAULT_CONTEXT = 8192
PROMPT_BATCH = 512
CPU_PROMPT_BATCH = 128
"""A cancelled request is noticed between two batches; on a CPU a batch of 512 takes seconds."""


class LlamaCppGeneration:
    """Generate text from a GGUF file."""

    name = "llama_cpp"

    def __init__(self, path: Path, *, context: int = 0, gpu_layers: int = -1, threads: int | None = None) -> None:
        """Load the `*.gguf` below `path`.

        `context` 0 takes the model's own, at most 8192 tokens; `gpu_layers` -1 puts all that fit on a GPU.
        Raises EngineError if the library is missing or the file is damaged.
        """
        self._model = GgufModel(_find_gguf(path), gpu_layers=gpu_layers)
        self._lib = self._model.lib
        on_gpu = bool(self._lib.llama_supports_gpu_offload())
        total = self._model.layers
        self.gpu_layers = (min(gpu_layers if gpu_layers >= 0 else total, total) if on_gpu else 0, total)
        self.device = _device_name() if self.gpu_layers[0] else "cpu"
        self._batch = PROMPT_BATCH if self.gpu_layers[0] else CPU_PROMPT_BATCH
        wanted = context or min(self._model.trained_context, DEFAULT_CONTEXT)
        if wanted > self._model.trained_context:
            log.warning(
                "%s was trained on %d tokens; a context of %d may give nonsense beyond them.",
                self._model.file.name,
                self._model.trained_context,
                wanted,
            )
        self._context: Any = self._new_context(wanted, threads or available_cores())
        self.context: int = self._lib.llama_n_ctx(self._context)
        self._memory: Any = self._lib.llama_get_memory(self._context)
        self._decoded: list[int] = []
        self._prompts = PromptMaker(self._model)

    def _new_context(self, size: int, threads: int) -> Any:
        params = self._lib.llama_context_default_params()
        params.n_ctx = size
        params.n_batch = params.n_ubatch = min(self._batch, size)
        params.n_threads = params.n_threads_batch = threads
        params.n_seq_max = 1
        params.no_perf = True
        context = self._lib.llama_init_from_model(self._model.handle, params)
        if not context:
            self._model.close()
            raise EngineError(
                f"llama.cpp has no memory for a context of {size} tokens of `{self._model.file.name}`.",
                hint="Set a smaller `[edgecli.generation] context`.",
                code="out_of_memory",
            )
        return context

    def count_prompt(self, request: GenerationRequest) -> int:
        """Return the tokens of the prompt as the model sees it, template included."""
        return len(self._prompts.tokens(request))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the length of each text in the model's tokens, as a message's content counts."""
        return [len(self._model.tokenize(text, special=False)) for text in texts]

    def generate(self, request: GenerationRequest, cancelled: threading.Event) -> Iterator[Piece]:
        """Yield the answer piece by piece; stop within one token once `cancelled` is set.

        Raises UsageError, code `context_exceeded`, before anything runs if the prompt does not fit.
        """
        prompt = self._prompts.tokens(request)
        if len(prompt) >= self.context:
            raise context_exceeded(len(prompt), self.context)
        cached = self._reuse(prompt, exact=request.seed is not None)
        sampler = Sampler(self._lib, request, context=self.context, vocabulary=self._model.vocabulary_size)
        try:
            yield from self._answer(request, prompt, cached, sampler, cancelled)
        finally:
            sampler.close()

    def _answer(
        self,
        request: GenerationRequest,
        prompt: Sequence[int],
        cached: int,
        sampler: Sampler,
        cancelled: threading.Event,
    ) -> Iterator[Piece]:
        stream = TextStream(request.stop)
        budget = min(request.max_tokens, self.context - len(prompt))
        pending = prompt[cached:]
        made, reason = 0, "length"
        while made < budget:
            if not self._decode(pending, cancelled):
                reason = "cancelled"
                break
            token = sampler.draw(self._context)
            if self._model.ends(token):
                reason = "stop"
                break
            made += 1
            if text := stream.feed(self._model.piece(token)):
                yield Piece(text)
            if stream.stopped:
                reason = "stop"
                break
            pending = [token]
        if text := stream.finish():
            yield Piece(text)
        yield Piece("", reason, Usage(len(prompt), made, cached))

    def _reuse(self, prompt: Sequence[int], *, exact: bool) -> int:
        """Keep what the cache shares with `prompt` and return how many tokens that is.

        The last token is always decoded, as its logits begin the answer. `exact` keeps nothing: the same
        tokens decoded in other batches give logits that differ in the last bits, and so another answer.
        """
        shared = 0
        if not exact:
            limit = min(len(self._decoded), len(prompt) - 1)
            while shared < limit and self._decoded[shared] == prompt[shared]:
                shared += 1
        if not (shared and self._lib.llama_memory_seq_rm(self._memory, 0, shared, -1)):
            self._lib.llama_memory_clear(self._memory, True)
            shared = 0
        del self._decoded[shared:]
        return shared

    def _decode(self, tokens: Sequence[int], cancelled: threading.Event) -> bool:
        """Run tokens through the model; return False if `cancelled` was set meanwhile."""
        for start in range(0, len(tokens), self._batch):
            if cancelled.is_set():
                return False
            part = tokens[start : start + self._batch]
            array = (ctypes.c_int32 * len(part))(*part)
            code = self._lib.llama_decode(self._context, self._lib.llama_batch_get_one(array, len(part)))
            if code != 0:
                self._lib.llama_memory_clear(self._memory, True)
                self._decoded.clear()
                raise EngineError(
                    f"llama.cpp failed to run `{self._model.file.name}` (llama_decode gives {code}).",
                    hint="If memory is short, set a smaller `[edgecli.generation] context` or `gpu_layers`.",
                    code="decode_failed",
                )
            self._decoded += part
        return not cancelled.is_set()

    def close(self) -> None:
        """Free the context and the model."""
        if self._context:
            self._lib.llama_free(self._context)
            self._context = None
        self._model.close()


def context_exceeded(prompt: int, context: int) -> UsageError:
    """Return the error for a prompt that does not fit."""
    return UsageError(
        f"AiError: Max context reached {prompt} tokens but model supports only {context}.",
        hint=f"Shorten the prompt to under {context} tokens, or raise `[edgecli.generation] context` "
        "if the model was trained on more.",
        code="context_exceeded",
        cf_code=3030,
        status=400,
        details={"prompt_tokens": prompt, "context": context},
    )


def _find_gguf(path: Path) -> Path:
    # Of a model in parts llama.cpp wants the first and finds the others; a projector is no model of its own.
    found = sorted(
        (file for file in path.rglob("*.gguf") if "mmproj" not in file.name.lower()),
        key=lambda file: (len(file.parts), str(file)),
    )
    if found:
        return found[0]
    raise EngineError(
        f"`{path}` holds no model: there is no `.gguf` file.",
        hint="Pull the model again: `edgecli models pull <id>`.",
        code="model_files_missing",
    )


def _device_name() -> str:
    name = cuda_device_name()
    return f"cuda:0 {name}" if name else "gpu"
