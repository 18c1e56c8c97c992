"""Items of a request's `input` as messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from edgecli.ai.tasks.content import PASSED_OVER, read_text, text_of
from edgecli.ai.tasks.conversation import Conversation
from edgecli.ai.tasks.tools import read_arguments
from edgecli.ai.tasks.validation import bad_input, mismatch

ROLES = ("system", "developer", "user", "assistant")


def read_items(items: Sequence[Any], earlier: Sequence[dict[str, Any]] = ()) -> list[dict[str, Any]]:
    """Return the conversation that the items make after `earlier` messages, in the form that templates take.

    Raises UsageError, cf_code 5006, for items that no model here can read.
    """
    conversation = Conversation(earlier)
    for number, item in enumerate(items):
        place = f"/input/{number}"
        if not isinstance(item, dict):
            raise bad_input(mismatch(place, "object", item))
        _read(conversation, cast("dict[str, Any]", item), place)
    return conversation.messages


def _read(conversation: Conversation, item: Mapping[str, Any], place: str) -> None:
    kind = item.get("type", "message")
    if kind == "message":
        role = item.get("role")
        if role not in ROLES:
            raise bad_input(f"'{place}/role' is {role!r}: it is one of {', '.join(ROLES)}")
        conversation.say(role, read_text(item.get("content"), f"{place}/content"))
    elif kind == "function_call":
        name = text_of(item, f"{place}/name", key="name")
        arguments = text_of(item, f"{place}/arguments", key="arguments")
        call_id = text_of(item, f"{place}/call_id", key="call_id")
        conversation.call(call_id, name, read_arguments(arguments, f"{place}/arguments"))
    elif kind == "function_call_output":
        call_id = text_of(item, f"{place}/call_id", key="call_id")
        conversation.result(call_id, read_text(item.get("output"), f"{place}/output"))
    elif kind not in PASSED_OVER:
        raise bad_input(
            f"'{place}/type' is {kind!r}: edgecli does not know this kind of item",
            hint="It takes message, function_call and function_call_output.",
        )
