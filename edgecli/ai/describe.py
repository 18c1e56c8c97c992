"""What a model is and where it runs, for people and for `ps`."""

from __future__ import annotations

from typing import Any

from edgecli.ai.embedding_host import EmbeddingHost
from edgecli.ai.pool import Entry
from edgecli.models.schema import ModelSpec


def describe(spec: ModelSpec, entry: Entry[Any] | None) -> dict[str, Any]:
    """Return a model's id, task and engine, and where it runs if `entry` has it loaded."""
    facts: dict[str, Any] = {
        "id": spec.id,
        "name": spec.display_name,
        "task": str(spec.task),
        "engine": spec.engine,
        "loaded": False,
        "device": None,
        "layers": None,
        "context": spec.context,
    }
    model = entry.loaded if entry is not None else None
    if entry is None or model is None:
        return facts
    facts |= {"loaded": True, "users": entry.users, "seconds_left": entry.seconds_left}
    if isinstance(model, EmbeddingHost):
        known = model.facts
        facts |= {"engine": known.engine, "device": known.device, "context": known.max_tokens}
        return facts | {"dimensions": known.dimensions, "pid": known.pid}
    known = model.facts
    layers = dict(zip(("gpu", "total"), known.gpu_layers, strict=True))
    facts |= {"engine": known.engine, "device": known.device, "layers": layers, "context": known.context}
    return facts | {"cells": known.cells, "slots": known.slots, "memory": known.memory, "pid": known.pid}
