"""What a conversation holds, and the request its next question makes. Nothing here talks to anyone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from edgecli.errors import UsageError

RETRY_TEMPERATURE = 0.6
"""Randomness of a second try where none was chosen: at 0, the default with an index, nothing would change."""


@dataclass(slots=True)
class Turn:
    """A question and what came back."""

    question: str
    answer: str
    model: str | None = None
    index: str | None = None
    stopped: bool = False
    """The user stopped the answer: it is only the beginning of one."""
    sources: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """What was retrieved: `n`, `id`, `file`, `heading`, `score`, `text`."""
    cited: list[int] = field(default_factory=list[int])
    grounded: bool | None = None
    """Whether the answer rests on the sources; None without an index."""
    usage: dict[str, Any] = field(default_factory=dict[str, Any])
    """`prompt_tokens`, `completion_tokens`, `total_tokens`."""


@dataclass(frozen=True, slots=True)
class Request:
    """One POST to the API that answers with a stream."""

    path: str
    body: dict[str, Any]


@dataclass(slots=True)
class Session:
    """A conversation and its settings."""

    model: str
    index: str | None = None
    system: str | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    turns: list[Turn] = field(default_factory=list[Turn])
    forgotten: int = 0
    """How many of the oldest turns are no longer sent, because the context was full."""
    unanswered: str | None = None
    """The last question, while it has no answer."""
    prompt_tokens: int = 0
    """Tokens read in all turns so far, replaced answers included."""
    completion_tokens: int = 0

    def request(self, question: str, *, replaces: bool = False, seed: int | None = None) -> Request:
        """Return the request for the next question; with `replaces`, for the last one once more.

        A `seed` marks a second try, which shall answer differently.
        """
        turns = self._sent(replaces=replaces)
        history = [
            {"role": role, "content": content}
            for turn in turns
            for role, content in (("user", turn.question), ("assistant", turn.answer))
        ]
        options = {
            "max_tokens": self.max_tokens,
            "temperature": RETRY_TEMPERATURE if seed and self.temperature is None else self.temperature,
            "seed": seed,
            "stream": True,
        }
        if self.index is None:
            system = [{"role": "system", "content": self.system}] if self.system else []
            messages = [*system, *history, {"role": "user", "content": question}]
            return Request(
                f"/client/v4/accounts/local/ai/run/{quote(self.model, safe='/@')}",
                _given({"messages": messages, "split_reasoning": True} | options),
            )
        asked = {
            "question": question,
            "index": self.index,
            "top_k": self.top_k,
            "model": self.model,
            "system_prompt": self.system,
            "history": history,
        }
        return Request("/edge/ask", _given(asked | options))

    def _sent(self, *, replaces: bool) -> list[Turn]:
        return self.turns[self.forgotten : len(self.turns) - 1 if replaces else None]

    def record(self, turn: Turn, *, replaces: bool = False) -> None:
        """Add a turn, or put it in the place of the last one."""
        if replaces:
            self.turns.pop()
        self.turns.append(turn)
        self.unanswered = None
        self.prompt_tokens += turn.usage.get("prompt_tokens", 0)
        self.completion_tokens += turn.usage.get("completion_tokens", 0)

    def last_question(self) -> tuple[str, bool]:
        """Return the question to ask again, and whether its answer would replace one.

        Raises UsageError if nothing was asked.
        """
        if self.unanswered is not None:
            return self.unanswered, False
        if not self.turns:
            raise UsageError("There is no question to ask again.", hint="Ask one first.", code="nothing_to_retry")
        return self.turns[-1].question, True

    def clear(self) -> None:
        """Forget the conversation, and keep the settings."""
        self.turns.clear()
        self.forgotten = 0
        self.unanswered = None

    def turns_to_drop(self, *, excess: int, prompt_tokens: int, question: str, replaces: bool = False) -> int:
        """Return how many of the oldest turns, at least one, hold about `excess` of the `prompt_tokens`.

        Zero if no earlier turn is sent at all. A turn's tokens are taken by its share of the characters.
        """
        turns = self._sent(replaces=replaces)
        sizes = [len(turn.question) + len(turn.answer) for turn in turns]
        whole = sum(sizes) + len(question) + len(self.system or "")
        freed = 0.0
        for count, size in enumerate(sizes, start=1):
            freed += prompt_tokens * size / max(whole, 1)
            if freed >= excess:
                return count
        return len(turns)

    def drop_oldest(self, count: int) -> None:
        """Send the oldest `count` turns no more; they stay in the transcript."""
        self.forgotten += count


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
