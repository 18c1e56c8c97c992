"""Leave out a part of a prompt that is longer than the context, where the request allows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from edgecli.ai.engines.generation import Cut, GenerationRequest

Strategy = Literal["head", "middle"]
Tokenize = Callable[[str], list[int]]
Detokenize = Callable[[Sequence[int]], str]

_ATTEMPTS = 8
_SLACK = 4
"""Tokens more than are counted: where a text is cut, its tokens change a little."""


def cut_tokens(tokens: Sequence[int], limit: int, strategy: Strategy) -> list[int]:
    """Return at most `limit` tokens: the end, or the beginning and the end; the very first token stays."""
    if len(tokens) <= limit:
        return list(tokens)
    first = 1 if strategy == "head" else max(1, limit // 2)
    return [*tokens[:first], *tokens[len(tokens) - (limit - first) :]]


class MessageCutter:
    """Shorten a conversation: whole messages first, and at last the longest of those that remain."""

    def __init__(self, count: Callable[[GenerationRequest], int], tokenize: Tokenize, detokenize: Detokenize) -> None:
        """`count` returns the tokens of a request's prompt."""
        self._count = count
        self._tokenize = tokenize
        self._detokenize = detokenize

    def cut(self, request: GenerationRequest, limit: int) -> tuple[GenerationRequest, Cut]:
        """Return the request with a conversation of at most `limit` tokens, and what was left out.

        System messages and the last message stay; of the rest `head` drops the oldest first, `middle` those in the
        middle. If that is not enough, texts are shortened in the same way. It may fail for a limit of a few tokens.
        """
        strategy: Strategy = request.truncate or "head"
        before = total = self._count(request)
        messages = list(request.messages or ())
        dropped = 0
        for _ in range(_ATTEMPTS):
            if total <= limit:
                break
            kept = self._drop(messages, total - limit, strategy)
            dropped += len(messages) - len(kept)
            if len(kept) == len(messages):
                kept = self._shorten(messages, total - limit, strategy)
            messages = kept
            request = replace(request, messages=messages)
            total = self._count(request)
        return request, Cut(strategy, before - total, dropped)

    def _drop(self, messages: list[Mapping[str, Any]], over: int, strategy: Strategy) -> list[Mapping[str, Any]]:
        """Leave messages out until about `over` tokens are gone."""
        last = len(messages) - 1
        optional = [number for number, message in enumerate(messages[:last]) if message["role"] != "system"]
        if strategy == "middle":
            middle = (len(optional) - 1) / 2
            optional = [
                optional[place] for place in sorted(range(len(optional)), key=lambda place: abs(place - middle))
            ]
        gone: set[int] = set()
        for number in optional:
            if over <= 0:
                break
            gone.add(number)
            over -= len(self._tokenize(_text(messages[number])))
        return [message for number, message in enumerate(messages) if number not in gone]

    def _shorten(self, messages: list[Mapping[str, Any]], over: int, strategy: Strategy) -> list[Mapping[str, Any]]:
        """Cut the longest text by `over` tokens."""
        longest = max(range(len(messages)), key=lambda number: len(_text(messages[number])))
        tokens = self._tokenize(_text(messages[longest]))
        limit = max(0, len(tokens) - over - _SLACK)
        first = 0 if strategy == "head" else limit // 2
        kept = self._detokenize(tokens[:first]) + self._detokenize(tokens[len(tokens) - (limit - first) :])
        return [
            {**message, "content": kept} if number == longest else message for number, message in enumerate(messages)
        ]


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else ""
