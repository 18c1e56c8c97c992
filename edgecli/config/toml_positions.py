"""Where each key of a TOML text stands. `tomli` gives values only.

The text has already been read by `tomli`, so it is known to be valid: the scanner needs to tell statements,
strings and brackets apart, and nothing more.
"""

from __future__ import annotations

import re

import tomli

from edgecli.config.keypath import KeyPath

_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}' + r"|'''.*?'{3,5}" + r'|"(?:\\.|[^"\\])*"' + r"|'[^']*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}\n#]+")


def toml_positions(text: str) -> dict[KeyPath, int]:
    """Return the offset in `text` at which each table, key and list item starts."""
    return _Scanner(text).scan()


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: dict[KeyPath, int] = {}
        self.tables_in: dict[KeyPath, int] = {}
        """How many `[[name]]` headers each array of tables has had."""

    def scan(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        while self._skip(_BLANK) < len(self.text):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._statement(table)
        return self.found

    def _skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self.text, self.at)
        if match:
            self.at = match.end()
        return self.at

    def _record(self, path: KeyPath, start: int) -> None:
        for length in range(1, len(path) + 1):
            self.found.setdefault(path[:length], start)

    def _header(self) -> KeyPath:
        start = self.at
        is_list = self.text.startswith("[[", start)
        self.at += 2 if is_list else 1
        keys = tuple(self._key())
        self.at += 2 if is_list else 1
        if is_list:
            name = (*self._resolve(keys[:-1]), keys[-1])
            self.tables_in[name] = self.tables_in.get(name, 0) + 1
            path: KeyPath = (*name, self.tables_in[name] - 1)
        else:
            path = self._resolve(keys)
        self._record(path, start)
        return path

    def _resolve(self, path: KeyPath) -> KeyPath:
        """Put the number of its newest table behind each array of tables that `path` passes through."""
        resolved: KeyPath = ()
        for part in path:
            resolved = (*resolved, part)
            if resolved in self.tables_in:
                resolved = (*resolved, self.tables_in[resolved] - 1)
        return resolved

    def _key(self) -> list[str]:
        parts: list[str] = []
        while True:
            self._skip(_SPACE)
            start = self.at
            if self.text[start] in "\"'":
                self._skip(_STRING)
                parts.append(tomli.loads(f"key = {self.text[start : self.at]}")["key"])
            else:
                self._skip(_BARE_KEY)
                parts.append(self.text[start : self.at])
            self._skip(_SPACE)
            if self.text[self.at] != ".":
                return parts
            self.at += 1

    def _statement(self, table: KeyPath) -> None:
        start = self.at
        path = (*table, *self._key())
        self._record(path, start)
        self.at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        opening = self.text[self.at]
        if opening in "\"'":
            self._skip(_STRING)
        elif opening == "[":
            self._list(path)
        elif opening == "{":
            self._inline_table(path)
        else:
            self._skip(_SCALAR)

    def _list(self, path: KeyPath) -> None:
        self.at += 1
        index = 0
        while self.text[self._skip(_BLANK)] != "]":
            if self.text[self.at] == ",":
                self.at += 1
                index += 1
                continue
            self._record((*path, index), self.at)
            self._value((*path, index))
        self.at += 1

    def _inline_table(self, path: KeyPath) -> None:
        self.at += 1
        while self.text[self._skip(_BLANK)] != "}":
            if self.text[self.at] == ",":
                self.at += 1
            else:
                self._statement(path)
        self.at += 1
