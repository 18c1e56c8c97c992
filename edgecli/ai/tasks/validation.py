"""Check the inputs of a model and say what is wrong as Workers AI does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from edgecli.errors import UsageError

T = TypeVar("T", bound="TaskInput")


class TaskInput(BaseModel):
    """Inputs of a task. Types are taken strictly; unknown keys are ignored, as clients send many."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


def listed(value: Any) -> Any:
    """Return a text as the only one of a list: where clients may send one or several."""
    return [value] if isinstance(value, str) else value


def bad_input(problem: str, *, hint: str | None = None) -> UsageError:
    """Return the error of a request that the model's schema refuses."""
    return UsageError(f"AiError: Bad input: Error: {problem}", hint=hint, code="bad_input", cf_code=5006)


def parse(kind: type[T], inputs: Mapping[str, Any]) -> T:
    """Return the checked inputs; a key with the value null counts as left out.

    Raises UsageError that names each wrong field and its value.
    """
    try:
        return kind.model_validate({key: value for key, value in inputs.items() if value is not None})
    except ValidationError as error:
        problems = [_say(each) for each in error.errors(include_url=False)]
        raise bad_input(", ".join(dict.fromkeys(problems)), hint=_hint(kind)) from error


def _hint(kind: type[TaskInput]) -> str:
    return f"The model takes: {', '.join(f'`{name}`' for name in kind.model_fields)}."


def _say(problem: Any) -> str:
    place = "/" + "/".join(str(part) for part in problem["loc"])
    kind: str = problem["type"]
    if kind == "missing":
        parent, _, name = place.rpartition("/")
        return f"required properties at '{parent or '/'}' are '{name}'"
    if kind == "value_error":
        return str(problem["ctx"]["error"])
    if kind.endswith("_type"):
        wanted = {"int": "integer", "float": "number", "bool": "boolean", "list": "array", "dict": "object"}
        name = kind.removesuffix("_type")
        return f"Type mismatch of '{place}', '{json_type(problem['input'])}' not in '{wanted.get(name, name)}'"
    said = problem["msg"].lower().replace(" after validation", "")
    return f"'{place}' is {_shown(problem['input'])}: {said}"


def json_type(value: Any) -> str:
    """Return the name that JSON Schema has for the type of a value."""
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:79] + "…"
