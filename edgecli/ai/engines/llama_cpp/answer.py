"""Turn the bytes of generated tokens into pieces of an answer: reasoning, text, calls of tools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from edgecli.ai.engines.generation import FinishReason, Piece, ToolCallPart
from edgecli.ai.engines.llama_cpp.reasoning import ReasoningStream
from edgecli.ai.engines.text_stream import TextStream


class ToolReader(Protocol):
    """Finds calls of tools in generated text: see `tool_stream.py`."""

    def feed(self, text: str) -> tuple[str, Sequence[ToolCallPart]]: ...

    def finish(self) -> tuple[str, Sequence[ToolCallPart]]: ...


class AnswerWriter:
    """Write one answer. Text is given out as soon as no later token can change it."""

    def __init__(
        self, stop: Sequence[str] = (), tools: ToolReader | None = None, reasoning: ReasoningStream | None = None
    ) -> None:
        """`stop` ends the answer wherever it comes, in what the model thinks too."""
        self._stream = TextStream(stop)
        self._tools = tools
        self._reasoning = reasoning
        self._called = False

    @property
    def stopped(self) -> bool:
        """Whether a stop string was met; nothing more comes after it."""
        return self._stream.stopped

    @property
    def stop_sequence(self) -> str | None:
        """The stop string that was met, if one was."""
        return self._stream.met

    def feed(self, token: bytes) -> Piece:
        """Take the bytes of one token; return what is now certain."""
        return self._read(self._stream.feed(token), last=False)

    def finish(self) -> Piece:
        """Return what was held back."""
        return self._read(self._stream.finish(), last=True)

    def _read(self, text: str, *, last: bool) -> Piece:
        thought = ""
        if self._reasoning is not None:
            thought, text = self._reasoning.feed(text)
            if last:
                more, rest = self._reasoning.finish()
                thought, text = thought + more, text + rest
        if self._tools is None:
            return Piece(text, reasoning=thought)
        said, calls = self._tools.feed(text) if text else ("", ())
        if last:
            rest, more_calls = self._tools.finish()
            said, calls = said + rest, (*calls, *more_calls)
        self._called = self._called or bool(calls)
        return Piece(said, tuple(calls), reasoning=thought)

    def reason(self, ending: FinishReason) -> FinishReason:
        """Return why the answer ended, as clients are told: a call of a tool is a reason of its own."""
        return "tool_calls" if self._called and ending == "stop" else ending
