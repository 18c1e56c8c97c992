"""The form that an answer must have: free text, JSON, or JSON by a schema."""

from __future__ import annotations

from typing import Any, cast

from edgecli.ai.engines.generation import Constraint
from edgecli.ai.tasks.validation import bad_input


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
