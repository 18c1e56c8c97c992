"""`responses`: items in, items out, numbered events."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, get_args

import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel

from edgecli.ai.engines.generation import Constraint, GenerationRequest, Piece, Tool
from edgecli.ai.v1.responses.memory import ResponseMemory
from edgecli.ai.v1.responses.reading import ResponseCall, read_input
from edgecli.ai.v1.responses.writing import ResponseWriter, stream
from edgecli.errors import EngineError, LimitError, NotFoundError, UsageError
from tests.ai.v1.recorded import (
    CALL_CUT_SHORT,
    CALLS,
    CUT_SHORT,
    DEFAULTS,
    MODEL,
    SILENT,
    TEXT,
    THOUGHT,
    RecordedService,
    gather,
    replay,
)

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
TOOLS = [{"type": "function", "name": "weather", "description": "Tell it.", "parameters": SCHEMA, "strict": True}]
EVENTS: dict[str, Any] = {
    kind.model_fields["type"].annotation.__args__[0]: kind for kind in get_args(get_args(ResponseStreamEvent)[0])
}
HI = [{"role": "user", "content": "Hi"}]


def read(memory: ResponseMemory | None = None, **body: Any) -> ResponseCall:
    return read_input({"model": MODEL, "input": "Hi"} | body, DEFAULTS, memory or ResponseMemory())


def events(pieces: Sequence[Piece], **body: Any) -> list[dict[str, Any]]:
    """Return the events of an answer; each is what OpenAI's types say."""
    writer = ResponseWriter(read(**body), MODEL)
    said = gather(lambda: stream(writer, replay(pieces), ResponseMemory()))
    for event in said:
        EVENTS[event["type"]].model_validate(event, strict=True)
        if "response" in event:
            Response.model_validate(event["response"], strict=True)
    assert [event["sequence_number"] for event in said] == list(range(len(said)))
    return said


def test_what_is_silent_is_as_the_settings_say() -> None:
    assert read().request == GenerationRequest(messages=HI, max_tokens=256, temperature=0.6, split_reasoning=True)


def test_what_is_said() -> None:
    asked = read(
        instructions="Be brief.",
        max_output_tokens=5,
        temperature=1,
        top_p=0.5,
        top_logprobs=3,
        include=["message.output_text.logprobs"],
        text={"format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}},
        tools=TOOLS,
        tool_choice={"type": "function", "name": "weather"},
        truncation="auto",
        reasoning={"effort": "low"},
        user="somebody",
    ).request
    assert asked.messages == [{"role": "system", "content": "Be brief."}, *HI]
    assert (asked.max_tokens, asked.temperature, asked.top_p, asked.logprobs) == (5, 1, 0.5, 3)
    assert asked.constraint == Constraint("json_schema", SCHEMA)
    assert asked.tools == (Tool("weather", "Tell it.", SCHEMA),)
    assert (asked.tool_choice, asked.truncate) == ("=weather", "head")


def test_allowed_tools() -> None:
    other = {"type": "function", "name": "time"}
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "time"}]}
    asked = read(tools=[*TOOLS, other], tool_choice=choice).request
    assert [tool.name for tool in asked.tools] == ["time"]
    assert asked.tool_choice == "required"


def test_items() -> None:
    asked = read(
        input=[
            {"role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
            {"type": "message", "role": "user", "content": "Hi"},
            {"type": "reasoning", "summary": []},
            {
                "type": "message",
                "role": "assistant",
                "id": "msg_1",
                "status": "completed",
                "content": [{"type": "output_text", "text": "I look.", "annotations": [], "logprobs": []}],
            },
            {"type": "function_call", "id": "fc_1", "call_id": "a", "name": "weather", "arguments": '{"n":1}'},
            {"type": "function_call", "call_id": "b", "name": "weather", "arguments": '{"n":2}'},
            {"type": "function_call_output", "call_id": "a", "output": "sunny"},
            {"type": "function_call_output", "call_id": "b", "output": [{"type": "input_text", "text": "rain"}]},
        ]
    ).request
    calls = [
        {"id": name, "type": "function", "function": {"name": "weather", "arguments": {"n": n}}}
        for n, name in enumerate("ab", 1)
    ]
    assert asked.messages == [
        {"role": "system", "content": "Be brief."},
        *HI,
        {"role": "assistant", "content": "I look.", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "a", "content": "sunny", "name": "weather"},
        {"role": "tool", "tool_call_id": "b", "content": "rain", "name": "weather"},
    ]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"input": None}, "required properties at '/' are 'input'"),
        ({"input": ""}, "'/input' is empty"),
        ({"input": []}, "'/input' is empty"),
        ({"input": 5}, "Type mismatch of '/input'"),
        ({"input": ["Hi"]}, "Type mismatch of '/input/0'"),
        ({"input": [{"role": "pope", "content": "Hi"}]}, "'/input/0/role' is 'pope'"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "no images"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "no files"),
        ({"input": [{"type": "function_call", "call_id": "a"}]}, "Type mismatch of '/input/0/name'"),
        ({"input": [{"type": "web_search_call"}]}, "'/input/0/type' is 'web_search_call'"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "'/input/0/type' is 'item_reference'"),
        ({"tools": [{"type": "web_search"}]}, "edgecli runs no tools of its own"),
        ({"background": True}, "'/background' is not taken"),
        ({"conversation": "conv_1"}, "'/conversation' is not taken"),
        ({"prompt": {"id": "p"}}, "'/prompt' is not taken"),
        ({"max_output_tokens": 0}, "'/max_output_tokens' is 0"),
        ({"truncation": "sometimes"}, "'/truncation' is \"sometimes\""),
        ({"text": {"format": {"type": "xml"}}}, "'/text/format/type' is 'xml'"),
        ({"previous_response_id": "resp_1"}, "no such response"),
    ],
)
def test_refusals(body: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(**body)
    assert problem in caught.value.message


def test_the_events_of_a_text() -> None:
    said = events(TEXT)
    assert [event["type"] for event in said] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert said[0]["response"]["status"] == "in_progress"
    assert said[2]["item"] == {"status": "in_progress", "content": []} | said[2]["item"]
    assert said[6]["text"] == "Hel退款"
    assert said[8]["item"] == said[9]["response"]["output"][0]
    response = said[9]["response"]
    assert response["output"][0]["content"] == [
        {"type": "output_text", "text": "Hel退款", "annotations": [], "logprobs": []}
    ]
    assert response["usage"] == {
        "input_tokens": 11,
        "input_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 0},
        "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 14,
    }
    assert (response["status"], response["error"], response["incomplete_details"]) == ("completed", None, None)


def test_what_a_model_thinks_is_an_item_of_its_own() -> None:
    said = events(THOUGHT)
    assert [event["type"].removeprefix("response.") for event in said[2:7]] == [
        "output_item.added",
        "reasoning_text.delta",
        "reasoning_text.delta",
        "reasoning_text.done",
        "output_item.done",
    ]
    reasoning, message = said[-1]["response"]["output"]
    assert reasoning["content"] == [{"type": "reasoning_text", "text": "A greeting."}]
    assert message["content"][0]["text"] == "Hel退款"


def test_the_events_of_calls() -> None:
    said = events(CALLS, tools=TOOLS)
    assert [event["type"].removeprefix("response.") for event in said[7:]] == [
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    message, first, second = said[-1]["response"]["output"]
    assert message["content"][0]["text"] == "Let me look."
    assert (first["call_id"], first["name"], first["arguments"]) == ("call_a", "weather", '{"city":"Oslo"}')
    assert (second["call_id"], second["name"], second["arguments"]) == ("call_b", "time", "{}")
    assert said[-1]["response"]["tools"] == TOOLS
    assert [event["output_index"] for event in said if "output_index" in event] == sorted(
        event["output_index"] for event in said if "output_index" in event
    )


def test_answers_that_are_cut_are_incomplete() -> None:
    for pieces in (CUT_SHORT, CALL_CUT_SHORT):
        last = events(pieces)[-1]
        assert (last["type"], last["response"]["status"]) == ("response.incomplete", "incomplete")
        assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
        assert last["response"]["output"][-1]["status"] == "incomplete"
    assert events(CUT_SHORT)[0]["response"].get("edge") is None
    assert events(CUT_SHORT)[-1]["response"]["edge"]["truncated"]["tokens"] == 40


def test_an_answer_of_nothing_is_an_empty_text() -> None:
    assert events(SILENT)[-1]["response"]["output"][0]["content"][0]["text"] == ""


def test_log_probabilities() -> None:
    said = events(TEXT, include=["message.output_text.logprobs"])
    deltas = [event["logprobs"] for event in said if event["type"].endswith("text.delta")]
    assert [[token["token"] for token in each] for each in deltas] == [["Hel"], ["\ufffd", "\ufffd款"]]
    assert len(said[-1]["response"]["output"][0]["content"][0]["logprobs"]) == 3


def test_memory_is_bounded_and_keeps_what_is_used() -> None:
    memory = ResponseMemory(2)
    memory.keep({"id": "a"}, HI)
    memory.keep({"id": "b"}, HI)
    assert memory.conversation("a") == tuple(HI)
    memory.keep({"id": "c"}, HI)
    with pytest.raises(UsageError, match="'b'"):
        memory.conversation("b")
    assert memory.conversation("a") == tuple(HI)
    memory.forget("c")
    memory.keep({"id": "d"}, HI)
    assert memory.response("a") == {"id": "a"}


def test_memory_is_bounded_in_bytes() -> None:
    memory = ResponseMemory(max_bytes=1000)
    for name in "abcd":
        memory.keep({"id": name, "instructions": "x" * 400}, HI)
    for name in "ab":
        with pytest.raises(NotFoundError, match=f"'{name}'"):
            memory.response(name)
    assert memory.response("c") and memory.response("d")
    memory.keep({"id": "long", "instructions": "x" * 2000}, HI)
    for name in ("d", "long"):
        with pytest.raises(NotFoundError):
            memory.response(name)


def test_a_conversation_goes_on(openai_client: openai.AsyncOpenAI, service: RecordedService) -> None:
    async def scene() -> None:
        create = openai_client.responses.create
        with service.giving(CALLS):
            first = await create(model=MODEL, input="Hi", instructions="Be brief.", tools=TOOLS)  # type: ignore
        call = first.output[1]
        assert call.type == "function_call" and call.name == "weather"
        results: Any = [
            {"type": "function_call_output", "call_id": "call_a", "output": "sunny"},
            {"type": "function_call_output", "call_id": "call_b", "output": "noon"},
        ]
        with service.giving(TEXT):
            second = await create(model=MODEL, input=results, previous_response_id=first.id, store=False)
        [asked] = service.asked
        assert [message["role"] for message in asked.messages or ()] == ["user", "assistant", "tool", "tool"]
        assert [message.get("name") for message in asked.messages or ()] == [None, None, "weather", "time"]
        assert second.output_text == "Hel退款"
        with pytest.raises(openai.BadRequestError) as forgotten:
            await create(model=MODEL, input="And?", previous_response_id=second.id)
        assert forgotten.value.code == "previous_response_not_found"
        with service.giving(TEXT, TEXT):
            for text in ("one branch", "another"):
                await create(model=MODEL, input=text, previous_response_id=first.id)
        assert [len(each.messages or ()) for each in service.asked] == [3, 3]

    asyncio.run(scene())


def test_a_response_is_read_again_and_forgotten(openai_client: openai.AsyncOpenAI, service: RecordedService) -> None:
    async def scene() -> None:
        responses = openai_client.responses
        with service.giving(CALLS, TEXT, TEXT):
            first = await responses.create(model=MODEL, input="Hi", tools=TOOLS)  # type: ignore[arg-type]
            events = [event async for event in await responses.create(model=MODEL, input="Hi", stream=True)]
            unkept = await responses.create(model=MODEL, input="Hi", store=False)
        assert await responses.retrieve(first.id) == first
        last = events[-1]
        assert last.type == "response.completed"
        assert await responses.retrieve(last.response.id) == last.response
        await responses.delete(first.id)
        assert unkept.store is False  # type: ignore[attr-defined]
        for gone in (first.id, unkept.id, "resp_none"):
            with pytest.raises(openai.NotFoundError, match=f"Response with id '{gone}' not found"):
                await responses.retrieve(gone)
            with pytest.raises(openai.NotFoundError) as missing:
                await responses.delete(gone)
            assert (missing.value.code, missing.value.type) == ("response_not_found", "not_found_error")
        with pytest.raises(openai.BadRequestError, match="`stream` is not taken"):
            await responses.retrieve(last.response.id, stream=True)

    asyncio.run(scene())


def test_the_client_reads_streams(openai_client: openai.AsyncOpenAI, service: RecordedService) -> None:
    class Answer(BaseModel):
        n: int

    async def scene() -> None:
        numbers = (Piece('{"n":'), Piece("5}"), TEXT[-1])
        with service.giving(numbers):
            async with openai_client.responses.stream(model=MODEL, input="Hi", text_format=Answer) as stream:
                deltas = [event.delta async for event in stream if event.type == "response.output_text.delta"]
                final = await stream.get_final_response()
        assert deltas == ['{"n":', "5}"]
        assert final.output_parsed == Answer(n=5)
        assert service.asked[0].constraint is not None

    asyncio.run(scene())


def test_errors(openai_client: openai.AsyncOpenAI, service: RecordedService) -> None:
    async def scene() -> None:
        create = openai_client.responses.create
        with pytest.raises(openai.BadRequestError) as bad:
            await create(model=MODEL, input="Hi", temperature=9)
        assert (bad.value.code, bad.value.type) == ("invalid_prompt", "invalid_request_error")
        with pytest.raises(openai.BadRequestError) as unknown:
            await create(model="@edge/none", input="Hi")
        assert unknown.value.code == "model_not_found"
        for streamed in (False, True):
            with service.giving([LimitError("all slots are taken")]), pytest.raises(openai.RateLimitError) as busy:
                await create(model=MODEL, input="Hi", stream=streamed)
            assert busy.value.code == "rate_limit_exceeded"
            assert busy.value.response.headers["retry-after"] == "1"
        with service.giving([*TEXT[:1], EngineError("gone")]):
            events = [event async for event in await create(model=MODEL, input="Hi", stream=True)]
        *_, error, failed = events
        assert error.type == "error" and error.message == "gone"
        assert failed.type == "response.failed" and failed.response.status == "failed"
        assert failed.response.error is not None and failed.response.error.code == "server_error"
        with service.giving([*TEXT[:1], EngineError("gone")]), pytest.raises(openai.InternalServerError):
            await create(model=MODEL, input="Hi")

    asyncio.run(scene())
