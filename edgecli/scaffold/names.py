"""The name of a project, by wrangler's rule for the name of a Worker."""

from __future__ import annotations

import itertools
import re
import unicodedata
from pathlib import Path

FALLBACK_NAME = "my-app"

# wrangler's rule for `name`. A Worker's name is also a label of its host name, hence the length.
_ALLOWED = re.compile(r"[a-z0-9_][a-z0-9-_]*\Z")
_LONGEST = 63


def free_name(folder: Path) -> str:
    """Return `my-app`, or `my-app-2` and so on where `folder` has one already."""
    names = itertools.chain([FALLBACK_NAME], (f"{FALLBACK_NAME}-{count}" for count in itertools.count(2)))
    return next(name for name in names if not (folder / name).exists())


def is_project_name(name: str) -> bool:
    """Tell whether wrangler accepts `name` as the name of a Worker."""
    return len(name) <= _LONGEST and _ALLOWED.match(name) is not None


def derive_project_name(folder: str) -> str:
    """Return a valid name that looks like `folder`: `Café Ünïon 2` becomes `cafe-union-2`.

    A folder without one letter or digit of ASCII (`我的应用`) becomes `my-app`.
    """
    if is_project_name(folder):
        return folder
    ascii_only = unicodedata.normalize("NFKD", folder).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9_]+", "-", ascii_only.lower())[:_LONGEST].strip("-")
    return name if re.search(r"[a-z0-9]", name) else FALLBACK_NAME
