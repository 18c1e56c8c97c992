"""A loaded model: makes prompts of requests and lets the scheduler run them."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgecli.ai.engines.generation import EngineFacts, GenerationRequest
from edgecli.ai.engines.hardware import available_cores, cuda_device_name
from edgecli.ai.engines.llama_cpp.adapters import load_adapter
from edgecli.ai.engines.llama_cpp.answer import AnswerWriter
from edgecli.ai.engines.llama_cpp.batcher import Batcher
from edgecli.ai.engines.llama_cpp.context import LlamaContext
from edgecli.ai.engines.llama_cpp.counters import Counters
from edgecli.ai.engines.llama_cpp.gguf_model import GgufModel
from edgecli.ai.engines.llama_cpp.job import Job, Receive
from edgecli.ai.engines.llama_cpp.options import LoadOptions
from edgecli.ai.engines.llama_cpp.prompt import PromptMaker
from edgecli.ai.engines.llama_cpp.scheduler import Scheduler
from edgecli.errors import EngineError, UsageError

log = logging.getLogger("edgecli.ai")

DEFAULT_CONTEXT = 8192
GPU_BATCH = 512
CPU_BATCH = 256
KEPT_PREFIXES = 16
"""Sequences beside those of the slots: they hold prefixes in the cache that no request uses now."""
MOST_SEQUENCES = 256  # llama.cpp: LLAMA_MAX_SEQ


class LlamaEngine:
    """Generate text from a GGUF file, for many requests at once. Methods may be called from any thread."""

    def __init__(self, options: LoadOptions) -> None:
        """Load the model and start its thread.

        Raises EngineError if the library is missing, the file is damaged, or memory is short.
        """
        self._model = GgufModel(find_gguf(Path(options.path)), gpu_layers=options.gpu_layers)
        lib = self._model.lib
        total = self._model.layers
        wanted = total if options.gpu_layers < 0 else options.gpu_layers
        layers = min(wanted, total) if lib.llama_supports_gpu_offload() else 0
        context = options.context or min(self._model.trained_context, DEFAULT_CONTEXT)
        if context > self._model.trained_context:
            log.warning(
                "%s was trained on %d tokens; a context of %d may give nonsense beyond them.",
                self._model.file.name,
                self._model.trained_context,
                context,
            )
        self._longest = context
        self._batch = max(GPU_BATCH if layers else CPU_BATCH, options.slots)
        self._options = options
        try:
            self.context = self._new_context(
                cells=max(options.cells, context),
                sequences=min(options.slots * 2 + KEPT_PREFIXES, MOST_SEQUENCES),
            )
        except EngineError:
            self._model.close()
            raise
        self._exact_context: LlamaContext | None = None
        self._prompts = PromptMaker(self._model)
        self._counters = Counters()
        shared = Batcher(self._model, self.context, self._counters, slots=options.slots, longest=context, exact=False)
        self._scheduler = Scheduler(shared, self._make_exact, self._counters)
        self._thread = threading.Thread(target=self._scheduler.run, name="edgecli-llama", daemon=True)
        self.facts = EngineFacts(
            engine="llama_cpp",
            device=_device_name() if layers else "cpu",
            gpu_layers=(layers, total),
            context=context,
            cells=self.context.cells,
            slots=options.slots,
            memory=lib.llama_model_size(self._model.handle),
            pid=os.getpid(),
        )

    def _new_context(self, *, cells: int, sequences: int) -> LlamaContext:
        return LlamaContext(
            self._model,
            cells=cells,
            batch=self._batch,
            sequences=sequences,
            threads=self._options.threads or available_cores(),
            kv_type=self._options.kv_type,
        )

    def _make_exact(self) -> Batcher:
        """Make what runs seeded requests: a cache of its own, where a token always lies in the same cell.

        Where tokens lie changes the order of sums, and so the last bits of the logits; with quantised weights that
        moved logits by up to 0.5 here, enough for another answer.
        """
        self._exact_context = self._new_context(cells=self._longest, sequences=1)
        return Batcher(self._model, self._exact_context, self._counters, slots=1, longest=self._longest, exact=True)

    def start(self, after_step: Any = None) -> None:
        """Begin to work; `after_step` is called, in the engine's thread, when the pieces of a step were handed out."""
        if after_step is not None:
            self._scheduler.after_step = after_step
        self._thread.start()

    def prepare(self, request: GenerationRequest, receive: Receive) -> Job:
        """Make a job of a request; `receive` will be given its pieces, in the engine's thread.

        Raises UsageError if the prompt does not fit (code `context_exceeded`) or the model cannot do what is asked.
        """
        tokens = self._prompts.tokens(request)
        if len(tokens) >= self._longest:
            raise context_exceeded(len(tokens), self._longest)
        if (lora := request.lora) is not None:
            self._in_thread(lambda: load_adapter(self._model, lora))
        limit = min(request.max_tokens, self._longest - len(tokens))
        return Job(
            request=replace(request, max_tokens=limit, messages=None, raw_prompt=None),
            tokens=tokens,
            prompt=len(tokens),
            writer=AnswerWriter(request.stop),
            receive=receive,
        )

    def submit(self, job: Job) -> None:
        """Queue a job."""
        self._scheduler.submit(job)

    def cancel(self, job: Job) -> None:
        """End a request before the next step."""
        self._scheduler.cancel(job)

    def count_prompt(self, request: GenerationRequest) -> int:
        """Return the tokens of the prompt as the model sees it, template included."""
        return len(self._prompts.tokens(request))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the length of each text in the model's tokens, as a message's content counts."""
        return [len(self._model.tokenize(text, special=False)) for text in texts]

    def status(self) -> dict[str, Any]:
        """Return what the scheduler says of itself."""
        return self._in_thread(self._scheduler.status)

    def _in_thread(self, work: Any) -> Any:
        """Run something between two steps and return what it returns."""
        done = threading.Event()
        outcome: list[Any] = []

        def run() -> None:
            try:
                outcome.append((work(), None))
            except Exception as error:
                outcome.append((None, error))
            done.set()

        self._scheduler.call(run)
        done.wait()
        value, error = outcome[0]
        if error is not None:
            raise error
        return value

    def close(self) -> None:
        """End what runs and free the model."""
        self._scheduler.stop()
        if self._thread.is_alive():
            self._thread.join()
        for context in (self._exact_context, self.context):
            if context is not None:
                context.close()
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


def find_gguf(path: Path) -> Path:
    """Return the model file below a folder. Raises EngineError, code `model_files_missing`."""
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
