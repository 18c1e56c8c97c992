"""Blocks of a turn as messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from edgecli.ai.tasks.content import PASSED_OVER, no_such_part, read_text, text_of, typed
from edgecli.ai.tasks.conversation import Conversation
from edgecli.ai.tasks.validation import bad_input, mismatch


def read_turn(conversation: Conversation, role: str, content: Any, place: str) -> None:
    """Add a turn to a conversation: its text as one message, its calls and results of tools as their own.

    Raises UsageError, cf_code 5006, for blocks that no model here can read.
    """
    if not isinstance(content, list):
        conversation.say(role, read_text(content, place))
        return
    texts: list[str] = []
    told = False
    for number, block in enumerate(cast("list[Any]", content)):
        spot = f"{place}/{number}"
        kind, block = typed(block, spot)
        if kind in {"tool_use", "tool_result"}:
            _say(conversation, role, texts)
            told = True
            _tool(conversation, kind, block, spot)
        elif kind == "document":
            texts.append(_document(block, spot))
        elif kind == "text":
            texts.append(text_of(block, f"{spot}/text"))
        elif kind not in PASSED_OVER:
            raise no_such_part(kind, spot)
    if texts or not told:
        conversation.say(role, "\n".join(texts))


def _say(conversation: Conversation, role: str, texts: list[str]) -> None:
    if texts:
        conversation.say(role, "\n".join(texts))
        texts.clear()


def _tool(conversation: Conversation, kind: str, block: Mapping[str, Any], place: str) -> None:
    if kind == "tool_use":
        arguments = block.get("input", {})
        if not isinstance(arguments, dict):
            raise bad_input(mismatch(f"{place}/input", "object", arguments))
        call_id = text_of(block, f"{place}/id", key="id")
        conversation.call(call_id, text_of(block, f"{place}/name", key="name"), cast("dict[str, Any]", arguments))
        return
    text = read_text(block.get("content", ""), f"{place}/content")
    if block.get("is_error") is True:
        text = f"Error: {text}"
    conversation.result(text_of(block, f"{place}/tool_use_id", key="tool_use_id"), text)


def _document(block: Mapping[str, Any], place: str) -> str:
    source = block.get("source")
    if not isinstance(source, dict):
        raise bad_input(f"required properties at '{place}' are 'source'")
    entry = cast("dict[str, Any]", source)
    if entry.get("type") == "text":
        return text_of(entry, f"{place}/source/data", key="data")
    if entry.get("type") == "content":
        return read_text(entry.get("content"), f"{place}/source/content")
    raise no_such_part("document", place)
