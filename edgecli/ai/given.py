"""What a command is given: JSON in place, in a file or on stdin, and text on stdin."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from edgecli.errors import UsageError


def read_object(given: str, option: str) -> dict[str, Any]:
    """Return the JSON object that an option holds, `@FILE` or `-` names. Raises UsageError."""
    source = given
    try:
        if given == "-":
            source = read_stdin()
        elif given.startswith("@"):
            source = Path(given[1:]).read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"The file `{given[1:]}` of {option} cannot be read: {error.strerror or error}.",
            hint=f"Give {option} @FILE a file that exists, or `-` for stdin.",
        ) from error
    except UnicodeDecodeError as error:
        raise _not_utf8(f"The file `{given[1:]}` of {option}") from error
    try:
        inputs: Any = json.loads(source)
    except ValueError as error:
        raise UsageError(
            f"{option} is not valid JSON: {error}.",
            hint="Write JSON in single quotes, or `@file`, or `-` for stdin.",
        ) from error
    if not isinstance(inputs, dict):
        raise UsageError(
            f"{option} holds a JSON {type(inputs).__name__}, an object is needed.", hint='Write `{"…": …}`.'
        )
    return inputs


def read_stdin() -> str:
    """Return the text on stdin. Raises UsageError, code `bad_encoding`."""
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf8("What `-` reads, stdin,") from error


def _not_utf8(what: str) -> UsageError:
    return UsageError(
        f"{what} is not UTF-8 text.",
        hint="Convert it first, for example with `iconv -f GB18030 -t UTF-8`.",
        code="bad_encoding",
    )
