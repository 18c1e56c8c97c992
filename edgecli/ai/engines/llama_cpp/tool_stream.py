"""Find calls of tools in generated text, as it comes."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Literal

from edgecli.ai.engines.generation import Tool, ToolCallPart
from edgecli.ai.engines.llama_cpp.tool_call import ArgumentsReader, CallReader
from edgecli.ai.engines.llama_cpp.tool_formats import ToolFormat

Place = Literal["lead", "text", "opened", "call", "behind"]


class ToolStream:
    """Divides an answer into text and calls.

    Text is given out once it is certain that it belongs to no call; a call's arguments from the moment that its name
    is known. What looks like a call and is none is text. Whitespace around calls belongs to them.
    """

    def __init__(self, form: ToolFormat, tools: Sequence[Tool]) -> None:
        self._form = form
        self._names = {tool.name for tool in tools}
        self._place: Place = "lead" if form.leading else "text"
        self._rest = ""  # not looked at yet
        self._raw = ""  # what has been taken for a call, to be given back if it is none
        self._listed = False
        self._closed = False  # whether the closing of the last call has come
        self._call: CallReader | ArgumentsReader = CallReader(self._names)
        self._begun = False  # whether a part of this call was given out
        self._text = ""
        self._parts: list[ToolCallPart] = []
        self.calls = 0
        """How many calls have begun."""
        self.cut = False
        """Whether the last call broke off, and edgecli completed its JSON: what it asks for is not known."""

    def feed(self, text: str) -> tuple[str, Sequence[ToolCallPart]]:
        """Take a piece of the answer; return the text and the parts of calls that are now certain."""
        self._rest += text
        while self._step():
            pass
        self._give_arguments()
        return self._out()

    def finish(self) -> tuple[str, Sequence[ToolCallPart]]:
        """Return what was held back. A call that has begun gets its end, so that its arguments are JSON."""
        if self._place == "call" and self._begun:
            self._complete()
        elif not self._half_call():
            self._text += self._raw + self._rest
        self._rest = self._raw = ""
        self._place = "text"
        return self._out()

    def _half_call(self) -> bool:
        """Whether what is left is the beginning of one more call, cut off by the end of the answer before its name."""
        if self._place == "text":
            left = self._rest.strip()
            return bool(self.calls and left) and self._form.opening.startswith(left)
        return self._place == "behind" or (self.calls > 0 and self._place != "lead")

    def _out(self) -> tuple[str, Sequence[ToolCallPart]]:
        text, parts = self._text, self._parts
        self._text, self._parts = "", []
        return text, parts

    def _step(self) -> bool:
        """Go on by one place; return False if more text is needed."""
        if not self._rest:
            return False
        if self._place == "lead":
            return self._step_lead()
        if self._place == "text":
            return self._step_text()
        if self._place == "opened":
            return self._step_opened()
        return self._step_call() if self._place == "call" else self._step_behind()

    def _step_lead(self) -> bool:
        """The beginning of an answer, where a model may write a call without an opening."""
        begun = self._rest.lstrip()
        if not begun:
            return False
        self._raw = ""
        self._place = "opened" if begun[0] == "{" else "text"
        return True

    def _step_text(self) -> bool:
        at = self._rest.find(self._form.opening)
        if at >= 0:
            self._text += self._rest[:at].rstrip()
            self._raw = self._rest[len(self._rest[:at].rstrip()) : at + len(self._form.opening)]
            self._rest = self._rest[at + len(self._form.opening) :]
            self._place, self._listed = "opened", False
            return True
        kept = self._held(self._form.opening)
        self._text += self._rest[: len(self._rest) - kept]
        self._rest = self._rest[len(self._rest) - kept :]
        return False

    def _held(self, mark: str) -> int:
        """Return the length of the end of the rest that a mark may begin with, and of the whitespace before it."""
        mine = next((n for n in range(min(len(mark) - 1, len(self._rest)), 0, -1) if self._rest.endswith(mark[:n])), 0)
        before = self._rest[: len(self._rest) - mine]
        return len(self._rest) - len(before.rstrip())

    def _step_opened(self) -> bool:
        """Behind an opening, or between two calls of a list."""
        if self._form.named:
            return self._step_name()
        character, self._rest = self._rest[0], self._rest[1:]
        if character == "{":
            self._rest = character + self._rest
            self._place, self._call, self._begun = "call", CallReader(self._names), False
            return True
        self._raw += character
        if character == "[" and self._form.listed and not self._listed:
            self._listed = True
        elif not character.isspace():
            self._give_back()
        return True

    def _step_name(self) -> bool:
        begun = self._rest.lstrip()
        for name in self._names:
            head = name + self._form.named
            if begun.startswith(head):
                taken = len(self._rest) - len(begun) + len(head)
                self._raw += self._rest[:taken]
                self._rest = self._rest[taken:]
                self._place, self._call, self._begun = "call", ArgumentsReader(name), False
                return True
        if not any((name + self._form.named).startswith(begun) for name in self._names):
            self._give_back()
            return True
        return False

    def _step_call(self) -> bool:
        for number, character in enumerate(self._rest):
            if not self._call.take(character):
                self._rest = self._rest[number:]
                self._break_off()
                return True
            self._raw += character
            if self._call.done:
                self._rest = self._rest[number + 1 :]
                self._end_call()
                return True
        self._rest = ""
        return False

    def _end_call(self) -> None:
        if self._call.name is None:
            self._give_back()
            return
        self._begin()
        self._add(self._call.arguments() + self._call.ending())
        self._place, self._raw, self._closed = "behind", "", False

    def _break_off(self) -> None:
        """What was taken for a call cannot be one."""
        if self._begun:
            self._complete()
            self._place, self._raw = "text", ""
        else:
            self._give_back()

    def _complete(self) -> None:
        ending = self._call.ending()
        self._add(self._call.arguments() + ending)
        self.cut = bool(ending)

    def _give_back(self) -> None:
        self._text += self._raw
        self._raw = ""
        self._place = "text"

    def _step_behind(self) -> bool:
        """Behind a call: its closing, the next of a list, or other text."""
        begun = self._rest.lstrip()
        if not begun:
            return False
        closing = "]" if self._listed else self._form.closing
        between = "," if self._listed else ";" if self._form.leading else ""
        if not self._closed and between and begun[0] == between:
            self._rest, self._place = begun[1:], "opened"
        elif not self._closed and closing and begun.startswith(closing):
            self._rest, self._closed = begun[len(closing) :], True
        elif not self._closed and closing.startswith(begun):
            return False
        else:
            self._place = "text"
        return True

    def _give_arguments(self) -> None:
        if self._place == "call" and self._call.begun:
            self._begin()
            self._add(self._call.arguments())

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self.calls += 1
            identity = f"call_{secrets.token_hex(12)}"
            self._parts.append(ToolCallPart(self.calls - 1, identity, self._call.name))

    def _add(self, arguments: str) -> None:
        if arguments:
            self._parts.append(ToolCallPart(self.calls - 1, arguments=arguments))
