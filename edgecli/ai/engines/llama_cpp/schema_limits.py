"""What a JSON Schema from outside may cost, and whether what it describes has an end."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

DEPTH = 64
"""Levels of objects and arrays that a schema may have inside each other; llguidance's reader ends at 128."""
NODES = 20_000
"""Values in a schema, those of enums too."""
TEXT = 512 * 1024
"""Characters of all its strings and names."""
REFERENCES = 500
"""Different `$ref`s."""
SHORTEST = 100_000
"""Characters of the shortest answer: no model here writes that many."""


def too_large(schema: Any) -> str | None:
    """Return why a schema is not even read, or None. Does not recurse, as the schema may be of any depth."""
    nodes = text = 0
    waiting: list[tuple[Any, int]] = [(schema, 1)]
    while waiting:
        value, depth = waiting.pop()
        nodes += 1
        if depth > DEPTH:
            return f"is nested deeper than {DEPTH} levels"
        if isinstance(value, str):
            text += len(value)
        elif isinstance(value, Mapping):
            text += sum(len(str(name)) for name in value)
            waiting += [(child, depth + 1) for child in value.values()]
        elif isinstance(value, (list, tuple)):
            waiting += [(child, depth + 1) for child in value]
        if nodes + len(waiting) > NODES or text > TEXT:
            return f"is larger than {NODES} values or {TEXT} characters"
    return None


def shortest(schema: dict[str, Any]) -> tuple[float, dict[str, float]]:
    """Return about how many characters the shortest answer has, for the schema and for each of its `$defs`.

    Infinite is what never ends: a part that always holds itself. `schema` is one that `json_schema.py` prepared.
    """
    definitions: dict[str, Any] = schema.get("$defs", {})
    known = dict.fromkeys(definitions, math.inf)
    # Numbers only fall, and a shortest answer does not pass through one `$ref` twice: this ends.
    changed = True
    while changed:
        changed = False
        for name in reversed(definitions):
            size = _size(definitions[name], known)
            if size < known[name]:
                known[name] = size
                changed = True
    return _size(schema, known), known


def _size(schema: Any, known: Mapping[str, float]) -> float:
    if not isinstance(schema, dict):
        return 0
    node: dict[str, Any] = schema
    least = 0.0
    if "$ref" in node:
        least = known[node["$ref"].removeprefix("#/$defs/")]
    for part in node.get("allOf", ()):
        least = max(least, _size(part, known))
    for choice in ("anyOf", "oneOf"):
        if choice in node:
            least = max(least, min((_size(part, known) for part in node[choice]), default=0))
    if "const" in node:
        return max(least, _length(node["const"]))
    if "enum" in node:
        return max(least, min(map(_length, node["enum"]), default=0))
    types = node.get("type", ())
    types = [types] if isinstance(types, str) else types
    return max(least, min((_typed(kind, node, known) for kind in types), default=0))


def _typed(kind: str, node: Mapping[str, Any], known: Mapping[str, float]) -> float:
    if kind == "string":
        return 2 + node.get("minLength", 0)
    if kind == "array":
        count: int = node.get("minItems", 0)
        first = node.get("prefixItems", [])[:count]
        rest = count - len(first)
        each = _size(node.get("items", {}), known) + 2 if rest else 0
        return 2 + sum(_size(item, known) + 2 for item in first) + rest * each
    if kind == "object":
        properties = node.get("properties", {})
        other = node.get("additionalProperties", {})
        names: list[str] = node.get("required", [])
        # Of properties that are only counted, the last that were added may not be there at all.
        return 2 + sum(len(name) + 4 + _size(properties.get(name, other), known) for name in names)
    return 1


def _length(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False))
