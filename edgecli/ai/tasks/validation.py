"""Check the inputs of a model and say what is wrong as Workers AI does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from edgecli.errors import UsageError

T = TypeVar("T", bound="TaskInput")
MAX_PROBLEMS = 8
"""Problems that one error names: a conversation may have thousands."""
_BOUNDS = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " items"),
)
"""Keywords of JSON Schema, and what they count."""
_NUMBERS = {"integer": "whole numbers, ", "number": "numbers, "}


class TaskInput(BaseModel):
    """Inputs of a task. Types are taken strictly; unknown keys are ignored, as clients send many."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, allow_inf_nan=False)


def listed(value: Any) -> Any:
    """Return a text as the only one of a list: where clients may send one or several."""
    return [value] if isinstance(value, str) else value


def whole_number(value: Any) -> Any:
    """Return a number without a fraction as an integer: JSON does not tell `5` from `5.0`."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def bad_input(problem: str, *, hint: str | None = None) -> UsageError:
    """Return the error of a request that the model's schema refuses."""
    return UsageError(f"AiError: Bad input: Error: {problem}", hint=hint, code="bad_input", cf_code=5006)


def parse(kind: type[T], inputs: Mapping[str, Any], *, either: tuple[str, ...] = (), strict: bool = False) -> T:
    """Return the checked inputs; a key with the value null counts as left out.

    Exactly one of `either` has to be there; that not two of them are, is the model's own to check. With `strict`,
    keys that the model does not know are refused. Raises UsageError that names each wrong field and its value.
    """
    given = {key: value for key, value in inputs.items() if value is not None}
    if strict and (unknown := [key for key in given if key not in kind.model_fields]):
        listed_keys = ", ".join(f"/{key}" for key in unknown)
        raise bad_input(f"Additional or unevaluated properties '{listed_keys}' at '/' not allowed", hint=taken_by(kind))
    missing = [name for name in either if name not in given]
    problems = [f"required properties at '/' are '{name}'" for name in missing] if missing else []
    if either and len(missing) == len(either):
        raise bad_input(_one_of(problems), hint=taken_by(kind))
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        found = list(dict.fromkeys(_say(each) for each in errors))
        if len(found) > MAX_PROBLEMS:
            found[MAX_PROBLEMS:] = [f"and {len(found) - MAX_PROBLEMS} more"]
        inside = any(each["loc"][0] in either and each["type"] != "string_too_long" for each in errors if each["loc"])
        said = _one_of([*problems, *found]) if inside and len(missing) == len(either) - 1 else ", ".join(found)
        raise bad_input(said, hint=_hint(kind, errors)) from error


def _one_of(problems: list[str]) -> str:
    return f"oneOf at '/' not met, 0 matches: {', '.join(problems)}"


def taken_by(kind: type[TaskInput]) -> str:
    """Return a hint that names what a model takes."""
    return f"The model takes: {', '.join(f'`{name}`' for name in kind.model_fields)}."


def _hint(kind: type[TaskInput], errors: Sequence[Any]) -> str | None:
    """Return the ranges of the fields that are out of theirs; the names of all fields where one is missing."""
    if any(each["type"] == "missing" and len(each["loc"]) == 1 for each in errors):
        return taken_by(kind)
    fields: Mapping[str, Any] = kind.model_json_schema()["properties"]
    names = dict.fromkeys(each["loc"][0] for each in errors if len(each["loc"]) == 1)
    return " ".join(filter(None, (_rule(name, fields.get(name, {})) for name in names))) or None


def _rule(name: str, field: Mapping[str, Any]) -> str | None:
    """Say which values a field takes, if its schema has bounds."""
    for schema in (field, *field.get("anyOf", ())):
        for low, high, unit in _BOUNDS:
            least, most = schema.get(low), schema.get(high)
            if least is not None or most is not None:
                what = _NUMBERS.get(str(schema.get("type")), "")
                return f"`{name}` takes {what}{_range(least, most)}{unit}."
    return None


def _range(least: float | None, most: float | None) -> str:
    if least is None or most is None:
        return f"{least} or more" if most is None else f"at most {most}"
    return f"{least} to {most}"


def _say(problem: Any) -> str:
    place = "/" + "/".join(str(part) for part in problem["loc"])
    kind: str = problem["type"]
    if kind == "missing":
        parent, _, name = place.rpartition("/")
        return f"required properties at '{parent or '/'}' are '{name}'"
    if kind == "string_too_long":
        return f"'{place}' has {len(problem['input'])} characters: it takes at most {problem['ctx']['max_length']}"
    if kind == "value_error":
        return str(problem["ctx"]["error"])
    if kind.endswith("_type"):
        wanted = {"int": "integer", "float": "number", "bool": "boolean", "list": "array"} | {
            "dict": "object",
            "model": "object",
        }
        name = kind.removesuffix("_type")
        return mismatch(place, wanted.get(name, name), problem["input"])
    said = problem["msg"].lower().replace(" after validation", "")
    return f"'{place}' is {_shown(problem['input'])}: {said}"


def mismatch(place: str, wanted: str, value: Any) -> str:
    """Say that a value has another type, in the words of Cloudflare's validator: first what is wanted."""
    return f"Type mismatch of '{place}', '{wanted}' not in '{json_type(value)}'"


def json_type(value: Any) -> str:
    """Return the name that JSON Schema has for the type of a value."""
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")


def _shown(value: Any) -> str:
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return f"about {float(value):g}"  # JSON's reader keeps no more of it
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:79] + "…"
