"""JSON with comments and trailing commas, as wrangler reads it.

Comments and trailing commas become spaces of the same length, so that the standard parser can read the rest
and every offset stays true.
"""

from __future__ import annotations

import re
from typing import Any

from edgecli.config.keypath import KeyPath

# A string that never ends is taken whole; searching for its end from each quote in it would take for ever.
_COMMENT = re.compile(r'"(?:\\.|[^"\\])*"?|//[^\n]*|/\*(?:.*?\*/)?', re.DOTALL)
_TRAILING_COMMA = re.compile(r'"(?:\\.|[^"\\])*"?|,(?=\s*[}\]])', re.DOTALL)
TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_NOT_NEWLINE = re.compile(r"[^\n]")


def load_jsonc(text: str) -> tuple[Any, dict[KeyPath, int]]:
    """Return the value in `text`, and the offset at which each key and list item starts.

    Raises `json.JSONDecodeError` for bad syntax, plain `ValueError` for a number of absurd length or an
    unpaired surrogate, and `RecursionError` for absurd depth.
    """
    import json

    plain = _TRAILING_COMMA.sub(_blank_comma, blank_comments(text))
    value = json.loads(plain, parse_constant=_refuse_constant)
    if "\\ud" in plain or "\\uD" in plain:
        json.dumps(value, ensure_ascii=False).encode()
    return value, _positions(plain)


def blank_comments(text: str) -> str:
    """Return `text` with spaces in the place of its comments. Raises `json.JSONDecodeError` for one without end."""
    return _COMMENT.sub(_blank_comment, text)


def _blank_comment(match: re.Match[str]) -> str:
    found = match[0]
    if found.startswith('"'):
        return found
    if found == "/*":
        import json

        raise json.JSONDecodeError("This comment is never closed", match.string, match.start())
    return _NOT_NEWLINE.sub(" ", found)


def _blank_comma(match: re.Match[str]) -> str:
    return " " if match[0] == "," else match[0]


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"`{name}` is no JSON value")


_KEY = -1
"""In the place of a key that has not been read yet."""


def _positions(text: str) -> dict[KeyPath, int]:
    import json

    found: dict[KeyPath, int] = {}
    containers: list[KeyPath] = []
    here: KeyPath = ()  # the value that comes next, or that was just read
    for token in TOKEN.finditer(text):
        mark, start = token[0], token.start()
        place = here[-1] if here else None
        if mark in "}]":
            here = containers.pop()
        elif mark == ",":
            here = (*here[:-1], place + 1 if isinstance(place, int) else _KEY)
        elif place == _KEY:
            here = (*here[:-1], json.loads(mark))
            found[here] = start
        elif mark != ":":
            if isinstance(place, int):
                found[here] = start
            if mark in "{[":
                containers.append(here)
                here = (*here, _KEY if mark == "{" else 0)
    return found
