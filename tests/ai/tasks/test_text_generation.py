"""What text generation takes, refuses and gives."""

from __future__ import annotations

from typing import Any

import pytest

from edgecli.ai.engines.generation import Usage
from edgecli.ai.tasks import text_generation
from edgecli.errors import UsageError

USER = {"role": "user", "content": "你好"}


def test_silence_means_the_settings() -> None:
    checked = text_generation.read_input({"prompt": "hi", "seed": None, "unknown": 1, "tools": []})
    request = text_generation.to_request(checked, max_tokens=256, temperature=0.6)
    assert request.messages == [{"role": "user", "content": "hi"}]
    assert (request.max_tokens, request.temperature, request.seed) == (256, 0.6, None)


def test_everything_said_reaches_the_engine() -> None:
    inputs = {
        "messages": [USER],
        "max_tokens": 5,
        "temperature": 0,
        "top_p": 0.5,
        "top_k": 7,
        "seed": 9_999_999_999,
        "repetition_penalty": 1.5,
        "frequency_penalty": -1,
        "presence_penalty": 2,
        "stop": "END",
    }
    request = text_generation.to_request(text_generation.read_input(inputs), max_tokens=256, temperature=0.6)
    assert request.messages == [USER]
    assert (request.max_tokens, request.temperature, request.top_p, request.top_k) == (5, 0, 0.5, 7)
    assert (request.seed, request.repetition_penalty) == (9_999_999_999, 1.5)
    assert (request.frequency_penalty, request.presence_penalty, request.stop) == (-1, 2, ("END",))


def test_raw_goes_without_the_template() -> None:
    checked = text_generation.read_input({"prompt": "[INST] hi", "raw": True})
    request = text_generation.to_request(checked, max_tokens=1, temperature=0)
    assert (request.messages, request.raw_prompt) == (None, "[INST] hi")


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ({}, "required properties at '/' are 'prompt' or 'messages'"),
        ({"prompt": "a", "messages": [USER]}, "'/prompt' and '/messages' are mutually exclusive"),
        (
            {"messages": [{"role": "user", "content": ["x"]}]},
            "Type mismatch of '/messages/0/content', 'array' not in 'string'",
        ),
        (
            {"messages": [{"role": "user", "content": None}]},
            "Type mismatch of '/messages/0/content', 'null' not in 'string'",
        ),
        ({"messages": [{"role": "user"}]}, "required properties at '/messages/0' are 'content'"),
        (
            {"messages": [{"role": "boss", "content": "x"}]},
            "'/messages/0/role' is \"boss\": input should be 'system'",
        ),
        ({"messages": []}, "'/messages' is []"),
        ({"messages": [USER], "raw": True}, "'/raw' is true"),
        ({"prompt": ""}, "'/prompt' is \"\""),
        ({"prompt": "长" * 131_073}, "at most 131072 characters"),
        ({"prompt": "a", "temperature": 5.1}, "'/temperature' is 5.1"),
        ({"prompt": "a", "max_tokens": "5"}, "Type mismatch of '/max_tokens', 'string' not in 'integer'"),
        ({"prompt": "a", "max_tokens": 0}, "'/max_tokens' is 0"),
        ({"prompt": "a", "top_k": 51}, "'/top_k' is 51"),
        ({"prompt": "a", "seed": 0}, "'/seed' is 0"),
        ({"prompt": "a", "stream": "yes"}, "Type mismatch of '/stream', 'string' not in 'boolean'"),
        ({"prompt": "a", "tools": [{"name": "f"}]}, "'/tools' is not supported yet"),
        (
            {"prompt": "a", "response_format": {"type": "json_object"}},
            "'/response_format' is not supported yet",
        ),
    ],
)
def test_refusals_name_the_field_and_the_value(inputs: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        text_generation.read_input(inputs)
    assert caught.value.message.startswith("AiError: Bad input: Error: ")
    assert problem in caught.value.message
    assert len(caught.value.message) < 300
    assert (caught.value.cf_code, caught.value.status) == (5006, 400)


def test_the_shape_of_an_answer() -> None:
    usage = Usage(prompt_tokens=11, completion_tokens=2, cached_tokens=10)
    counted = {
        "prompt_tokens": 11,
        "completion_tokens": 2,
        "total_tokens": 13,
        "prompt_tokens_details": {"cached_tokens": 10},
    }
    assert text_generation.result("Hi", usage) == {"response": "Hi", "tool_calls": [], "usage": counted}
    assert text_generation.text_event("Hi") == {"response": "Hi"}
    assert text_generation.last_event(usage) == {"response": "", "usage": counted}
