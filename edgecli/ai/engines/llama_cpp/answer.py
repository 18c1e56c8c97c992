"""Turn the bytes of generated tokens into pieces of an answer: text, calls of tools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from edgecli.ai.engines.generation import FinishReason, ToolCallPart
from edgecli.ai.engines.text_stream import TextStream


class ToolReader(Protocol):
    """Finds calls of tools in generated text: see `tool_stream.py`."""

    def feed(self, text: str) -> tuple[str, Sequence[ToolCallPart]]: ...

    def finish(self) -> tuple[str, Sequence[ToolCallPart]]: ...


class AnswerWriter:
    """Write one answer. Text is given out as soon as no later token can change it."""

    def __init__(self, stop: Sequence[str] = (), tools: ToolReader | None = None) -> None:
        self._stream = TextStream(stop)
        self._tools = tools
        self._called = False

    @property
    def stopped(self) -> bool:
        """Whether a stop string was met; nothing more comes after it."""
        return self._stream.stopped

    @property
    def stop_sequence(self) -> str | None:
        """The stop string that was met, if one was."""
        return self._stream.met

    def feed(self, token: bytes) -> tuple[str, Sequence[ToolCallPart]]:
        """Take the bytes of one token; return what is now certain."""
        return self._read(self._stream.feed(token))

    def finish(self) -> tuple[str, Sequence[ToolCallPart]]:
        """Return what was held back."""
        text, calls = self._read(self._stream.finish())
        if self._tools is not None:
            rest, more = self._tools.finish()
            self._called = self._called or bool(more)
            return text + rest, (*calls, *more)
        return text, calls

    def _read(self, text: str) -> tuple[str, Sequence[ToolCallPart]]:
        if self._tools is None or not text:
            return text, ()
        shown, calls = self._tools.feed(text)
        self._called = self._called or bool(calls)
        return shown, calls

    def reason(self, ending: FinishReason) -> FinishReason:
        """Return why the answer ended, as clients are told: a call of a tool is a reason of its own."""
        return "tool_calls" if self._called and ending == "stop" else ending
