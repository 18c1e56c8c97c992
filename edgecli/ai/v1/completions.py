"""`completions`: OpenAI's older API, which continues a text without a chat template."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from edgecli.ai.engines.generation import GenerationRequest, Piece, TokenLogprob, Usage
from edgecli.ai.tasks.answer import Answer, merged, notes, total
from edgecli.ai.tasks.chat_completion import IMPOSSIBLE, Head
from edgecli.ai.tasks.text_generation import ChatCompletionsInput, Whole
from edgecli.ai.tasks.text_request import Defaults, to_requests
from edgecli.ai.tasks.validation import bad_input, listed, parse
from edgecli.ai.v1.sampling import ModelId, Seed

KIND = "text_completion"
MAX_ANSWERS = 128
"""To all prompts of a request together."""
REFUSED = {
    "messages": "`completions` takes a `prompt`, `chat/completions` takes messages",
    "tools": "only `chat/completions` has them",
    "suffix": "the model continues a text, it does not fill gaps",
}


class CompletionInput(ChatCompletionsInput):
    """The body of a request: the fields of `chat/completions` that have a meaning without a conversation."""

    model: ModelId
    prompt: Annotated[  # pyright: ignore[reportGeneralTypeIssues, reportIncompatibleVariableOverride]
        list[Annotated[str, Field(min_length=1)]],
        BeforeValidator(listed),
        Field(min_length=1, max_length=MAX_ANSWERS),
    ]
    """One text or several, which are answered at once."""
    top_p: float | None = Field(default=None, ge=0, le=1)
    repetition_penalty: float | None = Field(default=None, gt=0, le=2)
    seed: Seed | None = None
    logprobs: Annotated[int, Whole, Field(ge=0, le=20)] | None = None  # pyright: ignore[reportGeneralTypeIssues, reportIncompatibleVariableOverride]
    echo: bool = False
    best_of: int | None = None

    @property
    def alternatives(self) -> int | None:
        return self.logprobs


@dataclass(frozen=True, slots=True)
class CompletionCall:
    """A request that has been read."""

    model: str
    requests: list[GenerationRequest]
    """One a choice: the `n` answers to the first prompt, then those to the second."""
    n: int
    stream: bool
    echo: bool
    include_usage: bool


def read_input(body: Mapping[str, Any], defaults: Defaults) -> CompletionCall:
    """Return the checked request. Raises UsageError, cf_code 5006, naming the field and its value."""
    for name, reason in REFUSED.items():
        if body.get(name):
            raise bad_input(f"'/{name}' is not taken: {reason}", hint=f"Leave `{name}` out.")
    _refuse_tokens(body.get("prompt"))
    checked = parse(CompletionInput, body)
    if checked.best_of not in {None, checked.n}:
        raise bad_input(f"'/best_of' is {checked.best_of}: all `n` answers are given, none is chosen among more")
    if checked.echo and checked.logprobs is not None:
        raise bad_input("'/echo' with '/logprobs': the prompt's own tokens are not measured")
    if (count := len(checked.prompt) * checked.n) > MAX_ANSWERS:
        raise bad_input(f"'/prompt' and '/n' ask for {count} answers; {MAX_ANSWERS} is the most at once")
    requests = [
        request
        for prompt in checked.prompt
        for request in to_requests(checked.model_copy(update={"prompt": prompt, "raw": True}), defaults)
    ]
    return CompletionCall(
        model=checked.model,
        requests=requests,
        n=checked.n,
        stream=checked.stream,
        echo=checked.echo,
        include_usage=checked.streamed_usage,
    )


def _refuse_tokens(prompt: Any) -> None:
    if isinstance(prompt, list) and prompt and isinstance(prompt[0], int | list):
        raise bad_input(
            "'/prompt' holds token ids: those of one model mean nothing to another, and edgecli takes text only",
            hint="Send the text itself.",
        )


def whole(head: Head, call: CompletionCall, answers: Sequence[Answer]) -> dict[str, Any]:
    """Return the `text_completion` object of finished answers."""
    choices = [
        {
            "index": index,
            "text": _before(call, index) + answer.text,
            "logprobs": None if call.requests[index].logprobs is None else token_logprobs(answer.logprobs),
            "finish_reason": answer.finish_reason,
        }
        for index, answer in enumerate(answers)
    ]
    usage = _total([answer.usage for answer in answers], call.n)
    return head.to_dict(KIND) | {"choices": choices, "usage": usage.to_dict()} | answers[0].notes()


async def stream(
    head: Head, call: CompletionCall, sources: Sequence[AsyncGenerator[Piece]]
) -> AsyncGenerator[dict[str, Any]]:
    """Yield the `text_completion` objects of answers that are being written."""
    usages: dict[int, Usage] = {}
    lengths: dict[int, int] = {}
    empty: dict[str, Any] = {"usage": None} if call.include_usage else {}
    async with aclosing(merged(sources)) as pieces:
        async for index, piece in pieces:
            if piece.usage is not None:
                usages[index] = piece.usage
            first = index not in lengths
            text = (_before(call, index) if first else "") + piece.text
            said = None
            if call.requests[index].logprobs is not None and piece.logprobs:
                said = token_logprobs(piece.logprobs, offset=lengths.get(index, 0))
            lengths[index] = lengths.get(index, 0) + len(piece.text)
            if text or said or piece.finish_reason:
                choice = {"index": index, "text": text, "logprobs": said, "finish_reason": piece.finish_reason}
                extra = notes(piece.cut, piece.warning) if first else {}
                yield head.to_dict(KIND) | {"choices": [choice]} | empty | extra
    if call.include_usage:
        ordered = [usages[index] for index in sorted(usages)]
        yield head.to_dict(KIND) | {"choices": [], "usage": _total(ordered, call.n).to_dict()}


def _before(call: CompletionCall, index: int) -> str:
    return (call.requests[index].raw_prompt or "") if call.echo else ""


def _total(usages: Sequence[Usage], n: int) -> Usage:
    """Return the usage of all answers; each prompt counts once."""
    each = [total(usages[start : start + n]) for start in range(0, len(usages), n)]
    return Usage(
        sum(usage.prompt_tokens for usage in each),
        sum(usage.completion_tokens for usage in each),
        sum(usage.cached_tokens for usage in each),
    )


def token_logprobs(tokens: Sequence[TokenLogprob], *, offset: int = 0) -> dict[str, Any]:
    """Return the `logprobs` of a choice; `offset` is where its text begins in the answer."""
    texts = [token.token.decode(errors="replace") for token in tokens]
    offsets: list[int] = []
    for text in texts:
        offsets.append(offset)
        offset += len(text)
    return {
        "tokens": texts,
        "token_logprobs": [_finite(token.logprob) for token in tokens],
        "top_logprobs": [
            {text.decode(errors="replace"): _finite(logprob) for text, logprob in token.top} for token in tokens
        ],
        "text_offset": offsets,
    }


def _finite(logprob: float) -> float:
    return logprob if math.isfinite(logprob) else IMPOSSIBLE
