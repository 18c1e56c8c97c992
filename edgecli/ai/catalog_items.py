"""Models, tasks and authors as Cloudflare's catalog shows them: `ai/models/search` and its neighbours."""

from __future__ import annotations

import uuid
from typing import Any

from edgecli.models.schema import ModelSpec, Task

NAMESPACE = uuid.UUID("5f0c7a0e-4d0b-5f8e-9a55-0b6f2f1c3d11")
"""Of the ids that edgecli makes: the same name has the same id on every machine."""
CREATED_AT = "2026-08-28 00:00:00.000"
"""The day the shipped catalog was read; Cloudflare's own dates are not in it."""
USD_PER_NEURON = 0.011 / 1000
CLOUDFLARE, HUGGING_FACE = 1, 2

TASKS: dict[Task, tuple[str, str]] = {
    Task.TEXT_GENERATION: (
        "c329a1f9-323d-4e91-b2aa-582dd4188d34",
        "Generate text from a prompt or a conversation.",
    ),
    Task.TEXT_EMBEDDINGS: (
        "0137cdcf-162a-4108-94f2-1ca59e8c65ee",
        "Turn texts into vectors that stand for their meaning.",
    ),
    Task.TEXT_CLASSIFICATION: (
        "19606750-23ed-4371-aab2-c20349b53a60",
        "Sort texts into classes, or rank them against a query.",
    ),
    Task.SPEECH_RECOGNITION: ("dfce1c48-2a81-462e-a7fd-de97ce985207", "Turn speech into text."),
    Task.TEXT_TO_IMAGE: ("3d6e1f35-341b-4915-a6c8-9a7142a9033a", "Make an image from a description."),
    Task.IMAGE_TO_TEXT: ("882a91d1-c331-4eec-bdad-834c919942a8", "Describe an image in words."),
    Task.IMAGE_CLASSIFICATION: ("00cd182b-bf30-4fc4-8481-84a3ab349657", "Sort images into classes."),
    Task.OBJECT_DETECTION: ("9c178979-90d9-49d8-9e2c-0f1cf01815d4", "Find objects in an image."),
    Task.TRANSLATION: ("f57d07cb-9087-487a-bbbf-bc3e17fecc4b", "Translate a text into another language."),
    Task.SUMMARIZATION: ("6f4e65d8-da0f-40d2-9aa4-db582a5a04fd", "Shorten a text to what matters."),
    Task.TEXT_TO_SPEECH: ("b52660a1-9a95-4ab2-8b1d-f232be34604a", "Speak a text."),
    Task.VOICE_ACTIVITY: ("ccb1ca5a-043d-41a7-8a3b-61017b2796fd", "Tell whether and how long somebody speaks."),
}
"""Cloudflare's id of each task, and a line on it."""

_FLAGS = {
    "lora": "lora",
    "tools": "function_calling",
    "vision": "vision",
    "reasoning": "reasoning",
    "batch": "async_queue",
    "beta": "beta",
}
_UNITS = {
    "input": "per M input tokens",
    "cached": "per M cached input tokens",
    "output": "per M output tokens",
    "audio_minute": "per audio minute",
    "audio_minute_websocket": "per audio minute (websocket)",
    "thousand_characters": "per 1k characters",
    "million_images": "per M images",
    "tile": "per 512 by 512 tile",
    "step": "per step",
}
_PER_MILLION = {"input", "cached", "output"}


def stable_id(name: str) -> str:
    """Return the id of a name: always the same."""
    return str(uuid.uuid5(NAMESPACE, name))


def name_of(spec: ModelSpec) -> str:
    """Return the id that clients use."""
    return spec.requested_id or spec.id


def author_of(spec: ModelSpec) -> str:
    """Return who made a model, `meta` of `@cf/meta/…`; of an own model the first part of its id."""
    parts = name_of(spec).split("/")
    return parts[1] if len(parts) > 2 else parts[0].removeprefix("@")


def source_of(spec: ModelSpec) -> int:
    """Return Cloudflare's number of the place that a model comes from."""
    return HUGGING_FACE if name_of(spec).startswith("@hf/") else CLOUDFLARE


def model_item(spec: ModelSpec) -> dict[str, Any]:
    """Return a model as `ai/models/search` lists it."""
    return {
        "id": stable_id(name_of(spec)),
        "source": source_of(spec),
        "name": name_of(spec),
        "description": _description(spec),
        "task": task_item(spec.task),
        "created_at": CREATED_AT,
        "tags": [],
        "properties": _properties(spec),
    }


def task_item(task: Task) -> dict[str, str]:
    """Return a task as `ai/tasks/search` lists it."""
    task_id, description = TASKS[task]
    return {"id": task_id, "name": task.value, "description": description}


def author_item(name: str) -> dict[str, str]:
    """Return an author as `ai/authors/search` lists it."""
    return {"id": stable_id(f"author:{name}"), "name": name, "description": ""}


def _description(spec: ModelSpec) -> str:
    said = spec.description or (f"{spec.repository}, {spec.task}." if spec.repository else f"{spec.task}.")
    return f"{said} Here `{spec.id}` stands in for it." if name_of(spec) != spec.id else said


def _properties(spec: ModelSpec) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if spec.context is not None:
        found.append({"property_id": "context_window", "value": str(spec.context)})
    if spec.task is Task.TEXT_EMBEDDINGS:
        if spec.dimensions is not None:
            found.append({"property_id": "output_dimensions", "value": str(spec.dimensions)})
        if spec.context is not None:
            found.append({"property_id": "max_input_tokens", "value": str(spec.context)})
    found += [{"property_id": flag, "value": "true"} for can, flag in _FLAGS.items() if can in spec.capabilities]
    if prices := prices_of(spec):
        found.append({"property_id": "price", "value": prices})
    return found


def neurons_of(spec: ModelSpec) -> dict[str, float]:
    """Return the neurons of each unit that a model is priced by."""
    neurons = {
        "input": spec.neurons_input,
        "cached": spec.neurons_other.get("cached"),
        "output": spec.neurons_output,
    } | spec.neurons_other
    return {unit: count for unit, count in neurons.items() if count is not None}


def prices_of(spec: ModelSpec) -> list[dict[str, Any]]:
    """Return what a model costs on Workers AI in US dollars, in the order of its price list.

    Prices of tokens have three decimals, as published; reckoning is done in neurons.
    """
    return [
        {
            "unit": _UNITS.get(unit, f"per {unit.replace('_', ' ')}"),
            "price": round(count * USD_PER_NEURON, 3 if unit in _PER_MILLION else 7),
            "currency": "USD",
        }
        for unit, count in neurons_of(spec).items()
    ]
