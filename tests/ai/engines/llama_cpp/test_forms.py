"""Answers that must have a form: schemas and calls of tools, through the whole engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgecli.ai.engines.generation import Constraint, Tool
from edgecli.ai.engines.llama_cpp.engine import LlamaEngine
from edgecli.ai.engines.llama_cpp.options import LoadOptions
from edgecli.errors import UsageError
from tests.ai.engines.llama_cpp.running import chat, complete, start

pytestmark = pytest.mark.models

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
WEATHER = Tool(
    "get_weather",
    "The weather of a city.",
    {"type": "object", "properties": {"city": {"enum": ["Oslo", "上海"]}}, "required": ["city"]},
)
TIME = Tool("get_time", "The time of day.", {"type": "object", "properties": {}})


@pytest.fixture(scope="module")
def engine(generation_folder: Path) -> Iterator[LlamaEngine]:
    engine = LlamaEngine(LoadOptions(path=str(generation_folder), context=1024, threads=2, slots=4))
    engine.start()
    yield engine
    engine.close()


@pytest.mark.slow
def test_an_answer_by_a_schema(engine: LlamaEngine) -> None:
    constraint = Constraint("json_schema", PERSON)
    text, reason, _ = complete(engine, chat("Who are you?", constraint=constraint, max_tokens=60))
    person = json.loads(text)
    assert set(person) == {"name", "age"}
    assert isinstance(person["age"], int)
    assert reason == "stop"


def test_many_forms_at_once_beside_free_text(engine: LlamaEngine) -> None:
    forms = [Constraint("regex", r"[a-c]{3}"), Constraint("json_schema", {"enum": ["yes", "no"]}), None]
    running = [start(engine, chat("Go on.", constraint=form, max_tokens=30)) for form in forms]
    letters, choice, _ = (one.whole()[0] for one in running)
    assert len(letters) == 3
    assert set(letters) <= set("abc")
    assert json.loads(choice) in ("yes", "no")


@pytest.mark.parametrize("choice", ["required", "=get_weather"])
@pytest.mark.slow
def test_a_call_that_must_come(engine: LlamaEngine, choice: str) -> None:
    request = chat("What is the weather in Oslo?", tools=(WEATHER, TIME), tool_choice=choice, max_tokens=120)
    running = start(engine, request)
    text, reason, _ = running.whole()
    parts = [part for piece in running.pieces for part in piece.tool_calls]
    assert text.strip() == ""
    assert reason == "tool_calls"
    assert parts[0].id and parts[0].name in ("get_weather", "get_time")
    first = "".join(part.arguments for part in parts if part.index == 0)
    arguments = json.loads(first)
    if parts[0].name == "get_weather":
        assert arguments["city"] in ("Oslo", "上海")


@pytest.mark.slow
def test_tools_beside_a_schema(engine: LlamaEngine) -> None:
    request = chat("Who are you?", tools=(WEATHER,), constraint=Constraint("json_schema", PERSON), max_tokens=80)
    running = start(engine, request)
    text, reason, _ = running.whole()
    called = any(piece.tool_calls for piece in running.pieces)
    assert called != bool(text.strip())
    assert reason == ("tool_calls" if called else "stop")
    if text.strip():
        assert set(json.loads(text)) == {"name", "age"}


@pytest.mark.slow
def test_a_conversation_with_calls_and_results(engine: LlamaEngine) -> None:
    messages = [
        {"role": "user", "content": "Weather in Oslo?"},
        {"role": "assistant", "content": None, "tool_calls": [{"name": "get_weather", "arguments": {"city": "Oslo"}}]},
        {"role": "tool", "name": "get_weather", "content": "Rain, 4 degrees"},
    ]
    text, _, usage = complete(
        engine,
        chat("x", tools=(WEATHER,), max_tokens=12).__class__(
            messages=messages, tools=(WEATHER,), max_tokens=12, temperature=0
        ),
    )
    assert usage.prompt_tokens > 50
    assert isinstance(text, str)


def test_what_cannot_be_held_is_refused(engine: LlamaEngine) -> None:
    with pytest.raises(UsageError, match="nonsense") as caught:
        complete(engine, chat("x", tools=(WEATHER,), tool_choice="=nonsense"))
    assert caught.value.cf_code == 5006
    with pytest.raises(UsageError) as caught:
        complete(engine, chat("x", constraint=Constraint("json_schema", {"type": "object", "$ref": "#/nowhere"})))
    assert caught.value.code == "schema_unsupported"


@pytest.mark.parametrize("strategy", ["head", "middle"])
@pytest.mark.slow
def test_a_long_conversation_is_cut_where_that_is_wanted(engine: LlamaEngine, strategy: str) -> None:
    talk = [f"{number}: " + "many words about nothing " * 12 for number in range(31)]
    request = chat(*talk, truncate=strategy, max_tokens=8)
    running = start(engine, request)
    _, _, usage = running.whole()
    cut = running.pieces[0].cut
    assert cut is not None
    assert (cut.strategy, cut.messages > 5) == (strategy, True)
    assert usage.prompt_tokens + cut.tokens == engine.count_prompt(request)
    assert usage.prompt_tokens < 1024


@pytest.mark.slow
def test_one_message_that_is_too_long_is_cut(engine: LlamaEngine) -> None:
    running = start(engine, chat("前言。" + "我们谈论很多事情。" * 600, truncate="middle", max_tokens=8))
    usage = running.whole()[2]
    cut = running.pieces[0].cut
    assert cut is not None
    assert cut.messages == 0
    assert 700 < usage.prompt_tokens < 1024
