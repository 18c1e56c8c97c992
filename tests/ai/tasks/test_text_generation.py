"""What text generation takes and refuses."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest

from edgecli.ai.engines.generation import Constraint, LoraAdapter, Tool
from edgecli.ai.tasks import text_generation, text_request
from edgecli.ai.tasks.text_request import Defaults
from edgecli.errors import UsageError

USER = {"role": "user", "content": "你好"}
WEATHER = {"name": "get_weather", "description": "Weather of a city", "parameters": {"type": "object"}}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
CHAT = ("chat_completions",)


def read(inputs: dict[str, Any], *capabilities: str) -> Any:
    checked = text_generation.read_input(inputs, capabilities)
    defaults = Defaults(256, 0.6, capabilities, lambda name: LoraAdapter(f"/adapters/{name}.gguf"))
    return text_request.to_request(checked, defaults)


def test_silence_means_the_defaults() -> None:
    request = read({"prompt": "hi", "seed": None, "unknown": 1, "tools": []})
    assert request.messages == [{"role": "user", "content": "hi"}]
    assert (request.max_tokens, request.temperature, request.seed) == (256, 0.6, None)
    assert (request.tools, request.tool_choice, request.constraint, request.lora) == ((), "auto", None, None)


def test_everything_said_reaches_the_engine() -> None:
    request = read(
        {
            "messages": [USER],
            "max_tokens": 5.0,
            "temperature": 0,
            "top_p": 0.5,
            "top_k": 7,
            "min_p": 0.1,
            "seed": 9_999_999_999,
            "repetition_penalty": 1.5,
            "frequency_penalty": 1,
            "presence_penalty": 2,
            "logit_bias": {"12": -100},
            "stop": "END",
            "lora": "mine",
            "truncate": "middle",
            "tools": [WEATHER],
            "tool_choice": "required",
        }
    )
    assert request.messages == [USER]
    assert (request.max_tokens, request.temperature, request.top_p, request.top_k) == (5, 0, 0.5, 7)
    assert (request.min_p, request.repetition_penalty, request.logit_bias) == (0.1, 1.5, {12: -100})
    assert (request.frequency_penalty, request.presence_penalty, request.stop) == (1, 2, ("END",))
    assert 0 < request.seed < 2**32 - 1
    assert (request.lora, request.truncate) == (LoraAdapter("/adapters/mine.gguf"), "middle")
    assert (request.tools, request.tool_choice) == (
        (Tool("get_weather", "Weather of a city", {"type": "object"}),),
        "required",
    )


def test_raw_goes_without_the_template() -> None:
    request = read({"prompt": "[INST] hi", "raw": True})
    assert (request.messages, request.raw_prompt) == (None, "[INST] hi")


@pytest.mark.parametrize("tool", [WEATHER, {"type": "function", "function": WEATHER}])
@pytest.mark.parametrize(
    ("choice", "read_as"),
    [
        (None, "auto"),
        ("auto", "auto"),
        ("none", "none"),
        ({"type": "function", "function": {"name": "get_weather"}}, "=get_weather"),
    ],
)
def test_both_forms_of_tools_and_every_choice(tool: dict[str, Any], choice: Any, read_as: str) -> None:
    request = read({"prompt": "x", "tools": [tool], "tool_choice": choice})
    assert [each.name for each in request.tools] == ["get_weather"]
    assert request.tool_choice == read_as


@pytest.mark.parametrize(
    ("inputs", "constraint"),
    [
        ({"response_format": {"type": "json_object"}}, Constraint("json")),
        ({"response_format": {"type": "json_schema", "json_schema": SCHEMA}}, Constraint("json_schema", SCHEMA)),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "strict": True, "schema": SCHEMA},
                }
            },
            Constraint("json_schema", SCHEMA),
        ),
        ({"guided_json": SCHEMA}, Constraint("json_schema", SCHEMA)),
    ],
)
def test_both_forms_of_schemas(inputs: dict[str, Any], constraint: Constraint) -> None:
    assert read({"prompt": "x"} | inputs).constraint == constraint


@pytest.mark.parametrize(
    "call",
    [
        {"name": "get_weather", "arguments": {"city": "Oslo"}},
        {"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}},
    ],
)
def test_calls_of_tools_go_back_with_their_results(call: dict[str, Any]) -> None:
    answered = {"role": "assistant", "content": None, "tool_calls": [call]}
    found = {"role": "tool", "tool_call_id": call.get("id"), "content": "rain"}
    user, said, result = read({"messages": [USER, answered, found]}).messages
    assert user == USER
    assert said["tool_calls"][0]["function"] == {"name": "get_weather", "arguments": {"city": "Oslo"}}
    assert (said["role"], said["content"]) == ("assistant", "")
    assert (result["role"], result["name"], result["content"]) == ("tool", "get_weather", "rain")


@pytest.mark.parametrize("capability", ["chat_completions", "vision", "content_parts"])
def test_some_models_take_text_in_parts(capability: str) -> None:
    message = {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
    assert read({"messages": [message]}, capability).messages == [{"role": "user", "content": "a\nb"}]
    image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}
    with pytest.raises(UsageError, match="no images"):
        read({"messages": [image]}, capability)


def test_newer_models_take_more() -> None:
    inputs = {"messages": [USER], "n": 3, "seed": 5, "logprobs": True, "top_logprobs": 2, "presence_penalty": -2}
    checked = text_generation.read_input(inputs | {"max_completion_tokens": 7}, CHAT)
    requests = text_request.to_requests(checked, Defaults(256, 0.6, CHAT))
    assert [request.seed for request in requests] == [5, 6, 7]
    assert {(request.logprobs, request.presence_penalty, request.max_tokens) for request in requests} == {(2, -2, 7)}
    older = text_generation.read_input(inputs | {"presence_penalty": 0})
    assert len(text_request.to_requests(older, Defaults(256, 0.6))) == 1


def test_newer_models_stream_json_and_older_ones_do_not() -> None:
    inputs = {"messages": [USER], "stream": True, "response_format": {"type": "json_object"}}
    assert read(inputs, *CHAT).constraint == Constraint("json")
    with pytest.raises(UsageError, match="does not support streaming"):
        read(inputs)


def test_strict_models_refuse_what_they_do_not_know() -> None:
    with pytest.raises(UsageError) as caught:
        read({"prompt": "a", "width": 1, "height": 2}, "strict")
    assert caught.value.message == (
        "AiError: Bad input: Error: Additional or unevaluated properties '/width, /height' at '/' not allowed"
    )


def test_ten_thousand_messages_are_read_at_once() -> None:
    began = time.perf_counter()
    assert len(read({"messages": [USER] * 10_000}).messages or ()) == 10_000
    with pytest.raises(UsageError) as caught:
        read({"messages": [{"role": "boss", "content": "x"}] * 10_000})
    assert len(caught.value.message) < 2000
    assert time.perf_counter() - began < 5


BOTH = "oneOf at '/' not met, 0 matches: required properties at '/' are 'prompt', "


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ({}, BOTH + "required properties at '/' are 'messages'"),
        ({"prompt": "a", "messages": [USER]}, "'/prompt' and '/messages' are mutually exclusive"),
        # As Cloudflare's validator says it: what is wanted, then what is there.
        (
            {"messages": [{"role": "user", "content": ["x"]}]},
            BOTH + "Type mismatch of '/messages/0/content', 'string' not in 'array'",
        ),
        (
            {"messages": [{"role": "user", "content": None}]},
            BOTH + "Type mismatch of '/messages/0/content', 'string' not in 'null'",
        ),
        ({"messages": [{"role": "user"}]}, BOTH + "required properties at '/messages/0' are 'content'"),
        (
            {"messages": [{"role": "boss", "content": "x"}]},
            BOTH + "'/messages/0/role' is \"boss\": input should be 'system'",
        ),
        ({"messages": []}, BOTH + "'/messages' is []"),
        ({"messages": "hi"}, BOTH + "Type mismatch of '/messages', 'array' not in 'string'"),
        ({"messages": ["hi"]}, BOTH + "Type mismatch of '/messages/0', 'object' not in 'string'"),
        ({"messages": [USER], "raw": True}, "'/raw' is true"),
        ({"prompt": ""}, "'/prompt' is \"\""),
        ({"prompt": 5}, "Type mismatch of '/prompt', 'string' not in 'integer'"),
        ({"prompt": "长" * 131_073}, "Error: '/prompt' has 131073 characters: it takes at most 131072"),
        ({"prompt": "a", "temperature": 5.1}, "'/temperature' is 5.1"),
        ({"prompt": "a", "temperature": -0.1}, "'/temperature' is -0.1"),
        ({"prompt": "a", "temperature": math.nan}, "'/temperature' is NaN"),
        ({"prompt": "a", "temperature": math.inf}, "'/temperature' is Infinity"),
        ({"prompt": "a", "max_tokens": "5"}, "Type mismatch of '/max_tokens', 'integer' not in 'string'"),
        ({"prompt": "a", "max_tokens": 0}, "'/max_tokens' is 0"),
        ({"prompt": "a", "max_tokens": 1e30}, "'/max_tokens' is about 1e+30"),
        ({"prompt": "a", "max_tokens": True}, "Type mismatch of '/max_tokens', 'integer' not in 'boolean'"),
        ({"prompt": "a", "top_k": 51}, "'/top_k' is 51"),
        ({"prompt": "a", "top_p": 2.1}, "'/top_p' is 2.1"),
        ({"prompt": "a", "frequency_penalty": -1}, "'/frequency_penalty' is -1"),
        ({"prompt": "a", "seed": 0}, "'/seed' is 0"),
        ({"prompt": "a", "seed": 99999999999999999999}, "'/seed' is about 1e+20"),
        ({"prompt": "a", "seed": 18446744073709551615}, "'/seed' is 18446744073709551615"),
        ({"prompt": "a", "logit_bias": {"x": 1}}, "'/logit_bias/x"),
        ({"prompt": "a", "logit_bias": {"1": 101}}, "'/logit_bias/1' is 101"),
        ({"prompt": "a", "stream": "yes"}, "Type mismatch of '/stream', 'boolean' not in 'string'"),
        ({"prompt": "a", "truncate": "tail"}, "'/truncate' is \"tail\""),
        ({"prompt": "a", "tools": [{"description": "x"}]}, "'/tools/0"),
        ({"prompt": "a", "tools": [WEATHER], "tool_choice": "some"}, "'/tool_choice' is \"some\""),
        ({"prompt": "a", "tools": [WEATHER], "tool_choice": {"function": {"name": "x"}}}, "not among '/tools'"),
        ({"prompt": "a", "tool_choice": "required"}, "'/tools' is empty"),
        ({"prompt": "a", "raw": True, "tools": [WEATHER]}, "'/raw' is true"),
        ({"prompt": "a", "functions": [{"name": "f", "code": "1"}]}, "'/functions' is not taken"),
        ({"prompt": "a", "image": [1, 2]}, "'/image' is not taken"),
        ({"prompt": "a", "response_format": {"type": "json_schema"}}, "has no JSON Schema"),
        ({"prompt": "a", "response_format": {"type": "xml"}}, "'/response_format/type' is \"xml\""),
        ({"prompt": "a", "response_format": {"type": "json_object"}, "guided_json": SCHEMA}, "mutually exclusive"),
        (
            {"messages": [{"role": "assistant", "content": "", "tool_calls": [{"name": "f", "arguments": "{"}]}]},
            "not the text of a JSON object",
        ),
    ],
)
def test_refusals_name_the_field_and_the_value(inputs: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(inputs)
    assert caught.value.message.startswith("AiError: Bad input: Error: ")
    assert problem in caught.value.message
    assert len(caught.value.message) < 300
    assert (caught.value.cf_code, caught.value.status) == (5006, 400)


@pytest.mark.parametrize(
    ("inputs", "hint"),
    [
        ({"prompt": "a", "temperature": 9, "top_k": 51}, "`temperature` takes numbers, 0 to 5. `top_k` takes whole "),
        ({"prompt": "a", "top_k": 51}, "`top_k` takes whole numbers, 1 to 50."),
        ({"prompt": ""}, "`prompt` takes 1 to 131072 characters."),
        ({"messages": []}, "`messages` takes 1 or more items."),
        ({"prompt": "a", "stop": ["x"] * 65}, "`stop` takes at most 64 items."),
        ({}, "The model takes: `prompt`, `messages`, "),
    ],
)
def test_hints_say_what_a_field_takes(inputs: dict[str, Any], hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(inputs)
    assert caught.value.hint is not None
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ({"n": 0}, "'/n' is 0"),
        ({"n": 17}, "'/n' is 17"),
        ({"top_logprobs": 2}, "'/top_logprobs' needs '/logprobs'"),
        ({"top_p": 0}, "'/top_p' is 0"),
        ({"presence_penalty": -2.1}, "'/presence_penalty' is -2.1"),
    ],
)
def test_refusals_of_newer_models(inputs: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        read({"messages": [USER]} | inputs, *CHAT)
    assert problem in caught.value.message
