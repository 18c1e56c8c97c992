"""Search the catalog as `ai/models/search` does."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from edgecli.ai.catalog_items import author_of, model_item, name_of, neurons_of, source_of
from edgecli.ai.tasks.validation import bad_input
from edgecli.models.catalog import task_of
from edgecli.models.schema import ModelSpec, Task

MAX_PAGE = 1000
_USD_PER_NEURON_TOKEN = 0.011 / 1000 / 1_000_000


def _blank_is_none(value: Any) -> Any:
    return None if value == "" else value


class ModelSearch(BaseModel):
    """The query of `ai/models/search`; unknown parameters are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    author: str = ""
    hide_experimental: bool = False
    include_deprecated: bool = False
    """Taken and without effect: edgecli's catalog has no dates of deprecation, so nothing is left out."""
    page: Annotated[int, Field(ge=1)] = 1
    per_page: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 50
    search: str = ""
    """Words that the id, description, task or author hold."""
    source: Annotated[float | None, BeforeValidator(_blank_is_none)] = None
    task: str = ""
    """A task's name, `Text Generation` or `text-generation`."""
    format: Annotated[Literal["openrouter"] | None, BeforeValidator(_blank_is_none)] = None


def read_query(query: Mapping[str, str]) -> ModelSearch:
    """Return the checked query. Raises UsageError, cf_code 5006, that names the parameter and its value."""
    try:
        return ModelSearch.model_validate(dict(query))
    except ValidationError as error:
        problems = [f"'/{each['loc'][0]}' is \"{each['input']}\": {each['msg'].lower()}" for each in error.errors()]
        raise bad_input(", ".join(problems), hint=f"Parameters: {', '.join(ModelSearch.model_fields)}.") from error


def search(specs: Sequence[ModelSpec], query: ModelSearch) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return one page of what is found, empty past the last one, and the `result_info` that goes with it.

    Raises NotFoundError for a task that there is none of.
    """
    wanted = task_of(query.task) if query.task else None
    found = [spec for spec in specs if _matches(spec, query, wanted)]
    start = (query.page - 1) * query.per_page
    shown = found[start : start + query.per_page]
    info = {
        "page": query.page,
        "per_page": query.per_page,
        "count": len(shown),
        "total_count": len(found),
        "total_pages": math.ceil(len(found) / query.per_page),
    }
    return [openrouter_item(spec) if query.format else model_item(spec) for spec in shown], info


def _matches(spec: ModelSpec, query: ModelSearch, task: Task | None) -> bool:
    if task is not None and spec.task is not task:
        return False
    if query.author and author_of(spec).lower() != query.author.lower():
        return False
    if query.source is not None and source_of(spec) != query.source:
        return False
    if query.hide_experimental and "beta" in spec.capabilities:
        return False
    text = f"{name_of(spec)} {spec.id} {spec.description} {spec.task} {spec.repository or ''}".lower()
    return all(word in text for word in query.search.lower().split())


def openrouter_item(spec: ModelSpec) -> dict[str, Any]:
    """Return a model in the form that OpenRouter asks of providers: prices are dollars for one token."""
    neurons = neurons_of(spec)
    features = {"tools": "tools", "json_mode": "json_mode", "reasoning": "reasoning"}
    return {
        "id": name_of(spec),
        "hugging_face_id": spec.repository or "",
        "name": name_of(spec),
        "created": None,
        "input_modalities": ["text", "image"] if "vision" in spec.capabilities else ["text"],
        "output_modalities": ["text"],
        "context_length": spec.context,
        "pricing": {
            "prompt": _per_token(neurons.get("input")),
            "completion": _per_token(neurons.get("output")),
            "input_cache_read": _per_token(neurons.get("cached")),
        },
        "supported_features": [name for can, name in features.items() if can in spec.capabilities],
    }


def _per_token(neurons: float | None) -> str:
    return f"{(neurons or 0) * _USD_PER_NEURON_TOKEN:.12f}".rstrip("0").rstrip(".")
