"""Cut a text of SQL into its statements."""

from __future__ import annotations

import re
import sqlite3

_TOKEN = re.compile(
    r"""
    '(?:[^']|'')*' | "(?:[^"]|"")*" | `(?:[^`]|``)*` | \[[^\]]*\]   # strings and names
    | --[^\n]* | /\*.*?(?:\*/|\Z)                                   # comments
    | ;
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENTS = re.compile(r"\A(?:\s|--[^\n]*(?:\n|\Z)|/\*.*?(?:\*/|\Z))*", re.DOTALL)
_TRIGGER = re.compile(r"create\s+(?:temp(?:orary)?\s+)?trigger\b", re.IGNORECASE)


def split(sql: str) -> list[str]:
    """Return the statements, without those that are comments only; a trigger's own statements stay in it."""
    found: list[str] = []
    start = 0
    for token in _TOKEN.finditer(sql):
        if token[0] == ";" and _is_whole(sql[start : token.end()]):
            found.append(sql[start : token.end()])
            start = token.end()
    found.append(sql[start:])
    return [statement for statement in found if _code(statement).strip("; \t\r\n")]


def _is_whole(statement: str) -> bool:
    return not _TRIGGER.match(_code(statement)) or sqlite3.complete_statement(statement)


def _code(statement: str) -> str:
    """Return a statement from its first word on."""
    return statement[len(_COMMENTS.match(statement)[0]) :]  # pyright: ignore[reportOptionalSubscript] -- matches ""
