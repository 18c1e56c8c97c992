"""A conversation that has outgrown the context of its model."""

from __future__ import annotations

from edgecli.chat.session import Session
from edgecli.errors import EdgeError

CONTEXT_EXCEEDED = 3030


def is_overflow(error: EdgeError) -> bool:
    """Tell whether an error says that the prompt does not fit into the context."""
    return error.code == "context_exceeded" or error.cf_code == CONTEXT_EXCEEDED


def turns_to_drop(session: Session, error: EdgeError, question: str, *, replaces: bool) -> int:
    """Return how many of the oldest turns to drop so that the question may fit; 0 if there are none."""
    tokens, context = error.details.get("prompt_tokens"), error.details.get("context")
    if not isinstance(tokens, int) or not isinstance(context, int):
        tokens, context = 2, 1  # the sizes are not known: drop half
    # The answer needs room too.
    room = min(session.max_tokens or context, context // 4)
    return session.turns_to_drop(
        excess=max(1, tokens - context + room), prompt_tokens=tokens, question=question, replaces=replaces
    )
