"""A loaded model: makes prompts of requests and lets the scheduler run them."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from edgecli.ai.engines.generation import Cut, EngineFacts, GenerationRequest
from edgecli.ai.engines.hardware import cuda_device_name
from edgecli.ai.engines.llama_cpp.adapters import load_adapter
from edgecli.ai.engines.llama_cpp.answer import AnswerWriter
from edgecli.ai.engines.llama_cpp.batcher import Batcher
from edgecli.ai.engines.llama_cpp.context import LlamaContext
from edgecli.ai.engines.llama_cpp.counters import Counters
from edgecli.ai.engines.llama_cpp.forms import Forms
from edgecli.ai.engines.llama_cpp.job import Job, Receive
from edgecli.ai.engines.llama_cpp.loading import load, new_context
from edgecli.ai.engines.llama_cpp.options import LoadOptions
from edgecli.ai.engines.llama_cpp.prompt import Prompt, PromptMaker
from edgecli.ai.engines.llama_cpp.reasoning import ReasoningStream
from edgecli.ai.engines.llama_cpp.scheduler import Scheduler
from edgecli.ai.engines.llama_cpp.tool_grammar import chosen_tools, structure_tokens
from edgecli.ai.engines.llama_cpp.tool_stream import ToolStream
from edgecli.ai.engines.llama_cpp.truncate import MessageCutter, cut_tokens
from edgecli.errors import UsageError


class LlamaEngine:
    """Generate text from a GGUF file, for many requests at once. Methods may be called from any thread."""

    def __init__(self, options: LoadOptions) -> None:
        """Load the model and start its thread.

        Raises EngineError if the library is missing, the file is damaged, or memory is short.
        """
        self._options = options
        loaded = load(options)
        self._model, self.context, fit = loaded.model, loaded.context, loaded.fit
        self._longest = fit.context
        self._fit = fit
        self._exact_context: LlamaContext | None = None
        self._prompts = PromptMaker(self._model)
        self._forms = Forms(self._model, self._prompts.form)
        self._counters = Counters()
        shared = Batcher(
            self._model, self.context, self._counters, slots=options.slots, longest=fit.context, exact=False
        )
        self._scheduler = Scheduler(shared, self._make_exact, self._counters)
        self._thread = threading.Thread(target=self._scheduler.run, name="edgecli-llama", daemon=True)
        # Not before the first request: loading waits for that one, and this takes the interpreter for half a second.
        self._warm = threading.Thread(target=self._forms.warm, name="edgecli-vocabulary", daemon=True)
        self.facts = EngineFacts(
            engine="llama_cpp",
            device=_device_name() if fit.gpu_layers else "cpu",
            gpu_layers=(fit.gpu_layers, fit.total_layers),
            context=fit.context,
            cells=self.context.cells,
            slots=options.slots,
            memory=fit.device_bytes + fit.host_bytes,
            pid=os.getpid(),
            notes=fit.reasons,
        )

    def _make_exact(self) -> Batcher:
        """Make what runs seeded requests: a cache of its own, where a token always lies in the same cell.

        Where tokens lie changes the order of sums, and so the last bits of the logits; with quantised weights that
        moved logits by up to 0.5 here, enough for another answer.
        """
        self._exact_context = new_context(self._model, self._options, cells=self._longest, sequences=1)
        return Batcher(self._model, self._exact_context, self._counters, slots=1, longest=self._longest, exact=True)

    def start(self, after_step: Any = None) -> None:
        """Begin to work; `after_step` is called, in the engine's thread, when the pieces of a step were handed out."""
        if after_step is not None:
            self._scheduler.after_step = after_step
        self._scheduler.when_idle = self._warm.start
        self._thread.start()

    def prepare(self, request: GenerationRequest, receive: Receive) -> Job:
        """Make a job of a request; `receive` will be given its pieces, in the engine's thread.

        Raises UsageError if the prompt does not fit (code `context_exceeded`) or the model cannot do what is asked.
        """
        prompt, cut = self._prompt(request)
        if (lora := request.lora) is not None:
            self._in_thread(lambda: load_adapter(self._model, lora))
        tools = chosen_tools(request.tools, request.tool_choice)
        reader = ToolStream(self._prompts.form, tools) if tools else None
        structure = structure_tokens(self._model, self._prompts.form) if tools else {}
        free = request.raw_prompt is None and request.constraint is None and request.tool_choice in ("auto", "none")
        reasoning = None
        if (marks := self._prompts.marks) is not None and request.split_reasoning and free:
            reasoning = ReasoningStream(marks, inside=prompt.thinks)
            structure |= self._model.silent_marks(marks.opening, marks.closing)
        limit = min(request.max_tokens, self._longest - len(prompt.tokens))
        return Job(
            request=replace(request, max_tokens=limit, messages=None, raw_prompt=None),
            tokens=prompt.tokens,
            prompt=len(prompt.tokens),
            writer=AnswerWriter(request.stop, reader, reasoning),
            receive=receive,
            matcher=self._forms.matcher(request),
            structure=structure,
            cut=cut,
            warning=prompt.warning,
        )

    def _prompt(self, request: GenerationRequest) -> tuple[Prompt, Cut | None]:
        """Return the prompt, and what had to be left out of it."""
        prompt = self._prompts.make(request)
        if not prompt.tokens:
            raise UsageError(
                "AiError: Bad input: Error: the prompt is empty: this model begins a text with no token of its own.",
                hint="Send at least one character.",
                code="prompt_empty",
                cf_code=5006,
            )
        if len(prompt.tokens) < self._longest:
            return prompt, None
        limit = self._longest - max(1, min(request.max_tokens, self._longest // 4))
        if request.truncate is None:
            raise context_exceeded(len(prompt.tokens), self._longest)
        if request.raw_prompt is not None:
            kept = cut_tokens(prompt.tokens, limit, request.truncate)
            return Prompt(kept), Cut(request.truncate, len(prompt.tokens) - len(kept), 0)
        cutter = MessageCutter(
            self.count_prompt,
            lambda text: self._model.tokenize(text, special=False),
            lambda tokens: b"".join(map(self._model.piece, tokens)).decode("utf-8", "ignore"),
        )
        shorter, cut = cutter.cut(request, limit)
        prompt = self._prompts.make(shorter)
        if len(prompt.tokens) >= self._longest:
            raise context_exceeded(len(prompt.tokens), self._longest)
        return prompt, cut

    def submit(self, job: Job) -> None:
        """Queue a job."""
        self._scheduler.submit(job)

    def cancel(self, job: Job) -> None:
        """End a request before the next step."""
        self._scheduler.cancel(job)

    def count_prompt(self, request: GenerationRequest) -> int:
        """Return the tokens of the prompt as the model sees it, template included."""
        return len(self._prompts.make(request).tokens)

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
        for thread in (self._thread, self._warm):
            if thread.is_alive():
                thread.join()
        for context in (self._exact_context, self.context):
            if context is not None:
                context.close()
        self._model.close()


def context_exceeded(prompt: int, context: int) -> UsageError:
    """Return the error for a prompt that does not fit."""
    return UsageError(
        f"AiError: Max context reached {prompt} tokens but model supports only {context}.",
        hint=f'Shorten the prompt to under {context} tokens; have it cut by `truncate: "head"` or `"middle"`, '
        "which `ai/run` and OpenAI's chat completions take; or raise `[edgecli.generation] context` if the model was "
        "trained on more.",
        code="context_exceeded",
        cf_code=3030,
        status=400,
        details={"prompt_tokens": prompt, "context": context},
    )


def _device_name() -> str:
    name = cuda_device_name()
    return f"cuda:0 {name}" if name else "gpu"
