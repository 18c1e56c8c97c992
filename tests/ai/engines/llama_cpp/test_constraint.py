"""Forms of answers, with the starter model's vocabulary: whatever tokens come, the answer fits."""

from __future__ import annotations

import datetime
import ipaddress
import json
import re
import time
import uuid
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from edgecli.ai.engines.generation import Constraint
from edgecli.ai.engines.llama_cpp.constraint import ConstraintCompiler
from edgecli.ai.engines.llama_cpp.gguf_model import GgufModel
from edgecli.errors import UsageError

from .drawing import Drawer

TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "value": {"type": "integer"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}, "maxItems": 2},
            },
            "required": ["value"],
        }
    },
}
LINKED = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 5}, "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
    "required": ["name", "next"],
    "additionalProperties": False,
}
SCHEMAS: dict[str, Any] = {
    "enum": {"enum": ["red", "green", 3, None, {"a": [1.5]}, "北京"]},
    "const": {"type": "object", "properties": {"kind": {"const": 'a "quoted"\n line'}}, "required": ["kind"]},
    "nested": {
        "type": "object",
        "properties": {
            "person": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0, "maximum": 150}},
                "required": ["age", "name"],
            }
        },
        "required": ["person"],
    },
    "optional": {"type": "object", "properties": {key: {"type": "boolean"} for key in "abcdef"}},
    "order": {
        "type": "object",
        "properties": {"z": {"type": "null"}, "a": {"type": "null"}, "m": {"type": "null"}},
        "required": ["a", "z", "m"],
    },
    "array": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 4},
    "tuple": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}], "items": False, "minItems": 2},
    "old tuple": {"type": "array", "items": [{"type": "boolean"}, {"type": "null"}], "additionalItems": False},
    "pattern": {"type": "string", "pattern": "^[A-Z]{2}-\\d{3,5}$"},
    "part pattern": {"type": "string", "pattern": "x[0-9]y", "maxLength": 12},
    "lengths": {"type": "array", "items": {"type": "string", "minLength": 3, "maxLength": 6}, "maxItems": 3},
    "formats": {
        "type": "object",
        "properties": {
            name: {"type": "string", "format": name}
            for name in ("date", "time", "date-time", "uuid", "ipv4", "ipv6", "email", "duration", "hostname")
        },
        "required": ["date", "time", "date-time", "uuid", "ipv4", "ipv6"],
    },
    "anyOf": {"anyOf": [{"type": "string", "maxLength": 3}, {"type": "integer", "exclusiveMinimum": 5}]},
    "oneOf": {
        "oneOf": [
            {
                "type": "object",
                "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}},
                "required": ["kind"],
            },
            {"type": "object", "properties": {"kind": {"const": "dog"}, "good": {"const": True}}, "required": ["kind"]},
        ]
    },
    "allOf": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
            {"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"]},
        ]
    },
    "choice beside": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
    },
    "definitions": {
        "type": "object",
        "properties": {"from": {"$ref": "#/definitions/point"}, "to": {"$ref": "#/definitions/point"}},
        "required": ["from", "to"],
        "definitions": {
            "point": {
                "type": "array",
                "items": {"type": "number", "minimum": -1, "maximum": 1},
                "minItems": 2,
                "maxItems": 2,
            }
        },
    },
    "odd places": {
        "type": "object",
        "properties": {"a/b~c": {"type": "integer"}, "d": {"$ref": "#/properties/a~1b~0c"}},
        "required": ["d"],
    },
    "tree": TREE,
    "linked": LINKED,
    "map": {
        "type": "object",
        "additionalProperties": {"type": "integer", "minimum": 1, "maximum": 9},
        "maxProperties": 3,
    },
    "pattern map": {"type": "object", "patternProperties": {"^x-[a-z]+$": {"type": "boolean"}}},
    "open": {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": {"type": "string"}},
    "some property": {"type": "object", "additionalProperties": {"type": "null"}, "minProperties": 1},
    "integers": {
        "type": "array",
        "items": {"type": "integer", "multipleOf": 7, "minimum": -100, "maximum": 100},
        "maxItems": 5,
    },
    "numbers": {"type": "array", "items": {"type": "number", "exclusiveMinimum": 0, "maximum": 12.5}, "maxItems": 5},
    "old bounds": {
        "type": "integer",
        "minimum": 3,
        "exclusiveMinimum": True,
        "maximum": 5,
        "$schema": "http://json-schema.org/draft-04/schema#",
    },
    "plain numbers": {"type": "array", "items": {"type": ["integer", "number"]}, "maxItems": 4},
    "nullable": {
        "type": "object",
        "properties": {"x": {"type": ["string", "null"], "maxLength": 4}},
        "required": ["x"],
    },
    "anything": {"type": "object", "properties": {"x": {}, "y": True}, "required": ["x", "y"]},
    "sloppy": {"properties": {"a": {"minLength": 2, "maxLength": 3}}, "required": ["a"]},
    "pydantic": {
        "$defs": {"Colour": {"enum": ["red", "green"], "title": "Colour", "type": "string"}},
        "properties": {
            "colour": {"$ref": "#/$defs/Colour", "description": "Which one"},
            "also": {"anyOf": [{"$ref": "#/$defs/Colour"}, {"type": "null"}], "default": None, "title": "Also"},
            "tags": {"items": {"type": "string", "maxLength": 4}, "title": "Tags", "type": "array", "maxItems": 2},
        },
        "required": ["colour", "tags"],
        "title": "Choice",
        "type": "object",
    },
    "names with quotes": {
        "type": "object",
        "properties": {'a"b\\': {"type": "null"}, "名": {"type": "null"}},
        "required": ["名"],
    },
}
REFUSED: dict[str, tuple[Any, str]] = {
    "not": ({"type": "object", "properties": {"a": {"not": {"type": "string"}}}}, "'/properties/a', has `not`"),
    "if": ({"if": {"type": "string"}}, "`if`"),
    "uniqueItems": ({"type": "array", "uniqueItems": True}, "`uniqueItems`"),
    "contains": ({"type": "array", "contains": {"const": 1}}, "`contains`"),
    "dependentRequired": ({"type": "object", "dependentRequired": {"a": ["b"]}}, "`dependentRequired`"),
    "overlapping oneOf": ({"oneOf": [{"type": "string"}, {"type": "string", "minLength": 1}]}, "oneOf"),
    "look-ahead": ({"type": "string", "pattern": "^(?=a)b"}, "look-ahead"),
    "back-reference": ({"type": "string", "pattern": "(a)\\1"}, "backreferences"),
    "broken pattern": ({"type": "string", "pattern": "("}, "unclosed group"),
    "huge pattern": ({"type": "string", "pattern": "((a{1000}){1000}){1000}"}, "longer than 5000 characters"),
    "unknown format": ({"type": "string", "format": "colour"}, "'/format', is 'colour'"),
    "remote": ({"$ref": "https://example.com/schema.json"}, "'https://example.com/schema.json'"),
    "dangling": ({"$ref": "#/$defs/missing"}, "'#/$defs/missing', which it does not hold"),
    "itself": ({"$ref": "#"}, "never ends"),
    "circle": ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}, "'#/$defs/a'"),
    "endless": ({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "never ends"),
    "endless where optional": (
        {
            "type": "object",
            "properties": {"a": {"$ref": "#/$defs/l"}},
            "$defs": {"l": {"type": "array", "items": {"$ref": "#/$defs/l"}, "minItems": 1}},
        },
        "'#/$defs/l', whose every value holds another one",
    ),
    "long string": ({"type": "string", "minLength": 10**9}, "at least 1000000002 characters"),
    "long array": ({"type": "array", "minItems": 10**9}, "at least"),
    "impossible": ({"allOf": [{"type": "string"}, {"type": "number"}]}, "incompatible types"),
    "nothing": (False, "allows no value"),
    "no schema": ([], "is no JSON Schema"),
    "no type": ({"type": "text"}, "'text', which is no type"),
    "wrong value": ({"type": "object", "properties": 5}, "'/properties', is no object"),
    "negative count": ({"type": "array", "minItems": -1}, "'/minItems', is -1"),
    "huge bound": ({"type": "integer", "minimum": -(10**30), "maximum": 10**30}, "integer range"),
    "few distinct names": ({"type": "object", "minProperties": 3}, "`minProperties`"),
    "control character": ({"const": "a\u0001b"}, "\\u0001"),
    "half a pair": ({"enum": ["\ud800"]}, "\\ud800"),
    "many properties": ({"type": "object", "properties": {f"p{i}": {} for i in range(3000)}}, "3000 properties"),
    "explosion": (
        {
            "allOf": [
                {"anyOf": [{"properties": {f"p{i}": {"const": j}}, "required": [f"p{i}"]} for j in range(10)]}
                for i in range(12)
            ]
        },
        "too large",
    ),
}


@pytest.fixture(scope="module")
def model(generation_folder: Path) -> GgufModel:
    return GgufModel(next(generation_folder.rglob("*.gguf")), gpu_layers=0)


@pytest.fixture(scope="module")
def compiler(model: GgufModel) -> ConstraintCompiler:
    return ConstraintCompiler(model)


@pytest.fixture(scope="module")
def drawer(model: GgufModel) -> Drawer:
    return Drawer(model)


def deep(levels: int) -> Any:
    schema: Any = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


@pytest.mark.parametrize("name", SCHEMAS)
def test_what_is_drawn_fits_the_schema(compiler: ConstraintCompiler, drawer: Drawer, name: str) -> None:
    schema = SCHEMAS[name]
    whole = compiler.compile(Constraint("json_schema", schema))
    validator = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    if name == "old tuple":
        validator = jsonschema.Draft7Validator
    for seed in range(15):
        answer = drawer.text(drawer.tokens(whole.copy(), seed))
        validator(schema).validate(json.loads(answer))
        assert not re.search(r'[\n\r\t]|  (?=[^"]*("[^"]*"[^"]*)*$)', re.sub(r'"(\\.|[^"\\])*"', '""', answer))


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_held_is_refused(compiler: ConstraintCompiler, name: str) -> None:
    schema, problem = REFUSED[name]
    began = time.perf_counter()
    with pytest.raises(UsageError) as caught:
        compiler.compile(Constraint("json_schema", schema))
    assert problem in caught.value.message
    assert (caught.value.code, caught.value.cf_code, caught.value.status) == ("schema_unsupported", 5006, 400)
    assert caught.value.hint
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize("levels", [65, 900, 100_000])
def test_a_deep_schema_is_refused_at_once(compiler: ConstraintCompiler, levels: int) -> None:
    with pytest.raises(UsageError, match="deeper than 64 levels"):
        compiler.compile(Constraint("json_schema", deep(levels)))
    compiler.compile(Constraint("json_schema", deep(30)))


def test_a_large_schema_is_refused_at_once(compiler: ConstraintCompiler) -> None:
    with pytest.raises(UsageError, match="larger than 20000 values"):
        compiler.compile(Constraint("json_schema", {"enum": list(range(1_000_000))}))


@pytest.mark.parametrize("kind", ["allOf", "anyOf"])
def test_definitions_that_double_cost_no_more_than_their_text(compiler: ConstraintCompiler, kind: str) -> None:
    definitions: dict[str, Any] = {f"a{i}": {kind: [{"$ref": f"#/$defs/a{i + 1}"}] * 2} for i in range(30)}
    definitions["a30"] = {"type": "object", "properties": {"x": {"type": "string"}}}
    began = time.perf_counter()
    compiler.compile(Constraint("json_schema", {"$ref": "#/$defs/a0", "$defs": definitions}))
    assert time.perf_counter() - began < 5


def test_formats_are_real_values(compiler: ConstraintCompiler, drawer: Drawer) -> None:
    whole = compiler.compile(Constraint("json_schema", SCHEMAS["formats"]))
    for seed in range(40):
        answer = json.loads(drawer.text(drawer.tokens(whole.copy(), seed)))
        datetime.date.fromisoformat(answer["date"])
        datetime.time.fromisoformat(answer["time"])
        datetime.datetime.fromisoformat(answer["date-time"])
        uuid.UUID(answer["uuid"])
        ipaddress.IPv4Address(answer["ipv4"])
        ipaddress.IPv6Address(answer["ipv6"])


def test_the_29th_of_february_comes_in_leap_years_only(compiler: ConstraintCompiler) -> None:
    whole = compiler.compile(Constraint("json_schema", {"type": "string", "format": "date"}))
    for date, fits in {"2024-02-29": True, "2000-02-29": True, "1900-02-29": False, "2023-02-29": False}.items():
        assert takes(compiler, whole.copy(), f'"{date}"') is fits, date


def takes(compiler: ConstraintCompiler, matcher: Any, text: str) -> bool:
    return bool(matcher.try_accept(compiler.tokens_of(text.encode())))


def test_any_json_object(compiler: ConstraintCompiler, drawer: Drawer) -> None:
    whole = compiler.compile(Constraint("json"))
    for seed in range(40):
        assert isinstance(json.loads(drawer.text(drawer.tokens(whole.copy(), seed))), dict)
    assert takes(compiler, whole.copy(), '{"a": [1, {"b": null}], "c": "x"}')
    assert not takes(compiler, whole.copy(), "[1]")
    assert not takes(compiler, whole.copy(), '{"a":  1}')
    assert not takes(compiler, whole.copy(), '{"a": ' + "[" * 17)


def test_strings_hold_chinese_as_it_is(compiler: ConstraintCompiler, drawer: Drawer) -> None:
    whole = compiler.compile(Constraint("json_schema", {"type": "string"}))
    tokens = compiler.tokens_of('"你好，世界 🌍"'.encode())
    matcher = whole.copy()
    for token in tokens:  # each allowed by its mask, also where a character is spread over tokens
        assert drawer.allowed(matcher)[token]
        matcher.accept(token)
    assert matcher.ended
    assert not takes(compiler, whole.copy(), '"\\u4f60"')


def test_the_end_may_come_where_the_answer_may_end(compiler: ConstraintCompiler, drawer: Drawer) -> None:
    matcher = compiler.compile(Constraint("regex", "ab*"))
    assert not (drawer.allowed(matcher) & drawer.ends).any()
    (a,) = compiler.tokens_of(b"a")
    matcher.accept(a)
    allowed = drawer.allowed(matcher)
    assert allowed[drawer.ends].all() and allowed.sum() > drawer.ends.sum()
    assert not matcher.ended
    whole = compiler.compile(Constraint("regex", "a"))
    whole.accept(a)
    assert whole.ended
    assert (drawer.allowed(whole) == drawer.ends).all()


def test_a_copy_goes_its_own_way(compiler: ConstraintCompiler, drawer: Drawer) -> None:
    one = compiler.compile(Constraint("regex", "[ab]c"))
    other = one.copy()
    one.accept(compiler.tokens_of(b"a")[0])
    assert drawer.text(np.flatnonzero(drawer.allowed(one)).tolist()) == "c"
    pieces = {drawer.pieces[token] for token in np.flatnonzero(drawer.allowed(other))}
    assert {b"a", b"b"} <= pieces <= {b"a", b"b", b"ac", b"bc"}


@pytest.mark.parametrize("pattern", ["^[a-c]{2,4}$", "yes|no", "\\d{3}-\\w+", "(你好|hello)[!！]", "a/b\\\\"])
def test_regular_expressions(compiler: ConstraintCompiler, drawer: Drawer, pattern: str) -> None:
    whole = compiler.compile(Constraint("regex", pattern))
    for seed in range(20):
        answer = drawer.text(drawer.tokens(whole.copy(), seed))
        assert re.fullmatch(pattern, answer, re.ASCII), answer


@pytest.mark.parametrize("pattern", ["(", "a(?=b)", "(a)\\1", "a{100000}", "[^\\s\\S]", 5, None])
def test_regular_expressions_that_are_refused(compiler: ConstraintCompiler, pattern: Any) -> None:
    with pytest.raises(UsageError) as caught:
        compiler.compile(Constraint("regex", pattern))
    assert (caught.value.code, caught.value.cf_code) == ("schema_unsupported", 5006)
    assert caught.value.message.startswith("AiError: Bad input: Error: the regular expression ")


def test_a_token_that_was_not_allowed_is_an_error(compiler: ConstraintCompiler) -> None:
    matcher = compiler.compile(Constraint("regex", "a"))
    with pytest.raises(UsageError) as caught:
        matcher.accept(compiler.tokens_of(b"b")[0])
    assert caught.value.code == "constraint_failed"


def test_masks_are_quick(compiler: ConstraintCompiler, drawer: Drawer) -> None:
    whole = compiler.compile(Constraint("json_schema", SCHEMAS["pydantic"]))
    logits = np.zeros(len(drawer.pieces), dtype=np.float32)
    spent: list[float] = []
    for seed in range(20):
        matcher = whole.copy()
        for token in drawer.tokens(whole.copy(), seed):
            began = time.perf_counter()
            matcher.restrict(logits)
            matcher.accept(token)
            spent.append(time.perf_counter() - began)
    assert np.median(spent) < 0.002  # 0.0001 where nothing else runs
