"""Conversations in the form that chat templates take, whichever API they came by.

A turn of the assistant that called tools has `tool_calls` with parsed arguments; a result has the role `tool`, the
id of its call, and the name of its tool, which some templates print and some clients leave out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Conversation:
    """The messages so far, those of an earlier conversation first."""

    def __init__(self, earlier: Sequence[dict[str, Any]] = ()) -> None:
        self.messages = [*earlier]
        calls = [call for message in earlier for call in message.get("tool_calls", ())]
        self._called: dict[str, str] = {call["id"]: call["function"]["name"] for call in calls}

    def say(self, role: str, text: str, *, name: str | None = None) -> None:
        """Add a message of text."""
        message = {"role": "system" if role == "developer" else role, "content": text}
        self.messages.append(message | {"name": name} if name else message)

    def call(self, call_id: str, name: str, arguments: dict[str, Any]) -> None:
        """Add a call of a tool to the assistant's turn, or begin one with it."""
        last = self.messages[-1] if self.messages else None
        if last is None or last["role"] != "assistant":
            last = {"role": "assistant", "content": ""}
            self.messages.append(last)
        calls = [*last.get("tool_calls", ())]
        calls.append({"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}})
        # A new object: the old one may be kept for another conversation that begins alike.
        self.messages[-1] = last | {"tool_calls": calls}
        self._called[call_id] = name

    def result(self, call_id: str, text: str, *, name: str | None = None) -> None:
        """Add what a tool gave."""
        name = name or self._called.get(call_id)
        message = {"role": "tool", "tool_call_id": call_id, "content": text}
        self.messages.append(message | {"name": name} if name else message)
