"""Patterns over the paths of a repository: `*` within a folder, `**/` over folders, `{a,b}` for several."""

from __future__ import annotations

import re
from collections.abc import Iterable


def alternatives(pattern: str) -> list[str]:
    """Expand one level of braces: `x/{a,b}` is `x/a` and `x/b`."""
    match = re.fullmatch(r"(?P<head>[^{}]*)\{(?P<body>[^{}]*)\}(?P<tail>[^{}]*)", pattern)
    if match is None:
        return [pattern]
    return [match["head"] + part.strip() + match["tail"] for part in match["body"].split(",")]


def select(pattern: str, paths: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Return the chosen paths with their names below the model's folder, and alternatives without a match.

    A folder (`sub/`) is named from there; a pattern keeps the repository's path; a plain path its last part.
    Files whose name begins with a dot are never chosen by a pattern.
    """
    known = list(paths)
    chosen: dict[str, str] = {}
    missing: list[str] = []
    wanted = alternatives(pattern)
    for each in wanted:
        expression = re.compile(_expression(each))
        found = [path for path in known if expression.fullmatch(path) and not _hidden(path, each)]
        if not found:
            missing.append(each)
        for path in found:
            chosen[path] = _name(path, each, alone=len(wanted) == 1)
    return chosen, missing


def _name(path: str, pattern: str, *, alone: bool) -> str:
    if pattern.endswith("/"):
        return path.removeprefix(pattern)
    return path.rsplit("/", 1)[-1] if alone and path == pattern else path


def _hidden(path: str, pattern: str) -> bool:
    return path != pattern and any(part.startswith(".") for part in path.split("/"))


def _expression(pattern: str) -> str:
    if pattern.endswith("/"):
        return re.escape(pattern) + ".+"
    pieces = re.split(r"(\*\*/|\*|\?|\[[^\]/]+\])", pattern)
    kinds = {"**/": "(?:[^/]+/)*", "*": "[^/]*", "?": "[^/]"}
    return "".join(kinds.get(piece) or (piece if piece.startswith("[") else re.escape(piece)) for piece in pieces)
