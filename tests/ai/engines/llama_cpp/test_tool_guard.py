"""Calls of tools with the starter model's vocabulary: whatever tokens come, they are calls that fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from edgecli.ai.engines.generation import Tool
from edgecli.ai.engines.llama_cpp.constraint import ConstraintCompiler, TokenMatcher
from edgecli.ai.engines.llama_cpp.gguf_model import GgufModel
from edgecli.ai.engines.llama_cpp.tool_formats import GENERIC, HERMES, LLAMA, MISTRAL, MISTRAL_NAMED, ToolFormat
from edgecli.ai.engines.llama_cpp.tool_grammar import call_grammar, structure_tokens
from edgecli.ai.engines.llama_cpp.tool_guard import ToolGuard, tool_matcher
from edgecli.ai.engines.llama_cpp.tool_stream import ToolStream
from edgecli.errors import UsageError

from .drawing import Drawer

SCHEMAS: dict[str, dict[str, Any]] = {
    "weather": {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 8}, "unit": {"enum": ["C", "F"]}},
        "required": ["city"],
    },
    "weather_tomorrow": {
        "type": "object",
        "properties": {"at": {"$ref": "#/$defs/place"}},
        "required": ["at"],
        "$defs": {"place": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}},
    },
    "now": {},
    'say "hi"': {"type": "object", "properties": {"tree": {"$ref": "#"}, "n": {"const": 1}}},
}
TOOLS = tuple(Tool(name, "", parameters) for name, parameters in SCHEMAS.items())
FORMS = [HERMES, LLAMA, MISTRAL, MISTRAL_NAMED, GENERIC]
OPENED = {"hermes": "Well. <tool_call>", "llama": "", "mistral": "Well.[TOOL_CALLS]", "generic": "<tool_call>"}


@pytest.fixture(scope="module")
def model(generation_folder: Path) -> GgufModel:
    return GgufModel(next(generation_folder.rglob("*.gguf")), gpu_layers=0)


@pytest.fixture(scope="module")
def compiler(model: GgufModel) -> ConstraintCompiler:
    return ConstraintCompiler(model)


@pytest.fixture(scope="module")
def drawer(model: GgufModel) -> Drawer:
    return Drawer(model)


def read(form: ToolFormat, text: str) -> tuple[str, list[tuple[str, Any]]]:
    """Return the text and the calls of an answer."""
    stream = ToolStream(form, TOOLS)
    shown, parts = stream.feed(text)
    rest, more = stream.finish()
    assert not stream.cut
    calls: list[tuple[str, str]] = []
    for part in (*parts, *more):
        if part.name is not None:
            calls.append((part.name, ""))
        calls[-1] = (calls[-1][0], calls[-1][1] + part.arguments)
    return shown + rest, [(name, json.loads(arguments)) for name, arguments in calls]


def check(calls: list[tuple[str, Any]]) -> None:
    for name, arguments in calls:
        assert isinstance(arguments, dict)
        jsonschema.validate(arguments, SCHEMAS[name])
        assert name != "now" or arguments == {}


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@pytest.mark.parametrize("choice", ["required", "=weather_tomorrow", '=say "hi"'])
def test_a_call_that_must_come(
    compiler: ConstraintCompiler, model: GgufModel, drawer: Drawer, form: ToolFormat, choice: str
) -> None:
    whole = tool_matcher(compiler, model, form, TOOLS, choice)
    assert isinstance(whole, TokenMatcher)
    for seed in range(12):
        text, calls = read(form, drawer.text(drawer.tokens(whole.copy(), seed)))
        assert text == "" and 1 <= len(calls) <= form.calls
        assert choice == "required" or [name for name, _ in calls] == [choice[1:]]
        check(calls)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_call_that_may_come(compiler: ConstraintCompiler, model: GgufModel, drawer: Drawer, form: ToolFormat) -> None:
    guard = tool_matcher(compiler, model, form, TOOLS, "auto")
    assert isinstance(guard, ToolGuard)
    begun = OPENED[form.name] or ' {\n  "name" : "weather"'
    tokens = compiler.tokens_of(begun.encode())
    for token in tokens:
        assert drawer.allowed(guard).all() and not guard.ended
        guard.accept(token)
    assert not drawer.allowed(guard).all()
    for seed in range(12):
        text, calls = read(form, begun + drawer.text(drawer.tokens(guard.copy(), seed)))
        assert text == ("Well." if begun.startswith("Well.") else "") and calls
        check(calls)


def test_text_is_free_until_a_call_is_opened(compiler: ConstraintCompiler, model: GgufModel, drawer: Drawer) -> None:
    guard = tool_matcher(compiler, model, HERMES, TOOLS, "auto")
    assert guard is not None
    for token in compiler.tokens_of('{"name": "weather"} is <tool_cal and 你好'.encode()):
        guard.accept(token)
        assert drawer.allowed(guard).all() and not guard.ended


@pytest.mark.parametrize(
    "text", ['{"name": "Bob", "age": 3}', '{"weather": 1}', 'Say {"name": "weather"', '[{"name": "weather"', "{" * 300]
)
def test_json_that_is_no_call_stays_free(
    compiler: ConstraintCompiler, model: GgufModel, drawer: Drawer, text: str
) -> None:
    guard = tool_matcher(compiler, model, LLAMA, TOOLS, "auto")
    assert guard is not None
    for token in compiler.tokens_of(text.encode()):
        guard.accept(token)
    assert drawer.allowed(guard).all() and not guard.ended


def test_an_opening_may_end_within_a_token(compiler: ConstraintCompiler, model: GgufModel, drawer: Drawer) -> None:
    def after(form: ToolFormat, text: bytes, last: bytes) -> ToolGuard:
        guard = tool_matcher(compiler, model, form, TOOLS, "auto")
        assert isinstance(guard, ToolGuard)
        for token in [*compiler.tokens_of(text), drawer.pieces.index(last)]:
            guard.accept(token)
        return guard

    held = after(MISTRAL, b"[TOOL_CALLS", b"][")
    assert {drawer.pieces[token] for token in np.flatnonzero(drawer.allowed(held))} <= {b"{", b'{"'}
    free = after(HERMES, b"<tool_call", b"><")
    assert drawer.allowed(free).all()
    for token in compiler.tokens_of(b"tool_call>"):  # the next opening counts
        free.accept(token)
    assert not drawer.allowed(free).all()


def test_calls_end_with_the_answer(compiler: ConstraintCompiler, model: GgufModel, drawer: Drawer) -> None:
    matcher = tool_matcher(compiler, model, HERMES, TOOLS, "=now")
    assert matcher is not None
    for token in compiler.tokens_of(b'<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'):
        assert drawer.allowed(matcher)[token]
        matcher.accept(token)
    assert matcher.ended
    several = tool_matcher(compiler, model, HERMES, TOOLS, "required")
    only = tool_matcher(compiler, model, HERMES, TOOLS, "required", parallel=False)
    assert several is not None and only is not None
    for token in compiler.tokens_of(b'<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'):
        several.accept(token)
        only.accept(token)
    assert only.ended
    assert not several.ended
    allowed = drawer.allowed(several)
    assert allowed[drawer.ends].all() and {
        drawer.pieces[token] for token in np.flatnonzero(allowed & ~drawer.ends)
    } == {b"\n"}


def test_marks_that_are_tokens_of_structure(compiler: ConstraintCompiler, model: GgufModel, drawer: Drawer) -> None:
    # The starter model has no such marks; one of its other tokens of structure stands in.
    form = ToolFormat("mistral", native=True, opening="<|im_start|>", listed=True)
    structure = structure_tokens(model, form)
    (token,) = structure
    assert structure == {token: b"<|im_start|>"} and model.piece(token) == b""
    matcher = tool_matcher(compiler, model, form, TOOLS, "required")
    assert matcher is not None
    assert np.flatnonzero(drawer.allowed(matcher)).tolist() == [token]
    guard = tool_matcher(compiler, model, form, TOOLS, "auto")
    assert guard is not None
    guard.accept(token)
    assert not drawer.allowed(guard).all()
    hermes = ToolFormat("hermes", native=True, opening="<|im_start|>", closing="<|im_end|>")
    assert "<[" in call_grammar(hermes, TOOLS, calls=2, opened=False, structure=structure_tokens(model, hermes))


@pytest.mark.parametrize(
    ("tools", "choice", "problem"),
    [
        (TOOLS, "=wether", "names the tool `wether`; the tools are `weather`, `weather_tomorrow`, `now`"),
        ((), "=now", "there are none"),
        ((), "required", "there are none"),
        ((Tool("a"), Tool("a")), "auto", "two tools named `a`"),
        ((Tool(" "),), "auto", "has no name"),
        (tuple(Tool(f"t{i}") for i in range(500)), "auto", "holds 500 tools"),
    ],
)
def test_choices_that_are_refused(
    compiler: ConstraintCompiler, model: GgufModel, tools: tuple[Tool, ...], choice: str, problem: str
) -> None:
    with pytest.raises(UsageError) as caught:
        tool_matcher(compiler, model, HERMES, tools, choice)
    assert problem in caught.value.message and caught.value.cf_code == 5006


def test_no_tools_no_matcher(compiler: ConstraintCompiler, model: GgufModel) -> None:
    assert tool_matcher(compiler, model, HERMES, TOOLS, "none") is None
    assert tool_matcher(compiler, model, HERMES, (), "auto") is None


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"type": "object", "properties": {"me": {"$ref": "#"}}, "required": ["me"]}, "never ends"),
        (
            {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}},
            "'/properties/a', has `unique",
        ),
        ({"type": "object", "properties": {"a": {"type": "string", "pattern": "(?!x)"}}}, "look-ahead"),
    ],
)
def test_parameters_that_cannot_be_held(
    compiler: ConstraintCompiler, model: GgufModel, parameters: Any, problem: str
) -> None:
    with pytest.raises(UsageError) as caught:
        tool_matcher(compiler, model, HERMES, (*TOOLS, Tool("odd", "", parameters)), "auto")
    assert problem in caught.value.message
    assert caught.value.code == "schema_unsupported"


def test_many_tools(compiler: ConstraintCompiler, model: GgufModel, drawer: Drawer) -> None:
    tools = [Tool(f"tool_{index}", "", SCHEMAS["weather"]) for index in range(100)]
    matcher = tool_matcher(compiler, model, HERMES, tools, "required")
    assert matcher is not None
    assert drawer.text(drawer.tokens(matcher, 1)).startswith('<tool_call>\n{"name": "tool_')
