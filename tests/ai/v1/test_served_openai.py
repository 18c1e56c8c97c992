"""A running server with the starter models, driven by OpenAI's client."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest
from pydantic import BaseModel

pytestmark = [pytest.mark.models, pytest.mark.slow]

MODEL = "@edge/smollm2-135m-instruct"
EMBEDDING = "@edge/all-minilm-l6-v2"
HI: Any = [{"role": "user", "content": "Say hello."}]
GREEDY: dict[str, Any] = {"model": MODEL, "messages": HI, "temperature": 0, "max_tokens": 8}
# Without a seed the last bits of the logits depend on what else is computed, and on what is cached.
SAME = GREEDY | {"seed": 7}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"enum": ["Oslo", "Rome"]}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOLS: Any = [{"type": "function", "function": {"name": "forecast", "description": "Tell it.", "parameters": SCHEMA}}]


class Forecast(BaseModel):
    city: str
    days: int


@pytest.fixture(scope="module")
def client(served: str) -> openai.OpenAI:
    return openai.OpenAI(api_key="any", base_url=f"{served}/v1", max_retries=0, timeout=120)


@pytest.fixture
def other(served: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key="any", base_url=f"{served}/v1", max_retries=0, timeout=120)


def test_chat_whole_and_streamed_say_the_same(client: openai.OpenAI) -> None:
    said = client.chat.completions.create(**SAME)
    text = said.choices[0].message.content
    assert text
    assert said.usage is not None and said.usage.completion_tokens <= 8
    assert said.model == MODEL
    chunks = list(client.chat.completions.create(**SAME, stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == text
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == said.usage.completion_tokens
    endings = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert endings[-1] == said.choices[0].finish_reason
    assert endings[:-1] == [None] * (len(endings) - 1)


def test_a_shared_beginning_is_cached(client: openai.OpenAI) -> None:
    for _ in range(2):
        said = client.chat.completions.create(**GREEDY)
    assert said.usage is not None and said.usage.prompt_tokens_details is not None
    assert (said.usage.prompt_tokens_details.cached_tokens or 0) > 0


def test_many_at_once(other: openai.AsyncOpenAI) -> None:
    async def scene() -> None:
        whole = [other.chat.completions.create(**SAME) for _ in range(6)]
        said = await asyncio.gather(*whole)
        assert len({each.choices[0].message.content for each in said}) == 1

        async def streamed() -> str:
            stream = await other.chat.completions.create(**SAME, stream=True)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

        assert set(await asyncio.gather(*[streamed() for _ in range(4)])) == {said[0].choices[0].message.content}

    asyncio.run(scene())


def test_seeds_and_several_answers(client: openai.OpenAI) -> None:
    warm = GREEDY | {"temperature": 1.5, "seed": 11, "n": 3, "max_tokens": 12}
    first, second = (client.chat.completions.create(**warm) for _ in range(2))
    texts = [choice.message.content for choice in first.choices]
    assert texts == [choice.message.content for choice in second.choices]
    assert len(set(texts)) > 1
    chunks = list(client.chat.completions.create(**warm, stream=True))
    streamed = ["", "", ""]
    for chunk in chunks:
        streamed[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert streamed == texts


def test_log_probabilities(client: openai.OpenAI) -> None:
    said = client.chat.completions.create(**GREEDY, logprobs=True, top_logprobs=3)
    logprobs = said.choices[0].logprobs
    assert said.usage is not None and logprobs is not None and logprobs.content
    for token in logprobs.content:
        assert token.logprob <= 0
        assert len(token.top_logprobs) == 3
        assert token.top_logprobs[0].logprob == max(each.logprob for each in token.top_logprobs)
    text = b"".join(bytes(token.bytes or ()) for token in logprobs.content).decode()
    assert text.startswith(said.choices[0].message.content or "")


def test_stops_and_biases(client: openai.OpenAI) -> None:
    create = client.chat.completions.create
    plain = create(**SAME, logprobs=True).choices[0]
    text = plain.message.content or ""
    word = text.split()[1]
    said = create(**SAME, stop=[word]).choices[0]
    assert said.message.content == text[: text.index(word)]
    assert said.finish_reason == "stop"
    # Which token an id is, a client cannot know; that one is forced shows that the id reached the sampler.
    forced = create(**SAME, logit_bias={"260": 100}, logprobs=True).choices[0]
    assert forced.logprobs is not None and forced.logprobs.content
    assert len({token.token for token in forced.logprobs.content}) == 1


def test_json_with_a_schema(client: openai.OpenAI) -> None:
    form: Any = {"type": "json_schema", "json_schema": {"name": "forecast", "schema": SCHEMA, "strict": True}}
    ask = GREEDY | {"max_tokens": 60}
    said = json.loads(client.chat.completions.create(**ask, response_format=form).choices[0].message.content or "")
    assert said["city"] in {"Oslo", "Rome"} and 1 <= said["days"] <= 9
    parsed = client.chat.completions.parse(**ask, response_format=Forecast)
    assert isinstance(parsed.choices[0].message.parsed, Forecast)
    with client.chat.completions.stream(**ask, response_format=Forecast) as stream:
        assert isinstance(stream.get_final_completion().choices[0].message.parsed, Forecast)
    plain = client.chat.completions.create(**ask, response_format={"type": "json_object"}).choices[0]
    if plain.finish_reason == "stop":
        assert isinstance(json.loads(plain.message.content or ""), dict)


def test_tools(client: openai.OpenAI) -> None:
    ask = GREEDY | {"max_tokens": 80, "tools": TOOLS, "tool_choice": "required"}
    said = client.chat.completions.create(**ask).choices[0]
    call, *_ = said.message.tool_calls or ()
    assert call.type == "function" and call.function.name == "forecast"
    assert Forecast.model_validate_json(call.function.arguments)
    one = client.chat.completions.create(**ask, parallel_tool_calls=False).choices[0]
    assert len(one.message.tool_calls or ()) == 1
    assert one.finish_reason == "tool_calls"

    named = ask | {"tool_choice": {"type": "function", "function": {"name": "forecast"}}}
    with client.chat.completions.stream(**named) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion().choices[0]
    assert "tool_calls.function.arguments.delta" in kinds
    streamed, *_ = final.message.tool_calls or ()
    assert Forecast.model_validate_json(streamed.function.arguments)

    history = [
        *HI,
        one.message.to_dict(),
        {"role": "tool", "tool_call_id": (one.message.tool_calls or ())[0].id, "content": "sunny"},
    ]
    after = client.chat.completions.create(**GREEDY | {"messages": history, "tools": TOOLS, "tool_choice": "none"})
    assert after.choices[0].message.content
    assert not after.choices[0].message.tool_calls


def test_refusals(client: openai.OpenAI) -> None:
    create = client.chat.completions.create
    for wrong in (
        {"messages": []},
        {"model": "@edge/none"},
        {"model": EMBEDDING},
        {"temperature": 99},
        {"messages": [{"role": "user", "content": "word " * 9000}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]},
    ):
        for stream in (False, True):
            with pytest.raises(openai.BadRequestError):
                create(**GREEDY | wrong, stream=stream)
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("@edge/none")


def test_a_prompt_too_long_is_cut_where_that_is_asked_for(client: openai.OpenAI) -> None:
    long = [{"role": "user", "content": "word " * 9000}, *HI]
    said = client.chat.completions.create(**GREEDY | {"messages": long}, extra_body={"truncate": "head"})
    assert (said.model_extra or {})["edge"]["truncated"]["tokens"] > 0


def test_a_client_that_leaves_is_no_harm(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(**GREEDY | {"max_tokens": 2000}, stream=True)
    next(iter(stream))
    stream.close()
    assert client.chat.completions.create(**GREEDY).choices[0].message.content


def test_completions(client: openai.OpenAI) -> None:
    ask: dict[str, Any] = {"model": MODEL, "temperature": 0, "max_tokens": 6}
    said = client.completions.create(**ask, prompt=["One, two,", "Red, green,"], logprobs=2, n=1)
    assert [choice.index for choice in said.choices] == [0, 1]
    assert all(choice.text for choice in said.choices)
    logprobs = said.choices[0].logprobs
    assert logprobs is not None and len(logprobs.tokens or ()) == len(logprobs.token_logprobs or ())
    chunks = list(client.completions.create(**ask, prompt="One, two,", stream=True, echo=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == "One, two," + said.choices[0].text


def test_responses(client: openai.OpenAI) -> None:
    ask: dict[str, Any] = {"model": MODEL, "temperature": 0, "max_output_tokens": 8}
    begin: dict[str, Any] = ask | {"input": "My name is Ann. Say hello.", "instructions": "Be brief."}
    first = client.responses.create(**begin)
    assert first.output_text and first.usage is not None
    second = client.responses.create(**ask, input="What is my name?", previous_response_id=first.id)
    assert second.usage is not None and second.usage.input_tokens > first.usage.input_tokens
    events = list(client.responses.create(**begin, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created"
    last = events[-1]
    assert last.type in {"response.completed", "response.incomplete"}
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert last.response.output_text == "".join(deltas)  # type: ignore[union-attr]
    with pytest.raises(openai.BadRequestError) as unknown:
        client.responses.create(**ask, input="Hi", previous_response_id="resp_none")
    assert unknown.value.code == "previous_response_not_found"


def test_responses_with_tools_and_forms(other: openai.AsyncOpenAI) -> None:
    ask: dict[str, Any] = {"model": MODEL, "temperature": 0, "max_output_tokens": 80, "input": "Weather in Oslo?"}
    tools: Any = [{"type": "function", "name": "forecast", "parameters": SCHEMA, "strict": True}]

    async def scene() -> None:
        parsed = await other.responses.parse(**ask, text_format=Forecast)
        assert isinstance(parsed.output_parsed, Forecast)
        called = await other.responses.create(**ask, tools=tools, tool_choice="required", parallel_tool_calls=False)
        [call] = called.output
        assert call.type == "function_call" and Forecast.model_validate_json(call.arguments)
        async with other.responses.stream(
            **ask, tools=tools, tool_choice={"type": "function", "name": "forecast"}
        ) as stream:
            kinds = [event.type async for event in stream]
        assert "response.function_call_arguments.done" in kinds
        results: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}]
        after = await other.responses.create(**ask | {"input": results}, previous_response_id=called.id)
        assert after.output_text

    asyncio.run(scene())


def test_embeddings(client: openai.OpenAI) -> None:
    said = client.embeddings.create(model=EMBEDDING, input=["refund", "退款"])
    assert [len(each.embedding) for each in said.data] == [384, 384]
    plain = client.embeddings.create(model=EMBEDDING, input="refund", encoding_format="float")
    assert plain.data[0].embedding == pytest.approx(said.data[0].embedding, abs=1e-5)
    assert said.usage.prompt_tokens > plain.usage.prompt_tokens > 0
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model=EMBEDDING, input="refund", dimensions=64)
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model=MODEL, input="refund")


def test_models(client: openai.OpenAI) -> None:
    ids = [model.id for model in client.models.list()]
    assert {MODEL, EMBEDDING} <= set(ids)
    assert client.models.retrieve(MODEL).owned_by == "edgecli"
