"""Write a variable into a `.dev.vars` file and leave every other byte of it as it is.

The new text is read again before it replaces the old: if it does not hold the old variables and the new one, the file
stays as it was.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from edgecli.config.dotenv import Assignment, assignments, parse_dotenv
from edgecli.errors import ConfigError, NotFoundError

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_BYTES = 1024 * 1024
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+=,-]+")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r|\Z)")


def set_variable(path: Path, name: str, value: str) -> bool:
    """Set `name` in the file, which is made if need be; tell whether it was there. Its mode becomes 0600.

    Raises ConfigError: `cannot_edit` for a value that the syntax cannot hold, `unreadable_dotenv`.
    """
    text = _read(path)
    _write(path, _with(text, name, value, path.name))
    return name in _values(text)


def delete_variable(path: Path, name: str) -> None:
    """Remove every assignment of `name`. Raises NotFoundError if there is none, ConfigError as `set_variable` does."""
    text = _read(path)
    if name not in _values(text):
        raise NotFoundError(f"`{path.name}` sets no `{name}`.", code="no_such_secret")
    _write(path, _without(text, name, path.name))


def change_variables(path: Path, changes: Mapping[str, str | None]) -> None:
    """Set all these variables, and remove those that are None; where one is refused, the file stays as it was.

    A file that is not there is not made to remove something. Raises ConfigError as `set_variable` does.
    """
    before = text = _read(path)
    for name, value in changes.items():
        text = _without(text, name, path.name) if value is None else _with(text, name, value, path.name)
    if text != before:
        _write(path, text)


def _with(text: str, name: str, value: str, file: str) -> str:
    lines = _lines(text)
    found = [each for each in assignments(text) if each.name == name]
    ending = "\r\n" if "\r\n" in text else "\n"
    expected = _values(text) | {name: value}
    for written in _spellings(value):
        line = f"{name}={written}"
        if found:
            # The last one counts.
            new = _replaced(lines, found[-1], lambda old, line=line: line + _ending_of(old))
        else:
            gap = "" if not text.removeprefix("\ufeff") or text.endswith(("\n", "\r")) else ending
            new = f"{text}{gap}{line}{ending}"
        if _values(new) == expected:
            return new
    raise ConfigError(
        f"The value of `{name}` cannot be written into `{file}`: its quotes and backslashes exclude each other.",
        hint="Encode it, as base64 for example, and let the Worker decode it.",
        code="cannot_edit",
    )


def _without(text: str, name: str, file: str) -> str:
    lines = _lines(text)
    for each in reversed([each for each in assignments(text) if each.name == name]):
        lines = _lines(_replaced(lines, each, lambda old: "\ufeff" if old.startswith("\ufeff") else ""))
    new = "".join(lines)
    expected = _values(text)
    expected.pop(name, None)
    if _values(new) != expected:
        raise ConfigError(
            f"`{file}` is written in a way that `{name}` cannot be taken out of.",
            hint="Delete it by hand.",
            code="cannot_edit",
        )
    return new


def _spellings(value: str) -> list[str]:
    """Return the ways to write a value that may be read back as it is, the plainest first.

    A quote is not closed behind a backslash: where it ends would depend on the lines below.
    """
    escaped = value.replace("\n", "\\n").replace("\r", "\\r")
    found = [value] if _PLAIN.fullmatch(value) else []
    if not value.endswith("\\"):
        pairs = (("'", value), ('"', escaped), ("`", value))
        found += [f"{quote}{text}{quote}" for quote, text in pairs if quote not in text]
        found.append('"' + escaped.replace('"', '\\"') + '"')
    if value == value.strip() and value[:1] not in "'\"`" and not {"#", "\n", "\r"} & set(value):
        found.append(value)
    return found


def _values(text: str) -> dict[str, str]:
    return {name: variable.value for name, variable in parse_dotenv(text).items()}


def _lines(text: str) -> list[str]:
    return [line for line in _LINE.findall(text) if line]


def _replaced(lines: list[str], place: Assignment, new: Callable[[str], str]) -> str:
    start, end = place.variable.line - 1, place.end - 1
    old = "".join(lines[start:end])
    mark = "\ufeff" if old.startswith("\ufeff") and not new(old).startswith("\ufeff") else ""
    return "".join([*lines[:start], mark + new(old), *lines[end:]])


def _ending_of(text: str) -> str:
    return text[len(text.rstrip("\r\n")) :][-2:] if text.endswith("\r\n") else text[-1:] if text[-1:] in "\r\n" else ""


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
        text = raw.decode("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"`{path}` cannot be edited: {error}.",
            hint="Save it as UTF-8, or edit it by hand.",
            code="unreadable_dotenv",
        ) from error
    if len(raw) > _MAX_BYTES:
        raise ConfigError(f"`{path}` is larger than 1 MB.", hint="Make it smaller.", code="unreadable_dotenv")
    return text


def _write(path: Path, text: str) -> None:
    target = path.resolve()
    try:
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")  # mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except (OSError, UnicodeEncodeError) as error:
        raise ConfigError(
            f"Cannot write `{path}`: {error}.", hint="Look at the rights of its folder.", code="unwritable_dotenv"
        ) from error
