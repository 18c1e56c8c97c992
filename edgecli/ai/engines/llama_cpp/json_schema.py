"""Prepare a JSON Schema from outside for llguidance.

What comes out allows nothing that the schema forbids. It forbids some of what the schema allows, where a small model
would lose itself: properties that the schema does not name (unless it says what they are), whole numbers that
JavaScript cannot hold, values of any form that are nested deeper than ANY_DEPTH, and, where keywords speak of one type
only, values of other types.

Source of the keywords: JSON Schema 2020-12; of draft 4 to 7 a boolean `exclusiveMinimum` and a list of `items`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast
from urllib.parse import unquote

from edgecli.ai.engines.llama_cpp.regex_size import regex_size
from edgecli.ai.engines.llama_cpp.schema_limits import REFERENCES, SHORTEST, shortest, too_large
from edgecli.ai.engines.llama_cpp.schema_parts import ANY, FORMATS, NO_FORMATS, OWN_FORMATS, any_values
from edgecli.errors import UsageError

PATTERN_SIZE = 5_000
"""Characters of a pattern with its repetitions written out."""
PROPERTIES = 400
"""Named properties of one object; each may be the next, and all are tried for each token."""
LARGEST = 2**53 - 1
"""The largest whole number that every reader of JSON takes exactly (RFC 8259, section 6)."""

_REFUSED = (
    *("not", "if", "then", "else", "dependentRequired", "dependentSchemas", "dependencies", "contains", "minContains"),
    *("maxContains", "propertyNames", "unevaluatedProperties", "unevaluatedItems", "$dynamicRef", "$recursiveRef"),
)
_OF_TYPE: dict[str, tuple[str, ...]] = {
    "object": (
        *("properties", "required", "additionalProperties", "patternProperties", "minProperties", "maxProperties"),
    ),
    "array": ("items", "prefixItems", "minItems", "maxItems"),
    "string": ("pattern", "format", "minLength", "maxLength"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
_TYPES = (*_OF_TYPE, "integer", "boolean", "null")
_COUNTS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
_CHOICES = ("anyOf", "oneOf", "allOf")
# Control characters without an escape of their own, and halves of surrogate pairs.
_UNWRITABLE = re.compile("[\x00-\x07\x0b\x0e-\x1f\ud800-\udfff]")


def prepare_schema(schema: Any, subject: str) -> dict[str, Any]:
    """Return the schema for llguidance, its `$ref`s all to its own `$defs`.

    Raises UsageError, code `schema_unsupported`, that names what cannot be held and where, `subject` first.
    """
    if (problem := too_large(schema)) is not None:
        raise unsupported(f"{subject} {problem}", hint="Send a smaller schema.")
    prepared = _Preparation(schema, subject)
    whole, parts = shortest(prepared.schema)
    for name, pointer in prepared.pointers.items():
        if math.isinf(parts[name]):
            raise unsupported(
                f"{subject} refers with `$ref` to '{pointer}', whose every value holds another one: it never ends",
                hint="Let the inner one be left out, be null, or be in a list that may be empty.",
            )
    if whole > SHORTEST:
        raise unsupported(
            f"{subject} asks for at least {whole:.0f} characters", hint="Lower `minItems` or `minLength`."
        )
    return prepared.schema


def unsupported(problem: str, *, hint: str) -> UsageError:
    """Return the error of a form that answers cannot be held to."""
    return UsageError(f"AiError: Bad input: Error: {problem}.", hint=hint, code="schema_unsupported", cf_code=5006)


class _Preparation:
    """One schema on its way; `schema` is what comes out."""

    def __init__(self, source: Any, subject: str) -> None:
        self._source = source
        self._subject = subject
        self._names: dict[str, str] = {}  # by JSON pointer into the source, in the new `$defs`
        self._joins = _joins(source)
        """Whether parts of it hold together: then none may be narrowed alone, as they might exclude each other."""
        self._any = False
        self._readers: dict[str, Callable[[str, Any, str], dict[str, Any]]] = {
            **dict.fromkeys(("properties", "patternProperties"), self._children),
            **dict.fromkeys((*_CHOICES, "prefixItems"), self._list),
            **dict.fromkeys(("items", "additionalItems", "additionalProperties"), self._one),
            **dict.fromkeys(("pattern", "format"), self._text),
            **dict.fromkeys(_COUNTS, self._count),
            **dict.fromkeys(_OF_TYPE["number"], self._number),
            **dict.fromkeys(("const", "enum"), self._values),
            "required": self._names_list,
            "type": self._kind,
            "$ref": self._ref,
        }
        root = self._node(source, "")
        if root is False:
            raise self._error("", "allows no value", hint="Send an object with a `type`.")
        definitions: dict[str, Any] = {}
        while missing := [pointer for pointer in self._names if self._names[pointer] not in definitions]:
            for pointer in missing:
                definitions[self._names[pointer]] = self._node(self._resolve(pointer), pointer)
        if self._any:
            definitions |= any_values()
        self.schema: dict[str, Any] = {**(ANY if root is True else root), "$defs": definitions}

    @property
    def pointers(self) -> dict[str, str]:
        """By name in the new `$defs`: where in the source it comes from."""
        return {name: f"#{pointer}" for pointer, name in self._names.items()}

    def _error(self, at: str, problem: str, *, hint: str = "Leave it out.") -> UsageError:
        return unsupported(f"{self._subject}, at '{at or '/'}', {problem}", hint=hint)

    def _node(self, node: Any, at: str) -> Any:
        """Return one schema as it is to be; `at` is its JSON pointer."""
        if isinstance(node, bool):
            return node and self._anything()
        if not isinstance(node, dict):
            raise self._error(at, "is no JSON Schema, which is an object")
        source = cast("dict[str, Any]", node)
        for key in _REFUSED:
            if key in source:
                raise self._error(at, f"has `{key}`, which answers cannot be held to")
        if source.get("uniqueItems"):
            raise self._error(at, "has `uniqueItems`, which answers cannot be held to")
        out: dict[str, Any] = {}
        # In the source's order, as the order of properties follows from it.
        for key, value in source.items():
            if (read := self._readers.get(key)) is not None:
                out |= read(key, value, f"{at}/{key}")
        _old_bounds(out)
        self._infer_type(out)
        if "format" in out:
            self._read_format(out, at)
        if not out:
            return self._anything()
        if not self._joins:
            self._narrow(out)
        self._check_counts(out, at)
        return out

    def _anything(self) -> Any:
        if self._joins:
            return True
        self._any = True
        return dict(ANY)

    def _children(self, key: str, value: Any, at: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._error(at, "is no object")
        children = cast("dict[str, Any]", value)
        if len(children) > PROPERTIES:
            raise self._error(at, f"has {len(children)} properties; an answer can be held to {PROPERTIES}")
        self._check_characters(list(children), at)
        if key == "patternProperties":
            for pattern in children:
                self._check_pattern(pattern, at)
        return {key: {name: self._node(child, f"{at}/{_escape(name)}") for name, child in children.items()}}

    def _list(self, key: str, value: Any, at: str) -> dict[str, Any]:
        if not isinstance(value, list) or not value:
            raise self._error(at, "is no list of schemas")
        return {key: [self._node(each, f"{at}/{index}") for index, each in enumerate(cast("list[Any]", value))]}

    def _one(self, key: str, value: Any, at: str) -> dict[str, Any]:
        if key == "items" and isinstance(value, list):
            return self._list("prefixItems", value, at) if value else {}
        return {"items" if key == "additionalItems" else key: self._node(value, at)}

    def _ref(self, key: str, value: Any, at: str) -> dict[str, Any]:
        if not isinstance(value, str) or not (value == "#" or value.startswith("#/")):
            raise self._error(
                at, f"is {value!r}: only places in the schema itself can be referred to", hint="Use '#/$defs/NAME'."
            )
        pointer = unquote(value[1:])
        name = self._names.setdefault(pointer, f"ref{len(self._names)}")
        if len(self._names) > REFERENCES:
            raise self._error(at, f"is one of more than {REFERENCES} different `$ref`s", hint="Send a smaller schema.")
        self._resolve(pointer)
        return {key: f"#/$defs/{name}"}

    def _resolve(self, pointer: str) -> Any:
        place = self._source
        for part in pointer.split("/")[1:]:
            part = part.replace("~1", "/").replace("~0", "~")
            try:
                place = place[int(part)] if isinstance(place, list) else place[part]
            except (KeyError, IndexError, ValueError, TypeError):
                raise self._error("", f"has a `$ref` to '#{pointer}', which it does not hold") from None
        return place

    def _kind(self, key: str, value: Any, at: str) -> dict[str, Any]:
        kinds = cast("list[Any]", value) if isinstance(value, list) else [value]
        for kind in kinds:
            if kind not in _TYPES:
                raise self._error(at, f"is {kind!r}, which is no type", hint=f"The types are {', '.join(_TYPES)}.")
        return {key: value}

    def _text(self, key: str, value: Any, at: str) -> dict[str, Any]:
        if not isinstance(value, str):
            raise self._error(at, "is no string")
        if key == "pattern":
            self._check_pattern(value, at)
        return {key: value}

    def _count(self, key: str, value: Any, at: str) -> dict[str, Any]:
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise self._error(at, f"is {value!r} and not a whole number from 0")
        return {key: value}

    def _number(self, key: str, value: Any, at: str) -> dict[str, Any]:
        if isinstance(value, bool) and key.startswith("exclusive"):
            return {key: value}
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self._error(at, f"is {value!r} and not a number")
        return {key: value}

    def _values(self, key: str, value: Any, at: str) -> dict[str, Any]:
        self._check_characters(value, at)
        if key == "enum" and (not isinstance(value, list) or not value):
            raise self._error(at, "is no list of values")
        return {key: value}

    def _names_list(self, key: str, value: Any, at: str) -> dict[str, Any]:
        if not isinstance(value, list) or not all(isinstance(name, str) for name in cast("list[Any]", value)):
            raise self._error(at, "is no list of names")
        self._check_characters(value, at)
        return {key: list(dict.fromkeys(cast("list[str]", value)))}

    def _check_characters(self, value: Any, at: str) -> None:
        """Refuse characters that JSON can write only as `\\uXXXX`, a form that answers do not have."""
        waiting = [value]
        while waiting:
            each = waiting.pop()
            if isinstance(each, dict):
                waiting += [*cast("dict[str, Any]", each).items()]
            elif isinstance(each, list | tuple):
                waiting += cast("list[Any]", each)
            elif isinstance(each, str) and (found := _UNWRITABLE.search(each)):
                written = f"\\u{ord(found.group()):04x}"
                raise self._error(at, f"holds the character {written}, which answers cannot be held to")

    def _check_pattern(self, pattern: str, at: str) -> None:
        self._check_characters(pattern, at)
        if regex_size(pattern) > PATTERN_SIZE:
            raise self._error(
                at,
                f"has a pattern that is longer than {PATTERN_SIZE} characters with its repetitions written out",
                hint="Use smaller numbers in `{…}`, or `maxLength`.",
            )

    def _infer_type(self, out: dict[str, Any]) -> None:
        """Say the type where keywords speak of one only."""
        if any(key in out for key in ("type", "enum", "const", "$ref", *_CHOICES)) or self._joins:
            return
        kinds = [kind for kind, keys in _OF_TYPE.items() if any(key in out for key in keys)]
        if len(kinds) == 1:
            out["type"] = kinds[0]

    def _read_format(self, out: dict[str, Any], at: str) -> None:
        name: str = out["format"]
        if name in NO_FORMATS or (_types(out) and "string" not in _types(out)):
            del out["format"]
        elif name in OWN_FORMATS:
            del out["format"]
            if "pattern" in out:
                raise self._error(at, f"has a `pattern` beside the `format` {name}", hint="Keep one of the two.")
            out["pattern"] = OWN_FORMATS[name]
        elif name not in FORMATS:
            known = ", ".join((*OWN_FORMATS, *FORMATS))
            raise self._error(
                f"{at}/format", f"is {name!r}", hint=f"The formats are {known}; write others as a `pattern`."
            )
        elif "pattern" not in out:
            out["maxLength"] = min(out.get("maxLength", FORMATS[name]), FORMATS[name])

    def _narrow(self, out: dict[str, Any]) -> None:
        """Leave out what the schema allows by saying nothing."""
        types = _types(out)
        if "object" in types and "additionalProperties" not in out:
            named = out.get("properties", {})
            lacking = any(name not in named for name in out.get("required", ()))
            closed = "patternProperties" in out or (named and not lacking)
            out["additionalProperties"] = False if closed else self._anything()
        if "array" in types and "items" not in out:
            out["items"] = self._anything()
        if types == ["integer"] and not any(key in out for key in ("multipleOf", "enum", "const")):
            if not ("minimum" in out or "exclusiveMinimum" in out):
                out["minimum"] = min(-LARGEST, math.floor(out.get("maximum", out.get("exclusiveMaximum", 0))) - 1)
            if not ("maximum" in out or "exclusiveMaximum" in out):
                out["maximum"] = max(LARGEST, math.ceil(out.get("minimum", out.get("exclusiveMinimum", 0))) + 1)

    def _check_counts(self, out: dict[str, Any], at: str) -> None:
        """Names that the schema does not list may come twice, and then count once for who reads the answer."""
        if out.get("minProperties", 0) > max(1, len(out.get("required", ()))):
            raise self._error(at, "has a `minProperties` larger than its `required`, which answers cannot be held to")


def _types(out: Mapping[str, Any]) -> Sequence[str]:
    kinds = out.get("type", ())
    return [kinds] if isinstance(kinds, str) else kinds


def _old_bounds(out: dict[str, Any]) -> None:
    """Write draft 4's `exclusiveMinimum: true` as later drafts do."""
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(out.get(exclusive), bool) and out.pop(exclusive) and bound in out:
            out[exclusive] = out.pop(bound)


def _joins(value: Any) -> bool:
    """Tell whether a schema has parts that must hold together: `allOf`, or `$ref` or choices beside other keywords."""
    structural = {key for keys in _OF_TYPE.values() for key in keys} | {"type", "enum", "const"}
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += cast("list[Any]", each)
        elif isinstance(each, dict):
            node = cast("dict[str, Any]", each)
            waiting += node.values()
            joining = [key for key in ("allOf", "anyOf", "oneOf", "$ref") if key in node]
            several = "allOf" in node and isinstance(node["allOf"], list) and len(cast("list[Any]", node["allOf"])) > 1
            if several or len(joining) > 1 or (joining and structural & node.keys()):
                return True
    return False


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
