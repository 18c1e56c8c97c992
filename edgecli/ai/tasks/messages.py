"""The conversation of a text generation, in the form that chat templates take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from edgecli.ai.tasks.content import read_text
from edgecli.ai.tasks.conversation import Conversation
from edgecli.ai.tasks.tools import read_arguments
from edgecli.ai.tasks.validation import bad_input, mismatch

if TYPE_CHECKING:
    from edgecli.ai.tasks.text_generation import ChatMessage


def read_messages(messages: Sequence[ChatMessage], *, parts: bool) -> list[dict[str, Any]]:
    """Return the conversation; `parts` allows contents in parts.

    Calls of tools come flat or in OpenAI's form; in Workers AI's own form neither they nor their results need
    ids. Raises UsageError, cf_code 5006.
    """
    conversation = Conversation()
    for number, message in enumerate(messages):
        place = f"/messages/{number}"
        text = _content(message, place, parts=parts)
        if message.role == "tool":
            conversation.result(message.tool_call_id or "", text, name=message.name)
            continue
        conversation.say(message.role, text, name=message.name)
        for index, call in enumerate(message.tool_calls or ()):
            _add_call(conversation, call, f"{place}/tool_calls/{index}")
    return conversation.messages


def _content(message: ChatMessage, place: str, *, parts: bool) -> str:
    content = message.content
    if isinstance(content, str):
        return content
    if content is None and message.role == "assistant" and message.tool_calls:
        return ""
    if "content" not in message.model_fields_set:
        raise bad_input(_conversation(f"required properties at '{place}' are 'content'"))
    if not parts or not isinstance(content, list):
        raise bad_input(
            _conversation(mismatch(f"{place}/content", "string", content)),
            hint="This model takes text as a string." if isinstance(content, list) else None,
        )
    return read_text(content, f"{place}/content")


def _conversation(problem: str) -> str:
    return f"oneOf at '/' not met, 0 matches: required properties at '/' are 'prompt', {problem}"


def _add_call(conversation: Conversation, call: Mapping[str, Any], place: str) -> None:
    function: Any = call.get("function", call)
    name = cast("Mapping[str, Any]", function).get("name") if isinstance(function, dict) else None
    if not isinstance(name, str):
        raise bad_input(f"required properties at '{place}' are 'name'")
    arguments: Any = cast("Mapping[str, Any]", function).get("arguments")
    if arguments is None or isinstance(arguments, str):
        arguments = read_arguments(arguments or "", f"{place}/arguments")
    if not isinstance(arguments, dict):
        raise bad_input(mismatch(f"{place}/arguments", "object", arguments))
    call_id = call.get("id")
    conversation.call(call_id if isinstance(call_id, str) else "", name, cast("dict[str, Any]", arguments))
