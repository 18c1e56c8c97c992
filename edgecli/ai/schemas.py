"""The JSON Schemas of models: `ai/models/schema`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from edgecli.ai.choice import not_available
from edgecli.errors import NotFoundError
from edgecli.models.schema import ModelSpec, Task

if TYPE_CHECKING:
    from edgecli.ai.service import AiService

UNKNOWN_MODEL = 6002
"""The code that this endpoint has for what is 5007 elsewhere."""


def schema_of(service: AiService, model: str) -> dict[str, Any]:
    """Return the schemas of a model. Raises NotFoundError, cf_code 6002; EngineError if nothing here runs it."""
    try:
        return schemas(service.spec(model))
    except NotFoundError as error:
        error.cf_code = UNKNOWN_MODEL
        raise


def schemas(spec: ModelSpec) -> dict[str, Any]:
    """Return `{input, output}`: what a model takes and gives. Raises EngineError for a task that nothing runs."""
    if spec.task is Task.TEXT_GENERATION:
        return {"input": _text_generation_input(spec), "output": _text_generation_output(spec)}
    if spec.task is Task.TEXT_EMBEDDINGS:
        return {"input": _text_embeddings_input(spec), "output": _text_embeddings_output(spec)}
    raise not_available(spec)


def _text_embeddings_input(spec: ModelSpec) -> dict[str, Any]:
    from edgecli.ai.tasks.text_embeddings import input_type

    kind = input_type(spec.capabilities)
    schema = kind.model_json_schema()
    properties: dict[str, Any] = schema["properties"]
    for name in [name for form in kind.forms for name in form]:
        several = _required(properties[name])
        # One text or several: both become a list before they are checked.
        one_or_several = {"oneOf": [{"type": "string", "minLength": 1}, several]}
        properties[name] = several if name == "contexts" else one_or_several
    schema["oneOf"] = [{"anyOf": [{"required": [name]} for name in form]} for form in kind.forms]
    return schema


def _text_embeddings_output(spec: ModelSpec) -> dict[str, Any]:
    from edgecli.ai.tasks.text_embeddings import ContextsResult, TextEmbeddingsResult

    whole = TypeAdapter(TextEmbeddingsResult).json_schema()
    if "contexts" not in spec.capabilities:
        return whole
    contexts = TypeAdapter(ContextsResult).json_schema()
    return {"oneOf": [whole, contexts], "$defs": contexts.pop("$defs")}


def _text_generation_input(spec: ModelSpec) -> dict[str, Any]:
    from edgecli.ai.tasks.text_generation import input_type

    schema = input_type(spec.capabilities).model_json_schema()
    properties: dict[str, Any] = schema["properties"]
    for name, value in spec.defaults.items():
        properties[name]["default"] = value
    for name in ("prompt", "messages"):
        properties[name] = _required(properties[name])
    schema["oneOf"] = [
        {"title": "Prompt", "required": ["prompt"]},
        {"title": "Messages", "required": ["messages"]},
    ]
    if "strict" in spec.capabilities:
        schema["additionalProperties"] = False
    return schema


def _required(field: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a field that may be left out and may not be null."""
    kept = next(each for each in field["anyOf"] if each.get("type") != "null")
    return kept | {key: value for key, value in field.items() if key in {"description"}}


def _text_generation_output(spec: ModelSpec) -> dict[str, Any]:
    from edgecli.ai.tasks.chat_completion_schema import ChatCompletion
    from edgecli.ai.tasks.text_results import TextGenerationResult

    kind: Any = ChatCompletion if "chat_completions" in spec.capabilities else TextGenerationResult
    return {
        "oneOf": [
            TypeAdapter(kind).json_schema(),
            {"type": "string", "contentMediaType": "text/event-stream", "format": "binary"},
        ]
    }
