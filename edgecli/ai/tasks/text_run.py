"""Run a text generation and answer in the form that the model has on the wire: its own, or chat completions."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from edgecli.ai.engines.generation import GenerationRequest, Piece, Usage
from edgecli.ai.tasks import chat_completion, text_results
from edgecli.ai.tasks.answer import Answer, collect, total
from edgecli.ai.tasks.text_generation import TextGenerationInput, read_input
from edgecli.ai.tasks.text_request import Defaults, to_requests

Generate = Callable[[GenerationRequest], AsyncGenerator[Piece]]


class Outcome(NamedTuple):
    """What a model answered, and what is to be said of how it was asked."""

    result: Any
    messages: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class TextRun:
    """One call of a model on inputs."""

    model: str
    """The id that was asked for."""
    checked: TextGenerationInput
    requests: list[GenerationRequest]
    """One an answer."""
    defaults: Defaults
    usages: dict[int, Usage] = field(default_factory=dict[int, Usage])

    @classmethod
    def read(cls, model: str, inputs: Mapping[str, Any], defaults: Defaults) -> TextRun:
        """Check the inputs. Raises UsageError, cf_code 5006."""
        checked = read_input(inputs, defaults.capabilities)
        return cls(model, checked, to_requests(checked, defaults), defaults)

    @property
    def chats(self) -> bool:
        """Whether the model answers with OpenAI's chat completions."""
        return "chat_completions" in self.defaults.capabilities

    async def whole(self, generate: Generate) -> Outcome:
        """Return the finished answer.

        Raises what the engine raises; EngineError, cf_code 5024, for JSON that was not finished.
        """
        answers = await collect([generate(request) for request in self.requests])
        messages = text_results.messages(answers[0].warning)
        return Outcome(self._completion(answers) if self.chats else self._native(answers[0]), messages)

    def _native(self, answer: Answer) -> Any:
        openai_calls = "openai_tool_calls" in self.defaults.capabilities
        json_mode = self.requests[0].constraint is not None
        return text_results.result(answer, json_mode=json_mode, openai_calls=openai_calls)

    def _completion(self, answers: list[Answer]) -> dict[str, Any]:
        logprobs = self.checked.alternatives is not None
        completion = _in_the_open(chat_completion.whole(self._head(), answers, logprobs=logprobs))
        completion.pop("messages", None)  # a whole answer has an envelope to carry them
        return completion

    def _head(self) -> chat_completion.Head:
        now = time.time()
        return chat_completion.Head(self.model, id=f"id-{int(now * 1000)}", created=int(now))

    async def stream(self, generate: Generate) -> AsyncGenerator[dict[str, Any]]:
        """Yield the events of the answer as it is written; closing the iterator ends the generation."""
        sources = [self._noted(index, generate(request)) for index, request in enumerate(self.requests)]
        if not self.chats:
            events = text_results.stream(sources[0])
        else:
            logprobs, usage = self.checked.alternatives is not None, self.checked.streamed_usage
            events = chat_completion.stream(self._head(), sources, logprobs=logprobs, usage=usage)
        try:
            async for event in events:
                yield _in_the_open(event)
        finally:
            await events.aclose()
        if self.chats:
            yield {"response": "", "usage": total([self.usages[index] for index in sorted(self.usages)]).to_dict()}

    async def _noted(self, index: int, source: AsyncGenerator[Piece]) -> AsyncGenerator[Piece]:
        try:
            async for piece in source:
                if piece.usage is not None:
                    self.usages[index] = piece.usage
                yield piece
        finally:
            await source.aclose()


def _in_the_open(event: dict[str, Any]) -> dict[str, Any]:
    """Put what OpenAI's form keeps under `edge` where Workers AI's own has it."""
    edge = event.pop("edge", None)
    if edge is None:
        return event
    if "truncated" in edge:
        event["truncated"] = edge["truncated"]
    if "warning" in edge:
        event["messages"] = text_results.messages(edge["warning"])
    return event
