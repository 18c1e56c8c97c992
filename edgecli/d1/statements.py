"""Cut a text of SQL into its statements."""

from __future__ import annotations

import re
import sqlite3

_TOKEN = re.compile(
    r"""
    # Strings and names; one without an end goes to the end of the text, which is searched once so.
    '(?:[^']|'')*(?:'|\Z) | "(?:[^"]|"")*(?:"|\Z) | `(?:[^`]|``)*(?:`|\Z) | \[[^\]]*(?:\]|\Z)
    | --[^\n]* | /\*.*?(?:\*/|\Z)                                   # comments
    | ;
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENTS = re.compile(r"(?:\s|--[^\n]*(?:\n|\Z)|/\*.*?(?:\*/|\Z))*", re.DOTALL)
_TRIGGER = re.compile(r"create\s+(?:temp(?:orary)?\s+)?trigger\b", re.IGNORECASE)


def split(sql: str) -> list[str]:
    """Return the statements, without those that are comments only; a trigger's own statements stay in it."""
    found: list[str] = []
    start = last = 0
    code = ""
    """What stands before the token, comments aside."""
    trigger = _is_trigger(sql, 0)
    for token in _TOKEN.finditer(sql):
        code = sql[last : token.start()].strip() or code
        last = token.end()
        if token[0] == ";":
            # SQLite reads the whole statement, so it is asked where an END may be a trigger's own only.
            if not trigger or (code[-3:].lower() == "end" and sqlite3.complete_statement(sql[start:last])):
                found.append(sql[start:last])
                start, trigger = last, _is_trigger(sql, last)
            code = ""
        elif not token[0].startswith(("--", "/*")):
            code = ""
    found.append(sql[start:])
    return [statement for statement in found if _code(statement).strip("; \t\r\n")]


def _is_trigger(sql: str, start: int) -> bool:
    return _TRIGGER.match(sql, _begin(sql, start)) is not None


def _code(statement: str) -> str:
    """Return a statement from its first word on."""
    return statement[_begin(statement, 0) :]


def _begin(sql: str, start: int) -> int:
    return _COMMENTS.match(sql, start).end()  # pyright: ignore[reportOptionalMemberAccess] -- matches ""
