"""Cap'n Proto's text form, as far as workerd's configuration needs it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_ESCAPED = re.compile(r'["\\\x00-\x1f\x7f]')


@dataclass(frozen=True, slots=True)
class Word:
    """A word that stands without quotes, `host` of an enumeration."""

    text: str


@dataclass(frozen=True, slots=True)
class Embed:
    """A file whose bytes are the value; its path is relative to the configuration's."""

    path: str


def to_text(value: Any) -> str:
    """Write dicts as structs, lists as lists, strings as Text: UTF-8, with control characters as `\\xNN`.

    Raises TypeError for what has no form.
    """
    match value:
        case Word(text):
            return text
        case Embed(path):
            return f"embed {to_text(path)}"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return '"' + _ESCAPED.sub(lambda found: f"\\x{ord(found[0]):02x}", value) + '"'
        case dict():
            return "(" + ", ".join(f"{key} = {to_text(each)}" for key, each in value.items()) + ")"
        case list():
            return "[\n" + ",\n".join(to_text(each) for each in value) + "\n]"
        case _:
            raise TypeError(f"{type(value).__name__} has no form in Cap'n Proto")
