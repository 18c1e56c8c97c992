"""The last responses, so that a request can continue one, and a client can read it again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

from starlette.requests import Request

from edgecli.envelope import to_json
from edgecli.errors import EdgeError, NotFoundError, UsageError

KEPT = 256
"""Responses that are kept."""
MAX_BYTES = 64 * 1024 * 1024
"""Of all that is kept, as JSON; what conversations share counts for each."""


class Kept(NamedTuple):
    """What is known of a response."""

    conversation: tuple[dict[str, Any], ...]
    """Its answer included."""
    response: dict[str, Any]
    """The object as the client got it."""
    size: int
    """Bytes of both, as JSON."""


class ResponseMemory:
    """Responses by their id. They are forgotten with the process, the oldest first."""

    def __init__(self, size: int = KEPT, *, max_bytes: int = MAX_BYTES) -> None:
        self._size = size
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[str, Kept] = OrderedDict()

    def keep(self, response: dict[str, Any], conversation: Sequence[dict[str, Any]]) -> None:
        """Keep a finished response and its conversation, its answer included."""
        kept = Kept(tuple(conversation), response, len(to_json([conversation, response])))
        self._kept[response["id"]] = kept
        self._bytes += kept.size
        while len(self._kept) > self._size or self._bytes > self._max_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.size

    def conversation(self, response_id: str) -> tuple[dict[str, Any], ...]:
        """Return the conversation that ends with this response. Raises UsageError if it is not kept."""
        if response_id not in self._kept:
            raise UsageError(
                f"AiError: Bad input: Error: '/previous_response_id' is {response_id!r}: no such response",
                hint=f"{self._rule()} Send the whole conversation as `input`.",
                code="previous_response_not_found",
            )
        self._kept.move_to_end(response_id)
        return self._kept[response_id].conversation

    def response(self, response_id: str) -> dict[str, Any]:
        """Return a response as it was given. Raises NotFoundError, code `response_not_found`."""
        if response_id not in self._kept:
            raise self._missing(response_id)
        return self._kept[response_id].response

    def forget(self, response_id: str) -> None:
        """Keep a response no longer. Raises NotFoundError, code `response_not_found`."""
        if response_id not in self._kept:
            raise self._missing(response_id)
        self._bytes -= self._kept.pop(response_id).size

    def _missing(self, response_id: str) -> EdgeError:
        said = f"Response with id {response_id!r} not found."
        return NotFoundError(said, hint=self._rule(), code="response_not_found")

    def _rule(self) -> str:
        return f"The server keeps the last {self._size}, until it ends, and none that said `store: false`."


def memory_of(request: Request) -> ResponseMemory:
    """Return the memory of the server that was asked, the same for all paths."""
    state = request.app.state
    if not hasattr(state, "responses"):
        state.responses = ResponseMemory()
    return state.responses
