"""Where a value stands inside a configuration file."""

from __future__ import annotations

import re

KeyPath = tuple[str | int, ...]
"""`("vectorize", 0, "index_name")`: table keys are strings, places in a list are integers."""

_PLAIN = re.compile(r"[\w$-]+")


def show_path(path: KeyPath) -> str:
    """Write a path as a user would: `vectorize[0].index_name`, `edgecli.models."@cf/a/b".use`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        name = part if _PLAIN.fullmatch(part) else '"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"'
        text += f".{name}" if text else name
    return text
