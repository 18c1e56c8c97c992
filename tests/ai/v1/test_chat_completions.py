"""`chat/completions`: what is read of a request, and what OpenAI's client makes of the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx2
import openai
import pytest

from edgecli.ai.engines.generation import Constraint, GenerationRequest, Tool
from edgecli.ai.v1.chat_completions import ChatCall, read_input
from edgecli.errors import EngineError, LimitError, UsageError
from tests.ai.v1.recorded import CALLS, DEFAULTS, MODEL, SILENT, TEXT, RecordedService

HI = [{"role": "user", "content": "Hi"}]
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
WEATHER = {"name": "weather", "description": "Tell it.", "parameters": SCHEMA}
TOOLS = [{"type": "function", "function": WEATHER}]


def read(**body: Any) -> ChatCall:
    return read_input({"model": MODEL, "messages": HI} | body, DEFAULTS)


def request(**body: Any) -> GenerationRequest:
    [only] = read(**body).requests
    return only


def test_what_is_silent_is_as_the_settings_say() -> None:
    asked = request()
    assert asked == GenerationRequest(messages=HI, max_tokens=256, temperature=0.6, split_reasoning=True)
    call = read()
    assert (call.model, call.stream, call.logprobs, call.include_usage) == (MODEL, False, False, False)


def test_what_is_said() -> None:
    asked = request(
        max_tokens=5,
        max_completion_tokens=7,
        temperature=0,
        top_p=0.5,
        top_k=3,
        min_p=0.1,
        seed=0,
        stop="END",
        frequency_penalty=-1,
        presence_penalty=1.5,
        repetition_penalty=1.1,
        logit_bias={"15": -100},
        logprobs=True,
        top_logprobs=2,
        truncate="middle",
        user="somebody",
        store=True,
        metadata={"a": "b"},
    )
    assert (asked.max_tokens, asked.temperature, asked.top_p, asked.top_k, asked.min_p) == (7, 0, 0.5, 3, 0.1)
    assert (asked.seed, asked.stop, asked.logprobs, asked.truncate) == (0, ("END",), 2, "middle")
    assert (asked.frequency_penalty, asked.presence_penalty, asked.repetition_penalty) == (-1, 1.5, 1.1)
    assert asked.logit_bias == {15: -100}


def test_several_answers_have_seeds_of_their_own() -> None:
    assert [each.seed for each in read(n=3, seed=7).requests] == [7, 8, 9]
    assert [each.seed for each in read(n=2).requests] == [None, None]
    assert 0 <= (request(seed=-1).seed or 0) < 2**32


def test_a_conversation_with_tools() -> None:
    called = {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": '{"n": 1}'}}
    asked = request(
        messages=[
            {
                "role": "developer",
                "content": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Bitte."}],
            },
            {"role": "user", "content": "Hi", "name": "ann"},
            {"role": "assistant", "content": None, "tool_calls": [called]},
            {"role": "tool", "tool_call_id": "call_a", "content": "sunny"},
        ],
        tools=TOOLS,
        tool_choice={"type": "function", "function": {"name": "weather"}},
    )
    assert asked.messages == [
        {"role": "system", "content": "Be brief.\nBitte."},
        {"role": "user", "content": "Hi", "name": "ann"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [called | {"function": {"name": "weather", "arguments": {"n": 1}}}],
        },
        {"role": "tool", "tool_call_id": "call_a", "content": "sunny", "name": "weather"},
    ]
    assert asked.tools == (Tool("weather", "Tell it.", SCHEMA),)
    assert asked.tool_choice == "=weather"
    assert request(tools=[WEATHER]).tools == asked.tools


@pytest.mark.parametrize(
    ("form", "constraint"),
    [
        (None, None),
        ({"type": "text"}, None),
        ({"type": "json_object"}, Constraint("json")),
        ({"type": "json_schema", "json_schema": SCHEMA}, Constraint("json_schema", SCHEMA)),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}, Constraint("json_schema", SCHEMA)),
    ],
)
def test_forms_of_the_answer(form: Any, constraint: Constraint | None) -> None:
    assert request(response_format=form).constraint == constraint


def image(url: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"model": None}, "required properties at '/' are 'model'"),
        ({"messages": None}, "required properties at '/' are 'messages'"),
        ({"messages": []}, "'/messages' is []"),
        ({"messages": "Hi"}, "Type mismatch of '/messages'"),
        ({"messages": [{"role": "user"}]}, "required properties at '/messages/0' are 'content'"),
        ({"messages": [{"role": "user", "content": None}]}, "Type mismatch of '/messages/0/content'"),
        ({"messages": [{"role": "pope", "content": "Hi"}]}, "'/messages/0/role' is \"pope\""),
        ({"prompt": "Hi"}, "'/prompt' is not taken"),
        ({"messages": image("data:image/png;base64,AAAA")}, "the model reads text, no images"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "no audio"),
        ({"messages": [{"role": "user", "content": [{"type": "file"}]}]}, "no files"),
        ({"messages": [{"role": "user", "content": ["Hi"]}]}, "Type mismatch of '/messages/0/content/0'"),
        ({"temperature": -1}, "'/temperature' is -1"),
        ({"temperature": "hot"}, "Type mismatch of '/temperature'"),
        ({"temperature": float("inf")}, "'/temperature' is Infinity"),
        ({"temperature": float("nan")}, "'/temperature' is NaN"),
        ({"top_p": 2}, "'/top_p' is 2"),
        ({"n": 0}, "'/n' is 0"),
        ({"n": 1_000_000}, "'/n' is 1000000"),
        ({"max_tokens": 0}, "'/max_tokens' is 0"),
        ({"max_completion_tokens": 1.5}, "'/max_completion_tokens'"),
        ({"stop": [""]}, "'/stop/0' is \"\""),
        ({"logit_bias": {"a": 1}}, "'/logit_bias/a/[key]' is \"a\""),
        ({"logit_bias": {"1": 101}}, "'/logit_bias/1' is 101"),
        ({"top_logprobs": 2}, "'/top_logprobs' needs '/logprobs'"),
        ({"logprobs": True, "top_logprobs": 21}, "'/top_logprobs' is 21"),
        ({"tool_choice": "required"}, "'/tools' is empty"),
        ({"tools": TOOLS, "tool_choice": "sometimes"}, "'/tool_choice' is \"sometimes\""),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "wether"}}}, "`wether`"),
        ({"tools": [{"type": "function", "function": {}}]}, "'/tools/0/function' are 'name'"),
        ({"tools": [{"type": "web_search"}]}, "/tools/0"),
        ({"tools": TOOLS * 129}, "'/tools' is"),
        ({"functions": [WEATHER]}, "'/functions' is not taken"),
        ({"response_format": {"type": "xml"}}, "'/response_format/type' is \"xml\""),
        ({"response_format": "json"}, "Type mismatch of '/response_format'"),
        ({"response_format": {"type": "json_schema"}}, "no JSON Schema"),
    ],
)
def test_refusals_name_the_field_and_the_value(body: Mapping[str, Any], problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(**body)
    assert problem in caught.value.message
    assert (caught.value.cf_code, caught.value.status) == (5006, 400)


def test_a_broken_call_cannot_be_sent_back() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "weather", "arguments": '{"n":'}}
    with pytest.raises(UsageError, match=r"'/messages/0/tool_calls/0/.*: not the text of a JSON object"):
        read(messages=[{"role": "assistant", "content": None, "tool_calls": [call]}])


def test_ten_thousand_messages() -> None:
    assert len(request(messages=HI * 10_000).messages or ()) == 10_000


def test_the_client_reads_answers(openai_client: openai.AsyncOpenAI, service: RecordedService) -> None:
    async def scene() -> None:
        create = openai_client.chat.completions.create
        with service.giving(TEXT, SILENT):
            said = await create(model=MODEL, messages=HI, n=2, logprobs=True, top_logprobs=1)  # type: ignore
        assert [choice.message.content for choice in said.choices] == ["Hel退款", ""]
        assert said.usage is not None and said.usage.total_tokens == 15
        assert said.choices[0].logprobs is not None and said.choices[0].logprobs.content is not None
        assert said._request_id

        with service.giving(CALLS):
            said = await create(model=MODEL, messages=HI, tools=TOOLS, parallel_tool_calls=False)  # type: ignore
        assert not service.asked[0].parallel_tool_calls
        call, _ = said.choices[0].message.tool_calls or ()
        assert call.type == "function" and call.function.arguments == '{"city":"Oslo"}'

    asyncio.run(scene())


def test_the_client_reads_streams(openai_client: openai.AsyncOpenAI, service: RecordedService) -> None:
    async def scene() -> None:
        with service.giving(CALLS):
            async with openai_client.chat.completions.stream(
                model=MODEL,
                messages=HI,  # type: ignore
                tools=TOOLS,  # type: ignore
                stream_options={"include_usage": True},
            ) as stream:
                kinds = [event.type async for event in stream]
                said = await stream.get_final_completion()
        assert "tool_calls.function.arguments.done" in kinds
        assert [call.function.name for call in said.choices[0].message.tool_calls or ()] == ["weather", "time"]
        assert said.choices[0].finish_reason == "tool_calls"
        assert said.usage is not None and said.usage.total_tokens == 70
        assert service.closed == 1

    asyncio.run(scene())


def envelope(error: openai.APIStatusError) -> dict[str, Any]:
    body: Any = error.body
    return body["errors"][0]


def test_errors_are_the_classes_of_the_client(openai_client: openai.AsyncOpenAI, service: RecordedService) -> None:
    async def ask(**fields: Any) -> None:
        await openai_client.chat.completions.create(**{"model": MODEL, "messages": HI} | fields)  # type: ignore

    async def scene() -> None:
        with pytest.raises(openai.BadRequestError) as bad:
            await ask(temperature=9)
        body = bad.value.response.json()
        message = "AiError: Bad input: Error: '/temperature' is 9: input should be less than or equal to 5"
        assert body == {
            "result": {},
            "success": False,
            "errors": [{"code": 5006, "message": message, "edge": envelope(bad.value)["edge"]}],
            "messages": [],
            "error": body["error"],
        }
        assert message in str(bad.value)
        assert (bad.value.code, bad.value.type) == ("invalid_prompt", "invalid_request_error")
        with pytest.raises(openai.BadRequestError) as unknown:
            await ask(model="@edge/none")
        assert envelope(unknown.value)["code"] == 5007
        for stream in (False, True):
            with service.giving([LimitError("all slots are taken")]), pytest.raises(openai.RateLimitError) as busy:
                await ask(stream=stream)
            assert busy.value.response.headers["retry-after"] == "1"
            assert envelope(busy.value)["code"] == 3040
            with service.giving([EngineError("gone")]), pytest.raises(openai.InternalServerError):
                await ask(stream=stream)

    asyncio.run(scene())


def test_an_error_in_the_middle_of_a_stream(openai_client: openai.AsyncOpenAI, service: RecordedService) -> None:
    async def scene() -> None:
        with service.giving([*TEXT[:1], EngineError("the model's process ended")]):
            stream = await openai_client.chat.completions.create(model=MODEL, messages=HI, stream=True)  # type: ignore
            with pytest.raises(openai.APIError, match="the model's process ended"):
                async for _ in stream:
                    pass

    asyncio.run(scene())


@pytest.mark.parametrize(("body", "code"), [(b"", 3003), (b"{", 5006), (b"[]", 5006), (b'"Hi"', 5006)])
def test_bodies_that_are_no_object(transport: httpx2.ASGITransport, body: bytes, code: int) -> None:
    async def scene() -> None:
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            answer = await client.post("/client/v4/accounts/any/ai/v1/chat/completions", content=body)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, code)

    asyncio.run(scene())
