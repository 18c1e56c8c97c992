"""`models`: the models that can be called now. One object serves the clients of both APIs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from edgecli.models.schema import Task

if TYPE_CHECKING:
    from edgecli.models.view import ModelView

SERVED = (Task.TEXT_GENERATION.value, Task.TEXT_EMBEDDINGS.value)
EPOCH = "1970-01-01T00:00:00Z"
"""For a model whose date is not known."""


def listing(views: Sequence[ModelView], query: Mapping[str, str]) -> dict[str, Any]:
    """Return the installed models of the tasks that these APIs serve.

    `query` may hold Anthropic's `limit`, `after_id` and `before_id`; OpenAI's API gives all at once.
    """
    objects = [model_object(view) for view in views if is_served(view)]
    ids: list[str] = [each["id"] for each in objects]
    start = ids.index(query["after_id"]) + 1 if query.get("after_id") in ids else 0
    end = ids.index(query["before_id"]) if query.get("before_id") in ids else len(ids)
    limit = max(1, int(query["limit"])) if query.get("limit", "").isdecimal() else len(ids)
    page = objects[start:end][:limit] if query.get("before_id") not in ids else objects[start:end][-limit:]
    return {
        "object": "list",
        "data": page,
        "has_more": len(page) < end - start,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
    }


def is_served(view: ModelView) -> bool:
    """Tell whether a model can be called here: it is installed and does one of the tasks."""
    return view.installed and view.task in SERVED


def model_object(view: ModelView) -> dict[str, Any]:
    """Return one model: OpenAI's fields, and Anthropic's beside them."""
    since = view.pulled_at or EPOCH
    return {
        "id": view.id,
        "object": "model",
        "created": int(datetime.fromisoformat(since).timestamp()),
        "owned_by": _owner(view.stand_in or view.id),
        "type": "model",
        "display_name": f"{view.id} (stand-in: {view.stand_in})" if view.stand_in else view.id,
        "created_at": since,
        "lifecycle": "active",
        "max_input_tokens": view.context,
    }


def _owner(model_id: str) -> str:
    """Return the vendor of an id, `meta` of `@cf/meta/…`; edgecli's own have none."""
    parts = model_id.split("/")
    return parts[1] if len(parts) > 2 else "edgecli"
