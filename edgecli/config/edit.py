"""Write a binding into a configuration file and leave the rest of it as it is, comments included.

The new text is made by an insertion, and read again before it replaces the old: if its values are not the old ones
and the new binding, the file stays as it was.
"""

from __future__ import annotations

import copy
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli

from edgecli.config.jsonc import TOKEN, blank_comments, load_jsonc
from edgecli.config.keypath import KeyPath
from edgecli.config.toml_positions import toml_positions
from edgecli.errors import ConfigError

_MARK = "\ufeff"
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_VALUE_OPENS = re.compile(r'"(?:\\.|[^"\\])*"\s*:\s*[\[{]')
_LIST_OPENS = re.compile(r"[^=\[]*=[ \t]*\[")


def add_binding(path: Path, key: str, binding: Mapping[str, Any], env: str | None) -> None:
    """Add `binding` to the list `key` of a configuration file, of its environment `env` if one is named.

    Raises ConfigError, code `cannot_edit`, if there is no way to do so that leaves the rest as it is.
    """
    raw = path.read_bytes().decode("utf-8")
    text = raw.removeprefix(_MARK).replace("\r\n", "\n")
    where: KeyPath = ("env", env, key) if env else (key,)
    is_json = path.suffix in {".json", ".jsonc"}
    edited = _edit_jsonc(text, where, binding) if is_json else _edit_toml(text, where, binding)
    if edited is None or not _is_the_same_and(binding, where, _read(text, is_json), _read(edited, is_json)):
        raise ConfigError(
            f"`{path.name}` is written in a way that cannot be added to: `{'.'.join(map(str, where))}`.",
            hint=f"Add it by hand:\n{snippet(path, key, binding, env)}",
            code="cannot_edit",
        )
    if "\r\n" in raw:
        edited = edited.replace("\n", "\r\n")
    _replace(path, (_MARK if raw.startswith(_MARK) else "") + edited)


def snippet(path: Path, key: str, binding: Mapping[str, Any], env: str | None) -> str:
    """Return the lines that say `binding` in the format of the file at `path`."""
    if path.suffix not in {".json", ".jsonc"}:
        return _toml_table(("env", env, key) if env else (key,), binding)
    value: Any = {key: [dict(binding)]}
    return json.dumps({"env": {env: value}} if env else value, indent=2, ensure_ascii=False)


def _read(text: str, is_json: bool) -> Any:
    try:
        return load_jsonc(text)[0] if is_json else tomli.loads(text)
    except ValueError:
        return None


def _is_the_same_and(binding: Mapping[str, Any], where: KeyPath, before: Any, after: Any) -> bool:
    expected = copy.deepcopy(before)
    place = expected
    for part in where[:-1]:
        place = place.setdefault(part, {})
    place[where[-1]] = [*place.get(where[-1], []), dict(binding)]
    return after == expected


def _replace(path: Path, text: str) -> None:
    target = path.resolve()
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).chmod(target.stat().st_mode & 0o7777)
    Path(temporary).replace(target)


# TOML.


def _edit_toml(text: str, where: KeyPath, binding: Mapping[str, Any]) -> str | None:
    offsets = toml_positions(text)
    last = max((path for path in offsets if path[:-1] == where), default=None)
    if where in offsets and not text.startswith("[", offsets[where]):
        return _into_toml_list(text, offsets, where, last, binding)
    table = _toml_table(where, binding)
    if last is None:
        gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
        return f"{text}{gap}{table}\n"
    # Behind the last table of its kind: before the next header, and before the comments that belong to that.
    following = [offset for path, offset in offsets.items() if offset > offsets[last] and path[: len(last)] != last]
    end = min(following, default=len(text))
    lines = text[:end].splitlines(keepends=True)
    rest: list[str] = []
    while lines and (not lines[-1].strip() or (following and lines[-1].lstrip().startswith("#"))):
        rest.insert(0, lines.pop())
    head = "".join(lines)
    return f"{head}{'' if head.endswith(chr(10)) else chr(10)}\n{table}\n{''.join(rest)}{text[end:]}"


def _into_toml_list(
    text: str, offsets: Mapping[KeyPath, int], where: KeyPath, last: KeyPath | None, binding: Mapping[str, Any]
) -> str | None:
    item = "{ " + ", ".join(f"{_toml_key(name)} = {_scalar(value)}" for name, value in binding.items()) + " }"
    if last is None:
        opens = _LIST_OPENS.match(text, offsets[where])
        return None if opens is None else f"{text[: opens.end()]}{item}{text[opens.end() :]}"
    end = _end_of_container(text, offsets[last])
    return f"{text[:end]}, {item}{text[end:]}"


def _toml_table(where: KeyPath, binding: Mapping[str, Any]) -> str:
    lines = [f"[[{'.'.join(_toml_key(str(part)) for part in where)}]]"]
    lines += [f"{_toml_key(name)} = {_scalar(value)}" for name, value in binding.items()]
    return "\n".join(lines)


def _toml_key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _scalar(name)


def _scalar(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


# JSON with comments.


def _edit_jsonc(text: str, where: KeyPath, binding: Mapping[str, Any]) -> str | None:
    value, offsets = load_jsonc(text)
    plain = blank_comments(text)
    place = value
    start = plain.index("{")
    missing: Sequence[Any] = where
    for depth, part in enumerate(where, start=1):
        if not isinstance(place, dict) or part not in place:
            break
        place = place[part]
        opens = _VALUE_OPENS.match(plain, offsets[where[:depth]])
        if opens is None:
            return None
        start = opens.end() - 1
        missing = where[depth:]
    unit = _indent_of(plain)
    level = len(where) - len(missing)
    new: Any = dict(binding) if not missing else [dict(binding)]
    for part in reversed(missing[1:]):
        new = {part: new}
    body = json.dumps(new, indent=unit, ensure_ascii=False)
    if missing:
        body = f"{_scalar(missing[0])}: {body}"
    margin = unit * (level + 1)
    body = margin + body.replace("\n", f"\n{margin}")
    close = _end_of_container(plain, start) - 1
    filled = plain[:close].rstrip()
    comma = "" if filled[-1] in "{[," else ","
    tail = text[len(filled) : close].rstrip()
    return f"{text[: len(filled)]}{comma}{tail}\n{body}\n{unit * level}{text[close:]}"


def _indent_of(text: str) -> str:
    found = re.search(r"\n([ \t]+)\S", text)
    return found[1] if found else "  "


def _end_of_container(text: str, start: int) -> int:
    """Return the offset behind the bracket that closes the first one at or after `start`."""
    depth = 0
    for token in TOKEN.finditer(text, start):
        if token[0] in "{[":
            depth += 1
        elif token[0] in "}]":
            depth -= 1
            if depth == 0:
                return token.end()
    return len(text)
