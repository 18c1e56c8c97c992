"""Reading one configuration file: bytes → values, and the place of each key."""

from __future__ import annotations

import bisect
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from edgecli.config.keypath import KeyPath
from edgecli.errors import ConfigError

MAX_BYTES = 10 * 1024 * 1024
MAX_DEPTH = 64

_BYTE_ORDER_MARKS = (
    (b"\xff\xfe\x00\x00", "UTF-32 LE"),
    (b"\x00\x00\xfe\xff", "UTF-32 BE"),
    (b"\xff\xfe", "UTF-16 LE"),
    (b"\xfe\xff", "UTF-16 BE"),
)
_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_TOML_HINTS = {
    "Cannot overwrite a value": "A key or table is written twice; keep one of them.",
    "Cannot declare": "A table is written twice; put its keys together under one heading.",
    "Invalid value": 'Text stands in quotes: key = "value".',
    "Invalid initial character for a key part": 'A key in other letters stands in quotes: "键" = 1.',
    "Unterminated string": "Add the closing quote.",
    "Expected newline or end of document": 'Text stands in quotes: key = "value"; each key has its own line.',
}


class Position(NamedTuple):
    """A place in a file; both numbers start at 1."""

    line: int
    column: int


class ConfigSource(NamedTuple):
    """A configuration file that was read and parsed."""

    path: Path
    shown: str
    """The path as messages name it, relative to the working directory."""
    data: dict[str, Any]
    offsets: Mapping[KeyPath, int]
    line_starts: Sequence[int]

    def locate(self, path: KeyPath) -> Position | None:
        """Return where the value at `path` is written, or the nearest value around it that is."""
        for length in range(len(path), 0, -1):
            offset = self.offsets.get(path[:length])
            if offset is not None:
                line = bisect.bisect_right(self.line_starts, offset)
                return Position(line, offset - self.line_starts[line - 1] + 1)
        return None


def read_source(path: Path, *, cwd: Path, shown: str | None = None) -> ConfigSource:
    """Read and parse a `wrangler.toml`, `wrangler.json` or `wrangler.jsonc`; `shown` is what messages call it.

    Raises ConfigError with the code `unreadable_config` if the bytes cannot be had, and `invalid_syntax` with
    the line and column if they cannot be parsed.
    """
    shown = shown or shown_path(path, cwd)
    try:
        return _parse(path, shown)
    except ConfigError as error:
        error.details["config"] = str(path)
        raise


def _parse(path: Path, shown: str) -> ConfigSource:
    text = _read_text(path, shown)
    try:
        if path.suffix in {".json", ".jsonc"}:
            data, offsets = _parse_jsonc(text, shown)
        else:
            data, offsets = _parse_toml(text, shown)
    except RecursionError as error:
        raise ConfigError(
            f"{shown} has values below more than {MAX_DEPTH} levels of tables and lists.",
            hint="Remove the nested brackets or the long dotted keys.",
            code="invalid_syntax",
        ) from error
    line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
    return ConfigSource(path, shown, data, offsets, line_starts)


def shown_path(path: Path, cwd: Path) -> str:
    """Return `path` relative to `cwd`, as wrangler names files in its messages."""
    try:
        return os.path.relpath(path, cwd)
    except ValueError:  # another drive, on Windows
        return str(path)


def _read_text(path: Path, shown: str) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except IsADirectoryError as error:
        hint = "Give --config a wrangler.toml or wrangler.jsonc file."
        raise _unreadable(f"{shown} is a directory.", hint) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        hint = "Check the path and the permissions of the file."
        raise _unreadable(f"Cannot read {shown}: {reason}.", hint) from error
    if len(raw) > MAX_BYTES:
        limit = f"{MAX_BYTES // 1024 // 1024} MB"
        raise _unreadable(f"{shown} is larger than {limit}.", "It is hardly a configuration; check the path.")
    for mark, encoding in _BYTE_ORDER_MARKS:
        if raw.startswith(mark):
            raise _unreadable(f"{shown} is written in {encoding}.", "Save it as UTF-8.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _unreadable(
            f"{shown}:{line}: byte 0x{raw[error.start]:02x} is not UTF-8.", "Save the file as UTF-8."
        ) from error
    return text.replace("\r\n", "\n")


def _unreadable(message: str, hint: str) -> ConfigError:
    return ConfigError(message, hint=hint, code="unreadable_config")


def _parse_toml(text: str, shown: str) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    import tomli

    from edgecli.config.toml_positions import toml_positions

    try:
        data = tomli.loads(text)
        _check_depth(data)
        return data, toml_positions(text)
    except ValueError as error:  # TOMLDecodeError, or Python's own of a number of thousands of digits
        message = str(error)
        place = _TOML_PLACE.search(message)
        reason = message[: place.start()] if place else message
        position = Position(int(place[1]), int(place[2])) if place and place[1] else _end_of(text)
        hint = next((hint for start, hint in _TOML_HINTS.items() if reason.startswith(start)), None)
        raise _syntax_error(text, shown, position, reason, hint) from error


def _parse_jsonc(text: str, shown: str) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    import json

    from edgecli.config.jsonc import load_jsonc

    start = Position(1, 1)
    if not text.strip():
        raise _syntax_error(text, shown, start, "The file is empty", "Write at least {}.")
    try:
        data, offsets = load_jsonc(text)
    except json.JSONDecodeError as error:
        raise _syntax_error(text, shown, Position(error.lineno, error.colno), error.msg, None) from error
    except ValueError as error:
        raise _syntax_error(text, shown, start, str(error), None) from error
    if not isinstance(data, dict):
        raise _syntax_error(text, shown, start, "The file holds no object", "Put its keys between { and }.")
    _check_depth(data)
    return data, offsets


def _check_depth(data: dict[str, Any]) -> None:
    """Raise RecursionError for what a parser can read and others cannot walk, as `a.a.a.… = 1`."""
    level: list[Any] = [data]
    for _ in range(MAX_DEPTH):
        level = [
            entry
            for value in level
            for entry in (value.values() if isinstance(value, dict) else value)
            if isinstance(entry, dict | list)
        ]
    if level:
        raise RecursionError


def _end_of(text: str) -> Position:
    lines = text.rstrip().split("\n")
    return Position(len(lines), len(lines[-1]) + 1)


def _syntax_error(text: str, shown: str, place: Position, reason: str, hint: str | None) -> ConfigError:
    line = (text.split("\n")[place.line - 1 : place.line] or [""])[0]
    message = f"{shown}:{place.line}:{place.column}: {reason}.\n{_with_caret(line, place.column)}"
    return ConfigError(
        message,
        hint=hint or f"Correct line {place.line} of {shown}.",
        code="invalid_syntax",
        details={"file": shown, "line": place.line, "column": place.column},
    )


def _with_caret(line: str, column: int) -> str:
    """Return the source line and a caret under the column; of a very long line, the part around it."""
    import unicodedata

    start = max(0, column - 60)
    before = line[start : column - 1]
    widths = ("\t" if c == "\t" else "  " if unicodedata.east_asian_width(c) in "WF" else " " for c in before)
    return f"    {line[start : start + 110]}\n    {''.join(widths)}^"
