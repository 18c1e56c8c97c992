"""Text from models and documents, made harmless for a terminal."""

from __future__ import annotations

import re

# Escape sequences and direction marks could move the cursor, set the window's title, or hide what is written.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Take out the control characters, line ends and tabs apart."""
    return _CONTROL.sub("", text.replace("\r\n", "\n"))


def printable_json(text: str) -> str:
    """Write the control characters of a JSON document as its escapes; its value stays the same."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def one_line(text: str) -> str:
    """Write what would begin a line or give a terminal orders as its escapes: a stranger chose it."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
