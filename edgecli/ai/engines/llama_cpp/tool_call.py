"""Read one call of a tool while it is written: `{"name": …, "arguments": {…}}`."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, Literal

from edgecli.ai.engines.llama_cpp.json_text import JsonText

_NAMES = ("name", "function")
_ARGUMENTS = ("arguments", "parameters")


class CallReader:
    """Takes the characters of a call; gives its name and then its arguments, as they come.

    `name` is None until it is known. A call whose tool nobody offers, or whose arguments are no object, is `broken`.
    """

    def __init__(self, names: Collection[str]) -> None:
        self._names = names
        self._json = JsonText()
        self._key = ""
        self._value = ""  # what came of the member that is being read
        self._part: Literal["key", "value", ""] = ""
        self._arguments: JsonText | None = None  # the arguments, where they are an object
        self._whole = False  # whether the arguments are complete
        self._pending = ""  # arguments that were not given out yet
        self.name: str | None = None
        self.broken = False

    @property
    def done(self) -> bool:
        """Whether the call is whole."""
        return self._json.done and not self.broken

    @property
    def begun(self) -> bool:
        """Whether something can be given out: the name is known, and the arguments have begun."""
        return self.name is not None and (self._arguments is not None or self._whole)

    def take(self, character: str) -> bool:
        """Read one character; return False if it makes no call."""
        state, depth = self._json.state, self._json.depth
        if not self._json.take(character) or (depth == 0 and character != "{" and not character.isspace()):
            self.broken = True
            return False
        now = self._json.state
        if self._part == "value" and depth == 1 and state == "number" and now != "number":
            self._end_value()  # this character is already behind it
        if self._part == "key":
            self._value += character
            if now == "colon":
                self._key, self._part = json.loads(self._value), ""
        elif self._part == "value":
            self._go_on(character)
            if self._json.depth == 1 and now == "next":
                self._end_value()
        elif depth == 1 and self._json.in_key:
            self._part, self._value = "key", character
        elif depth == 1 and state == "value" and now != "value":
            self._begin_value(character)
        return not self.broken

    def _begin_value(self, character: str) -> None:
        self._part, self._value = "value", ""
        if self._key in _ARGUMENTS and character == "{" and self._arguments is None and not self._whole:
            self._arguments = JsonText()
        self._go_on(character)

    def _go_on(self, character: str) -> None:
        if self._arguments is None or self._whole:
            self._value += character
            return
        self._arguments.take(character)
        self._pending += character

    def _end_value(self) -> None:
        self._part = ""
        if self._arguments is not None and not self._whole:
            self._whole = True
        elif self._key in _NAMES and self._value.startswith('"'):
            self.name = json.loads(self._value)
            self.broken = self.name not in self._names
        elif self._key in _ARGUMENTS and not self._whole:
            self._take_other_arguments()

    def _take_other_arguments(self) -> None:
        """Some models write the object into a string, or null where they have none."""
        value: Any = None
        if self._value.startswith('"'):
            text = json.loads(self._value)
            try:
                value = json.loads(text, parse_constant=_refuse) if text.strip() else None
            except (ValueError, RecursionError):
                self.broken = True
        elif self._value != "null":
            self.broken = True
        if value is not None and not isinstance(value, dict):
            self.broken = True
        if not self.broken:
            self._pending += json.dumps(value or {}, ensure_ascii=False)
            self._whole = True

    def arguments(self) -> str:
        """Return the arguments that have come since the last time."""
        pending, self._pending = self._pending, ""
        return pending

    def ending(self) -> str:
        """Return what makes the arguments whole that have been given out."""
        if self._whole:
            return ""
        return self._arguments.ending() if self._arguments is not None else "{}"


class ArgumentsReader:
    """The same for arguments alone, of a tool whose name came before them."""

    def __init__(self, name: str) -> None:
        self.name: str | None = name
        self.broken = False
        self._json = JsonText()
        self._pending = ""

    @property
    def done(self) -> bool:
        return self._json.done and not self.broken

    @property
    def begun(self) -> bool:
        return self._json.depth > 0

    def take(self, character: str) -> bool:
        if not self.begun and character != "{":
            self.broken = not character.isspace()
        elif self._json.take(character):
            self._pending += character
        else:
            self.broken = True
        return not self.broken

    def arguments(self) -> str:
        pending, self._pending = self._pending, ""
        return pending

    def ending(self) -> str:
        return self._json.ending()


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
