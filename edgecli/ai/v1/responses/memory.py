"""The last responses, so that a request can continue one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from edgecli.errors import UsageError

KEPT = 256
"""Responses that are kept; each was no longer than its model's context, and shares what it continues."""


class ResponseMemory:
    """Conversations by the id of their last response. They are forgotten with the process, the oldest first."""

    def __init__(self, size: int = KEPT) -> None:
        self._size = size
        self._kept: OrderedDict[str, tuple[dict[str, Any], ...]] = OrderedDict()

    def keep(self, response_id: str, conversation: Sequence[dict[str, Any]]) -> None:
        """Keep a conversation, its answer included."""
        self._kept[response_id] = tuple(conversation)
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)

    def conversation(self, response_id: str) -> tuple[dict[str, Any], ...]:
        """Return the conversation that ends with this response. Raises UsageError if it is not kept."""
        if response_id not in self._kept:
            raise UsageError(
                f"AiError: Bad input: Error: '/previous_response_id' is {response_id!r}: no such response",
                hint=f"The server keeps the last {self._size}, until it ends, and none that said `store: false`. "
                "Send the whole conversation as `input`.",
                code="previous_response_not_found",
            )
        self._kept.move_to_end(response_id)
        return self._kept[response_id]
