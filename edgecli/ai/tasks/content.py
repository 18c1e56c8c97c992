"""The content of messages: text, alone or in parts."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any, cast

from edgecli.ai.tasks.validation import bad_input, mismatch

TEXT_PARTS = frozenset({"text", "input_text", "output_text"})
PASSED_OVER = frozenset({"reasoning", "thinking", "redacted_thinking"})
"""What other models thought: never shown to this one."""


def read_text(content: Any, place: str, *, passed_over: Container[str] = PASSED_OVER) -> str:
    """Return the text of a content, its parts each on a line of its own.

    Raises UsageError, cf_code 5006, for anything but text: `place` names it, `/messages/0/content`.
    """
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise bad_input(mismatch(place, "string', 'array", content))
    texts: list[str] = []
    for number, part in enumerate(cast("list[Any]", content)):
        kind, part = typed(part, f"{place}/{number}")
        if kind in TEXT_PARTS:
            texts.append(text_of(part, f"{place}/{number}/text"))
        elif kind == "refusal":
            texts.append(text_of(part, f"{place}/{number}/refusal", key="refusal"))
        elif kind not in passed_over:
            raise no_such_part(kind, f"{place}/{number}")
    return "\n".join(texts)


def typed(part: Any, place: str) -> tuple[str, Mapping[str, Any]]:
    """Return a part and its `type`. Raises UsageError, cf_code 5006, if it has none."""
    if not isinstance(part, dict):
        raise bad_input(mismatch(place, "object", part))
    entry = cast("dict[str, Any]", part)
    kind = entry.get("type")
    if not isinstance(kind, str):
        raise bad_input(f"required properties at '{place}' are 'type'")
    return kind, entry


def text_of(entry: Mapping[str, Any], place: str, *, key: str = "text") -> str:
    """Return a text that an object has to hold. Raises UsageError, cf_code 5006."""
    value = entry.get(key)
    if not isinstance(value, str):
        raise bad_input(mismatch(place, "string", value))
    return value


def no_such_part(kind: str, place: str) -> Exception:
    """Return the error for a part that no model here can read."""
    if "image" in kind:
        said = "the model reads text, no images"
    elif "audio" in kind:
        said = "the model reads text, no audio"
    elif kind in {"file", "input_file", "document"}:
        said = "the model reads text, no files"
    else:
        said = "edgecli does not know this kind"
    return bad_input(
        f"'{place}/type' is \"{kind}\": {said}",
        hint="Send text; `edgecli ingest` makes Markdown of documents." if "file" in said else "Send text.",
    )
