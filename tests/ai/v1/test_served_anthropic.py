"""A running server with the starter models, driven by Anthropic's client."""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import pytest
from pydantic import BaseModel

pytestmark = [pytest.mark.models, pytest.mark.slow]

MODEL = "@edge/smollm2-135m-instruct"
ASK: dict[str, Any] = {
    "model": MODEL,
    "max_tokens": 12,
    "extra_body": {"temperature": 0},
    "system": "Be brief.",
    "messages": [{"role": "user", "content": "Count from one to ten."}],
}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"enum": ["Oslo", "Rome"]}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOLS: Any = [{"name": "forecast", "description": "Tell it.", "input_schema": SCHEMA}]


class Forecast(BaseModel):
    city: str
    days: int


@pytest.fixture(scope="module")
def client(served: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key="any", base_url=served, max_retries=0, timeout=120)


@pytest.fixture
def other(served: str) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(api_key="any", base_url=served, max_retries=0, timeout=120)


def text_of(message: anthropic.types.Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def test_whole_and_streamed(client: anthropic.Anthropic) -> None:
    assert text_of(client.messages.create(**ASK))
    with client.messages.stream(**ASK) as stream:
        texts = list(stream.text_stream)
        final = stream.get_final_message()
    assert "".join(texts) == text_of(final)
    assert 0 < final.usage.output_tokens <= ASK["max_tokens"]
    counted = client.messages.count_tokens(model=MODEL, system=ASK["system"], messages=ASK["messages"])
    cached = final.usage.cache_read_input_tokens or 0
    assert counted.input_tokens == final.usage.input_tokens + cached
    assert cached > 0


def test_async(other: anthropic.AsyncAnthropic) -> None:
    async def scene() -> None:
        said = await asyncio.gather(*[other.messages.create(**ASK) for _ in range(3)])
        assert all(text_of(each) for each in said)
        kinds = [event.type async for event in await other.messages.create(**ASK, stream=True)]
        assert kinds[:2] == ["message_start", "content_block_start"]
        assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]

    asyncio.run(scene())


def test_why_an_answer_ends(client: anthropic.Anthropic) -> None:
    said = client.messages.create(**ASK | {"max_tokens": 2})
    assert said.stop_reason == "max_tokens"
    stopped = client.messages.create(**ASK | {"max_tokens": 60}, stop_sequences=["never to be said", "e"])
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "e")
    assert "e" not in text_of(stopped)


def test_tools(client: anthropic.Anthropic) -> None:
    ask = ASK | {"max_tokens": 80, "tools": TOOLS}
    said = client.messages.create(**ask, tool_choice={"type": "any", "disable_parallel_tool_use": True})
    [call] = [block for block in said.content if block.type == "tool_use"]
    assert said.stop_reason == "tool_use"
    assert call.name == "forecast" and Forecast.model_validate(call.input)
    with client.messages.stream(**ask, tool_choice={"type": "tool", "name": "forecast"}) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_message()
    assert "input_json" in kinds
    streamed, *_ = [block for block in final.content if block.type == "tool_use"]
    assert Forecast.model_validate(streamed.input)
    history = [
        *ASK["messages"],
        {"role": "assistant", "content": [block.to_dict() for block in said.content]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}]},
    ]
    after = client.messages.create(**ask | {"messages": history}, tool_choice={"type": "none"})
    assert text_of(after)


def test_a_form(client: anthropic.Anthropic) -> None:
    form: Any = {"format": {"type": "json_schema", "schema": SCHEMA}}
    said = client.messages.create(**ASK | {"max_tokens": 80}, output_config=form)
    assert Forecast.model_validate_json(text_of(said))


def test_refusals(client: anthropic.Anthropic) -> None:
    for wrong in ({"messages": []}, {"model": "@edge/none"}, {"max_tokens": 0}, {"extra_body": {"temperature": 99}}):
        for stream in (False, True):
            with pytest.raises(anthropic.BadRequestError, match="invalid_request_error"):
                client.messages.create(**ASK | wrong, stream=stream)


def test_models(client: anthropic.Anthropic) -> None:
    assert MODEL in [model.id for model in client.models.list(limit=1)]
    assert client.models.retrieve(MODEL).display_name == MODEL
