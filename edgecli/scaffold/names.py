"""The name of a project, by wrangler's rule for the name of a Worker."""

from __future__ import annotations

import re
import unicodedata

FALLBACK_NAME = "my-app"

# wrangler's rule for `name`. A Worker's name is also a label of its host name, hence the length.
_ALLOWED = re.compile(r"[a-z0-9_][a-z0-9-_]*\Z")
_LONGEST = 63


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
