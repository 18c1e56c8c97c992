"""The syntax of `.env` and `.dev.vars` files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from edgecli.errors import ConfigError

MAX_EXPANDED = 1024 * 1024
"""Longest value after expansion, in characters: a few lines that repeat each other fill the memory."""

_ASSIGNMENT = re.compile(r"[ \t]*(?:export[ \t]+)?([\w.-]+)[ \t]*(?:=|:(?=[ \t]))[ \t]*")
_QUOTED = re.compile(r"'(?:\\'|[^'])*'|\"(?:\\.|[^\"\\])*\"|`(?:\\`|[^`])*`", re.DOTALL)
_QUOTES = {"'", '"', "`"}
_AFTER_QUOTE = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|$)")
_UNQUOTED = re.compile(r"[^#\n]*")
_REST_OF_LINE = re.compile(r"[^\n]*(?:\n|$)")
_REFERENCE = re.compile(r"\\\$|\$\{([A-Za-z_]\w*)(?::?-([^}]*))?\}|\$([A-Za-z_]\w*)")


class Variable(NamedTuple):
    """One assignment of a file."""

    value: str
    line: int
    literal: bool
    """In single quotes: `$` means nothing."""


class Assignment(NamedTuple):
    """Where a file sets a variable."""

    name: str
    variable: Variable
    end: int
    """The line behind it: it takes the lines from `variable.line` on up to that one."""


def parse_dotenv(text: str) -> dict[str, Variable]:
    """Return the variables that `text` sets, the last assignment of each."""
    return {found.name: found.variable for found in assignments(text)}


def assignments(text: str) -> Iterator[Assignment]:
    """Yield the assignments of `text`; lines that hold none are skipped, as dotenv does.

    A quoted value may span lines, and between double quotes hold `\\n`; without quotes it ends at `#`.
    """
    text = text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}").replace("\r\n", "\n").replace("\r", "\n")
    unclosed: set[str] = set()
    at = line = 0
    while at < len(text):
        end = _REST_OF_LINE.match(text, at).end()  # pyright: ignore[reportOptionalMemberAccess] - matches anything
        assignment = _ASSIGNMENT.match(text, at)
        started = line + 1
        variable = None
        if assignment:
            value, literal, value_end = _value(text, assignment.end(), unclosed)
            variable = Variable(value, started, literal)
            end = max(end, value_end)
        line += text.count("\n", at, end)
        at = end
        if assignment and variable:
            whole = text.endswith("\n", 0, end)
            yield Assignment(assignment[1], variable, line + 1 if whole else line + 2)


def _value(text: str, at: int, unclosed: set[str]) -> tuple[str, bool, int]:
    """Return the value at `at`, whether it is literal, and where the text goes on.

    `unclosed` are the quotes that close nowhere below, so that their end is not searched for on every line.
    """
    opening = text[at : at + 1]
    quoted = None if opening in unclosed else _QUOTED.match(text, at)
    if quoted is None and opening in _QUOTES:
        unclosed.add(opening)
    closed = _AFTER_QUOTE.match(text, quoted.end()) if quoted else None
    if quoted and closed:
        quote, inner = quoted[0][0], quoted[0][1:-1]
        if quote == '"':
            inner = inner.replace("\\n", "\n").replace("\\r", "\r").replace('\\"', '"')
        return inner, quote == "'", closed.end()
    plain = _UNQUOTED.match(text, at)
    return (plain[0].strip() if plain else ""), False, at


def expand(variables: Mapping[str, Variable], outside: Mapping[str, str], file: str) -> dict[str, str]:
    """Return the values with `$NAME`, `${NAME}` and `${NAME:-default}` replaced.

    `outside` are variables of the process, which come before those of the file. An unknown name and a name
    that leads back to itself are empty. Raises ConfigError if a value grows beyond `MAX_EXPANDED`.
    """
    done: dict[str, str] = {}

    def resolve(name: str, above: tuple[str, ...]) -> str:
        if name in outside:
            return outside[name]
        if name in done:
            return done[name]
        if name not in variables or name in above or len(above) > 50:
            return ""
        variable = variables[name]
        done[name] = variable.value if variable.literal else substitute(variable, (*above, name))
        return done[name]

    def substitute(variable: Variable, above: tuple[str, ...]) -> str:
        length = 0

        def value_of(match: re.Match[str]) -> str:
            nonlocal length
            if match[0] == "\\$":
                return "$"
            value = resolve(match[1] or match[3], above) or match[2] or ""
            length += len(value)
            if length > MAX_EXPANDED:
                raise ConfigError(
                    f"{file}:{variable.line}: `{above[-1]}` expands to more than {MAX_EXPANDED} characters.",
                    hint="Remove the ${…} references that repeat each other.",
                    code="invalid_dotenv",
                )
            return value

        return _REFERENCE.sub(value_of, variable.value)

    return {name: resolve(name, ()) for name in variables}
