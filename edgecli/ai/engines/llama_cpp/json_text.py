"""Read JSON as it is being written, character by character."""

from __future__ import annotations

import re
from typing import Literal

_SPACE = " \t\n\r"
_ESCAPES = '"\\/bfnrt'
_HEX = "0123456789abcdefABCDEF"
_LITERALS = ("true", "false", "null")
_PART_OF_NUMBER = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*|(?:\.[0-9]+)?[eE][+-]?[0-9]*)?)?")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")

State = Literal["value", "first value", "first key", "key", "colon", "next", "string", "literal", "number", "done"]


class JsonText:
    """Follows one JSON value (RFC 8259) and knows at each place how it could end."""

    def __init__(self) -> None:
        self.state: State = "value"
        self.broken = False
        """Whether what came is no beginning of JSON; nothing more is read then."""
        self._open: list[str] = []  # the brackets that will close what is open
        self._key = False  # whether the string is a name
        self._escape: str | None = None  # what came of an escape, its backslash left out
        self._word = ""  # what came of a number or literal

    @property
    def done(self) -> bool:
        """Whether the value is whole. A number alone is never known to be."""
        return self.state == "done" and not self.broken

    @property
    def depth(self) -> int:
        """How many objects and arrays are open."""
        return len(self._open)

    @property
    def in_key(self) -> bool:
        """Whether a name of an object is being read."""
        return self.state == "string" and self._key

    def take(self, character: str) -> bool:
        """Read one character; return False if JSON cannot go on with it."""
        if not self.broken:
            self.broken = not self._take(character)
        return not self.broken

    def ending(self) -> str:
        """Return the shortest text that makes what has been read a whole value."""
        if self.broken:
            return ""
        ends = {"value": "null", "key": '"": null', "colon": ": null", "string": self._string_ending()}
        text = ends.get(self.state, "")
        if self.state == "literal":
            text = next(word for word in _LITERALS if word.startswith(self._word))[len(self._word) :]
        elif self.state == "number" and not _NUMBER.fullmatch(self._word):
            text = "0"
        return text + "".join(reversed(self._open))

    def _string_ending(self) -> str:
        if self._escape is None:
            rest = ""
        elif self._escape == "":
            rest = "\\"
        else:
            rest = "0" * (5 - len(self._escape))
        return rest + ('": null' if self._key else '"')

    def _take(self, character: str) -> bool:
        if self.state == "string":
            return self._take_in_string(character)
        if self.state == "number":
            if _PART_OF_NUMBER.fullmatch(self._word + character):
                self._word += character
                return True
            if not _NUMBER.fullmatch(self._word):
                return False
            self._end_value()
        elif self.state == "literal":
            self._word += character
            if self._word in _LITERALS:
                self._end_value()
                return True
            return any(word.startswith(self._word) for word in _LITERALS)
        if character in _SPACE:
            return True
        return self._take_sign(character)

    def _take_sign(self, character: str) -> bool:
        state = self.state
        if state in ("value", "first value"):
            return (state == "first value" and self._close(character)) or self._begin_value(character)
        if state in ("key", "first key"):
            if state == "first key" and self._close(character):
                return True
            self._begin_string(key=True)
            return character == '"'
        if state == "colon":
            self.state = "value"
            return character == ":"
        if state == "next":
            if character == ",":
                self.state = "key" if self._open[-1] == "}" else "value"
                return True
            return self._close(character)
        return False

    def _take_in_string(self, character: str) -> bool:
        if self._escape is not None:
            return self._take_escape(character)
        if character == "\\":
            self._escape = ""
        elif character == '"':
            if self._key:
                self.state = "colon"
            else:
                self._end_value()
        return character >= " "

    def _take_escape(self, character: str) -> bool:
        if self._escape == "":
            self._escape = "u" if character == "u" else None
            return character == "u" or character in _ESCAPES
        self._escape = f"{self._escape}{character}"
        if len(self._escape) == 5:
            self._escape = None
        return character in _HEX

    def _begin_value(self, character: str) -> bool:
        if character in "{[":
            self._open.append("}" if character == "{" else "]")
            self.state = "first key" if character == "{" else "first value"
        elif character == '"':
            self._begin_string(key=False)
        elif character in "-0123456789":
            self.state, self._word = "number", character
        else:
            self.state, self._word = "literal", character
            return character in "tfn"
        return True

    def _begin_string(self, *, key: bool) -> None:
        self.state, self._key, self._escape = "string", key, None

    def _end_value(self) -> None:
        self.state = "next" if self._open else "done"

    def _close(self, character: str) -> bool:
        if character != self._open[-1]:
            return False
        self._open.pop()
        self._end_value()
        return True
