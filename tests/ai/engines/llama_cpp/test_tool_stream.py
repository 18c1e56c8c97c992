"""Calls of tools in generated text, however it is cut into pieces."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from typing import Any

import pytest

from edgecli.ai.engines.generation import Tool, ToolCallPart
from edgecli.ai.engines.llama_cpp.tool_formats import GENERIC, HERMES, LLAMA, MISTRAL, MISTRAL_NAMED, ToolFormat
from edgecli.ai.engines.llama_cpp.tool_stream import ToolStream

TOOLS = (Tool("weather"), Tool("add"))
ADD = '{"name": "add", "arguments": {"x": 1, "y": [2, {"z": "}"}]}}'
ADDED = ("add", {"x": 1, "y": [2, {"z": "}"}]})
WEATHER = '{"name": "weather", "arguments": {"city": "北京"}}'
WEATHERED = ("weather", {"city": "北京"})


def run(form: ToolFormat, text: str, *, seed: int | None = None) -> tuple[str, list[tuple[str, Any]], ToolStream]:
    """Feed `text`, cut at random places, and put together what comes out."""
    stream = ToolStream(form, TOOLS)
    luck = random.Random(seed)
    shown, parts = "", list[ToolCallPart]()
    position = 0
    while position < len(text):
        length = len(text) if seed is None else luck.choice([1, 1, 2, 3, 5, 8])
        more, calls = stream.feed(text[position : position + length])
        shown += more
        parts += calls
        position += length
    rest, calls = stream.finish()
    return shown + rest, together([*parts, *calls]), stream


def together(parts: Sequence[ToolCallPart]) -> list[tuple[str, Any]]:
    calls: list[tuple[str, str]] = []
    for part in parts:
        if part.id is not None:
            assert part.name and part.index == len(calls) and re.fullmatch(r"call_[0-9a-f]{24}", part.id)
            calls.append((part.name, ""))
        else:
            assert part.index == len(calls) - 1
        name, arguments = calls[-1]
        calls[-1] = (name, arguments + part.arguments)
    return [(name, json.loads(arguments)) for name, arguments in calls]


NAMED = 'add[ARGS]{"x": 1, "y": [2, {"z": "}"}]}'

CASES: list[tuple[ToolFormat, str, str | None, list[tuple[str, Any]]]] = [
    (MISTRAL_NAMED, f"[TOOL_CALLS]{NAMED}", "", [ADDED]),
    (
        MISTRAL_NAMED,
        f'I look.[TOOL_CALLS] {NAMED}[TOOL_CALLS]weather[ARGS]{{"city": "北京"}}',
        "I look.",
        [ADDED, WEATHERED],
    ),
    (MISTRAL_NAMED, "[TOOL_CALLS]nothing[ARGS]{}", "[TOOL_CALLS]nothing[ARGS]{}", []),
    (MISTRAL_NAMED, "[TOOL_CALLS]add[ARGS]{}[TOOL_CALLS]add", "", [("add", {})]),
    (MISTRAL_NAMED, "[TOOL_CALLS]add[ARGS]1", "[TOOL_CALLS]add[ARGS]1", []),
    (MISTRAL_NAMED, "[TOOL_CALLS]ad", "[TOOL_CALLS]ad", []),
    (HERMES, "No call at all.", "No call at all.", []),
    (HERMES, f"<tool_call>\n{ADD}\n</tool_call>", "", [ADDED]),
    (HERMES, f"I will look.\n\n<tool_call>{WEATHER}</tool_call>", "I will look.", [WEATHERED]),
    (HERMES, f"<tool_call>\n{ADD}\n</tool_call>\n<tool_call>\n{WEATHER}\n</tool_call>\n", "", [ADDED, WEATHERED]),
    (HERMES, f"<tool_call>\n{ADD}\n</tool_call>\nDone.", "\nDone.", [ADDED]),
    (HERMES, f"<tool_call>\n{ADD}", "", [ADDED]),
    (HERMES, f"<tool_call>\n{ADD}<tool_call>{WEATHER}", "", [ADDED, WEATHERED]),
    (HERMES, "a < b and <tool_box>", "a < b and <tool_box>", []),
    (HERMES, "so <tool_call", "so <tool_call", []),
    (HERMES, "<tool_call> no JSON", "<tool_call> no JSON", []),
    (HERMES, f"<tool_call>no <tool_call>{ADD}", "<tool_call>no", [ADDED]),
    (HERMES, '<tool_call>{"name": "add", "arguments": [1]}</tool_call>', None, []),
    (HERMES, '<tool_call>{"name": "unknown", "arguments": {}}</tool_call> x', None, []),
    (HERMES, '<tool_call>{"arguments": {"x": 1}}</tool_call>', None, []),
    (HERMES, '<tool_call>{"name": 5}</tool_call>', None, []),
    (HERMES, "<tool_call>[1, 2]</tool_call>", None, []),
    (HERMES, '<tool_call>{"name": "add", oops}</tool_call>', None, []),
    (HERMES, '<tool_call>{"name": "add"', None, []),
    (HERMES, '<tool_call>{"name": "add"}</tool_call>', "", [("add", {})]),
    (HERMES, '<tool_call>{"name": "add", "arguments": null}</tool_call>', "", [("add", {})]),
    (HERMES, '<tool_call>{"arguments": {"x": 1}, "name": "add"}</tool_call>', "", [("add", {"x": 1})]),
    (
        HERMES,
        '<tool_call>{"id": 17, "name": "add", "parameters": {"x": -1.5e3}}</tool_call>',
        "",
        [("add", {"x": -1.5e3})],
    ),
    (HERMES, '<tool_call>{"name": "add", "arguments": "{\\"x\\": 1}"}</tool_call>', "", [("add", {"x": 1})]),
    (HERMES, '<tool_call>{"name": "add", "arguments": "x = 1"}</tool_call>', None, []),
    (
        HERMES,
        '<tool_call>{"name": "add", "arguments": {"s": "</tool_call>\\u4f60"}}</tool_call>',
        "",
        [("add", {"s": "</tool_call>你"})],
    ),
    (GENERIC, f"Let me see: <tool_call>\n{WEATHER}\n</tool_call>", "Let me see:", [WEATHERED]),
    (LLAMA, '{"name": "add", "parameters": {"x": 1}}', "", [("add", {"x": 1})]),
    (LLAMA, ' \n{ "name" : "add" , "parameters" : { } }\n', "", [("add", {})]),
    (LLAMA, '<|python_tag|>{"type": "function", "name": "add", "parameters": {"x": 1}}', "", [("add", {"x": 1})]),
    (
        LLAMA,
        '{"function": "add", "parameters": {}}; {"name": "weather", "parameters": {}}',
        "",
        [("add", {}), ("weather", {})],
    ),
    (LLAMA, '{"name": "Bob", "age": 5}', None, []),
    (LLAMA, '{"age": 5}\nThat was {"name": "add"}', None, []),
    (LLAMA, 'Use {"name": "add", "parameters": {}}', None, []),
    (LLAMA, "{ is a bracket", None, []),
    (MISTRAL, f"[TOOL_CALLS][{ADD}]", "", [ADDED]),
    (MISTRAL, f"[TOOL_CALLS] [{ADD}, {WEATHER}]", "", [ADDED, WEATHERED]),
    (MISTRAL, f"Well. [TOOL_CALLS][{ADD}] And?", "Well. And?", [ADDED]),
    (MISTRAL, "[TOOL_CALLS] none [1]", None, []),
    (MISTRAL, "[TOOL_CALLS][]", None, []),
]


@pytest.mark.parametrize(("form", "text", "shown", "calls"), CASES)
def test_text_and_calls(form: ToolFormat, text: str, shown: str | None, calls: list[tuple[str, Any]]) -> None:
    for seed in (None, *range(25)):
        got, found, stream = run(form, text, seed=seed)
        assert (got, found) == (text if shown is None else shown, calls)
        assert (stream.calls, stream.cut) == (len(calls), False)


def test_a_call_is_given_out_while_it_is_written() -> None:
    stream = ToolStream(HERMES, TOOLS)
    assert stream.feed('<tool_call>{"name": "add"') == ("", [])
    text, parts = stream.feed(', "arguments": {"x": 1')
    assert text == "" and [(part.index, part.name, part.arguments) for part in parts] == [
        (0, "add", ""),
        (0, None, '{"x": 1'),
    ]
    assert [part.arguments for part in stream.feed("2, ")[1]] == ["2, "]
    assert [part.arguments for part in stream.feed('"y": 3}}</tool')[1]] == ['"y": 3}']
    assert stream.feed("_call>") == ("", []) and stream.finish() == ("", [])


def test_text_is_held_back_no_longer_than_needed() -> None:
    stream = ToolStream(HERMES, TOOLS)
    assert stream.feed("Hello <to")[0] == "Hello"
    assert stream.feed("e>")[0] == " <toe>"


@pytest.mark.parametrize("form", [HERMES, LLAMA, MISTRAL])
def test_a_call_that_breaks_off_ends_as_json(form: ToolFormat) -> None:
    opening = {"hermes": "<tool_call>", "llama": "", "mistral": "[TOOL_CALLS]["}[form.name]
    whole = f'{opening}{{"name": "add", "{form.key}": {{"x": [1.5, "a\\n"], "y": null}}}}'
    shown_from = whole.index("{", whole.index(form.key))
    for length in range(shown_from + 1, len(whole)):
        text, calls, stream = run(form, whole[:length], seed=length)
        assert text == "" and len(calls) == 1 and calls[0][0] == "add"
        assert stream.cut is (length < len(whole) - 1)


def test_half_of_one_more_call_is_dropped() -> None:
    for form, more in (
        (HERMES, '\n<tool_call>\n{"name": "weather", "arguments"'),
        (HERMES, "\n<tool_ca"),
        (HERMES, "\n<tool_call>\n"),
        (MISTRAL, ', {"name": "wea'),
        (LLAMA, '; {"na'),
    ):
        opening = {"hermes": "<tool_call>", "llama": "", "mistral": "[TOOL_CALLS]["}[form.name]
        text, calls, stream = run(form, f"{opening}{ADD}{form.closing}{more}", seed=len(more))
        assert (text, calls, stream.cut) == ("", [ADDED], False), more


def test_a_call_that_goes_wrong_late_ends_as_json() -> None:
    text, calls, stream = run(HERMES, '<tool_call>{"name": "add", "arguments": {"x": 1, oops}} more', seed=3)
    assert calls == [("add", {"x": 1, "": None})]
    assert text == "oops}} more" and stream.cut


def test_noise_never_raises() -> None:
    luck = random.Random(1)
    words = [
        "<tool_call>",
        "</tool_call>",
        "[TOOL_CALLS]",
        "<|python_tag|>",
        '{"name": ',
        '"add"',
        '"arguments": ',
        "{",
        "}",
    ]
    words += ["[", "]", ",", '"', "\\", "x", " ", "\n", "1", "null", ": ", ADD]
    for _ in range(1500):
        text = "".join(luck.choice(words) for _ in range(luck.randrange(1, 14)))
        for form in (HERMES, LLAMA, MISTRAL, GENERIC):
            run(form, text, seed=luck.randrange(1000))
