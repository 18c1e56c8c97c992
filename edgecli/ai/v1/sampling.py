"""What the APIs share: how an answer is drawn, and what form it must have."""

from __future__ import annotations

from typing import Annotated, Any, cast

from pydantic import Field

from edgecli.ai.engines.generation import Constraint
from edgecli.ai.tasks.text_generation import MAX_TOKENS, Whole
from edgecli.ai.tasks.validation import TaskInput, bad_input

OPENAI_FORM = ("chat_completions",)
"""What every model can do here, whatever its form on `ai/run`."""

ModelId = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Whole, Field(ge=1, le=MAX_TOKENS)]
"""Of tokens."""
Seed = Annotated[int, Whole, Field(ge=-(2**63), lt=2**63)]


class Sampling(TaskInput):
    """How an answer is drawn, in the fields that OpenAI and Anthropic share, and `min_p` of our own."""

    model: ModelId
    stream: bool = False
    temperature: float | None = Field(default=None, ge=0, le=5)
    """None is the setting `edgecli.generation.temperature`."""
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: Annotated[int, Whole, Field(ge=1)] | None = None
    min_p: float | None = Field(default=None, ge=0, le=1)


def read_format(form: Any, place: str) -> Constraint | None:
    """Return what a `response_format` or `text.format` demands of the answer; None is free text.

    A JSON Schema comes bare, in OpenAI's wrapper `{"name", "schema", "strict"}`, or beside the type. Raises
    UsageError, cf_code 5006.
    """
    if form is None:
        return None
    kind = form.get("type") if isinstance(form, dict) else None
    if kind == "text":
        return None
    if kind == "json_object":
        return Constraint("json")
    if kind == "json_schema":
        return Constraint("json_schema", _schema(form, place))
    raise bad_input(f"'{place}/type' is {kind!r}: unknown", hint='It takes "text", "json_object" and "json_schema".')


def _schema(form: Any, place: str) -> dict[str, Any]:
    given = form.get("json_schema", form.get("schema"))
    # `schema` is no keyword of JSON Schema: an object that has it is a wrapper.
    if isinstance(given, dict) and isinstance(given.get("schema"), dict):
        given = given["schema"]
    if not isinstance(given, dict):
        raise bad_input(f"'{place}' has no JSON Schema", hint="Send it as an object, `json_schema.schema`.")
    return cast("dict[str, Any]", given)
