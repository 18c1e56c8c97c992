"""`messages`: Anthropic's blocks in, blocks out, named events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from edgecli.ai.engines.generation import Constraint, GenerationRequest, Piece, Tool
from edgecli.ai.tasks.answer import collect
from edgecli.ai.v1.messages import writing
from edgecli.ai.v1.messages.reading import MessageCall, read_counted, read_input
from edgecli.errors import EngineError, LimitError, UsageError
from tests.ai.v1.recorded import (
    CALL_CUT_SHORT,
    CALLS,
    CUT_SHORT,
    DEFAULTS,
    MODEL,
    SILENT,
    STOPPED,
    TEXT,
    THOUGHT,
    RecordedService,
    gather,
    replay,
)

HI: list[dict[str, Any]] = [{"role": "user", "content": "Hi"}]
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
TOOLS = [{"name": "weather", "description": "Tell it.", "input_schema": SCHEMA}]
EVENT: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)


def read(**body: Any) -> MessageCall:
    return read_input({"model": MODEL, "max_tokens": 64, "messages": HI} | body, DEFAULTS)


def whole(pieces: Sequence[Piece], **options: bool) -> dict[str, Any]:
    [answer] = asyncio.run(collect([replay(pieces)]))
    said = writing.whole("msg_1", MODEL, answer, **options)
    Message.model_validate(said, strict=True)
    return said


def events(pieces: Sequence[Piece], **options: bool) -> list[dict[str, Any]]:
    said = gather(lambda: writing.stream(writing.MessageWriter("msg_1", MODEL, **options), replay(pieces), 11))
    for event in said:
        if event != writing.PING:
            EVENT.validate_python(event, strict=True)
    return said


def test_what_is_read() -> None:
    call = read(
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        temperature=1,
        top_k=5,
        top_p=0.9,
        stop_sequences=["END"],
        tools=TOOLS,
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
        output_config={"format": {"type": "json_schema", "schema": SCHEMA}},
        thinking={"type": "enabled", "budget_tokens": 1024},
        metadata={"user_id": "somebody"},
        stream=True,
    )
    assert call == MessageCall(
        MODEL,
        GenerationRequest(
            messages=[{"role": "system", "content": "Be brief."}, *HI],
            max_tokens=64,
            temperature=1,
            top_k=5,
            top_p=0.9,
            stop=("END",),
            tools=(Tool("weather", "Tell it.", SCHEMA),),
            tool_choice="required",
            parallel_tool_calls=False,
            constraint=Constraint("json_schema", SCHEMA),
            split_reasoning=True,
        ),
        stream=True,
        thinking=True,
    )


@pytest.mark.parametrize(
    ("choice", "read_as"),
    [
        (None, "auto"),
        ({"type": "auto"}, "auto"),
        ({"type": "none"}, "none"),
        ({"type": "any"}, "required"),
        ({"type": "tool", "name": "weather"}, "=weather"),
    ],
)
def test_choices(choice: Any, read_as: str) -> None:
    assert read(tools=TOOLS, tool_choice=choice).request.tool_choice == read_as


def test_turns_with_tools() -> None:
    asked = read(
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "there"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "x"},
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "a", "name": "weather", "input": {"n": 1}},
                    {"type": "tool_use", "id": "b", "name": "weather", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "sunny"}]},
                    {"type": "tool_result", "tool_use_id": "b", "content": "no such town", "is_error": True},
                    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Oslo"}},
                    {"type": "text", "text": "So?"},
                ],
            },
        ]
    ).request
    calls = [
        {"id": "a", "type": "function", "function": {"name": "weather", "arguments": {"n": 1}}},
        {"id": "b", "type": "function", "function": {"name": "weather", "arguments": {}}},
    ]
    assert asked.messages == [
        {"role": "user", "content": "Hi\nthere"},
        {"role": "assistant", "content": "I look.", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "a", "content": "sunny", "name": "weather"},
        {"role": "tool", "tool_call_id": "b", "content": "Error: no such town", "name": "weather"},
        {"role": "user", "content": "Oslo\nSo?"},
    ]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"max_tokens": None}, "required properties at '/' are 'max_tokens'"),
        ({"max_tokens": 0}, "'/max_tokens' is 0"),
        ({"messages": []}, "'/messages' is []"),
        ({"messages": [*HI, {"role": "assistant", "content": "{"}]}, "must end with a user message"),
        ({"messages": [{"role": "user", "content": None}]}, "Type mismatch of '/messages/0/content'"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "no images"),
        (
            {"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "base64"}}]}]},
            "no files",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result", "content": "x"}]}]},
            "Type mismatch of '/messages/0/content/0/tool_use_id'",
        ),
        ({"system": 5}, "Type mismatch of '/system'"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "edgecli runs no tools"),
        ({"tools": [{"name": "x"}]}, "'/tools/0' are 'input_schema'"),
        ({"tools": TOOLS, "tool_choice": {"type": "tool", "name": "x"}}, "names `x`"),
        ({"tools": TOOLS, "tool_choice": {"type": "some"}}, "'/tool_choice/type' is 'some'"),
        ({"tool_choice": {"type": "any"}}, "'/tools' is empty"),
        ({"mcp_servers": [{}]}, "'/mcp_servers' is not taken"),
        ({"temperature": float("nan")}, "'/temperature' is NaN"),
    ],
)
def test_refusals(body: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(**body)
    assert problem in caught.value.message


def test_counting_needs_no_limit() -> None:
    model, prompt = read_counted({"model": MODEL, "messages": HI, "system": "Be brief.", "tools": TOOLS})
    assert (model, len(prompt.messages or ()), len(prompt.tools)) == (MODEL, 2, 1)


def test_a_text() -> None:
    assert whole(TEXT) == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [{"type": "text", "text": "Hel退款"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 3,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 8,
            "output_tokens": 3,
        },
    }


def test_why_an_answer_ends() -> None:
    reasons = [(whole(each)["stop_reason"], whole(each)["stop_sequence"]) for each in (CUT_SHORT, STOPPED, CALLS)]
    assert reasons == [("max_tokens", None), ("stop_sequence", ", three"), ("tool_use", None)]
    assert whole(SILENT)["content"] == [{"type": "text", "text": ""}]
    assert whole(CUT_SHORT)["edge"]["warning"] == "neighbours were merged"


def test_calls() -> None:
    assert whole(CALLS)["content"] == [
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "call_a", "name": "weather", "input": {"city": "Oslo"}},
        {"type": "tool_use", "id": "call_b", "name": "time", "input": {}},
    ]
    assert whole(CALL_CUT_SHORT)["content"] == []


def test_what_a_model_thinks_is_a_block_where_it_is_wanted() -> None:
    text = {"type": "text", "text": "Hel退款"}
    assert whole(THOUGHT)["content"] == [text]
    assert whole(THOUGHT, thinking=True)["content"] == [
        {"type": "thinking", "thinking": "A greeting.", "signature": ""},
        text,
    ]
    assert events(THOUGHT) == events(TEXT)
    said = events(THOUGHT, thinking=True)
    assert [event["content_block"]["type"] for event in said if "content_block" in event] == ["thinking", "text"]
    deltas = [event["delta"] for event in said if event["type"] == "content_block_delta"]
    assert deltas[:2] == [
        {"type": "thinking_delta", "thinking": "A "},
        {"type": "thinking_delta", "thinking": "greeting."},
    ]


def test_the_events_of_a_text() -> None:
    assert events(TEXT) == [
        {
            "type": "message_start",
            "message": {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": MODEL,
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {
                    "input_tokens": 11,
                    "cache_creation_input_tokens": 0,
                    "cache_read_input_tokens": 0,
                    "output_tokens": 0,
                },
            },
        },
        {"type": "ping"},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "退款"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {
                "input_tokens": 3,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 8,
                "output_tokens": 3,
            },
        },
        {"type": "message_stop"},
    ]


def test_the_events_of_calls() -> None:
    said = events(CALLS)
    blocks = [event["content_block"] for event in said if event["type"] == "content_block_start"]
    assert [block["type"] for block in blocks] == ["text", "tool_use", "tool_use"]
    assert blocks[1] == {"type": "tool_use", "id": "call_a", "name": "weather", "input": {}}
    parts = [
        event["delta"]["partial_json"] for event in said if event.get("delta", {}).get("type") == "input_json_delta"
    ]
    assert parts == ['{"city":', '"Oslo"}', "{}"]
    assert [event["index"] for event in said if event["type"] == "content_block_stop"] == [0, 1, 2]
    assert said[-2]["delta"]["stop_reason"] == "tool_use"


def test_the_bytes_of_a_stream(transport: httpx2.ASGITransport, service: RecordedService) -> None:
    async def scene() -> None:
        body = {"model": MODEL, "max_tokens": 64, "messages": HI, "stream": True}
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            with service.giving(TEXT):
                answer = await client.post("/client/v4/accounts/any/ai/v1/messages", json=body)
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["request-id"]
        first, ping, *_, last, rest = answer.text.split("\n\n")
        assert first.startswith('event: message_start\ndata: {"type":"message_start",')
        assert ping == 'event: ping\ndata: {"type":"ping"}'
        assert (last, rest) == ('event: message_stop\ndata: {"type":"message_stop"}', "")

    asyncio.run(scene())


def test_a_silent_stream_pings() -> None:
    async def scene() -> None:
        heard = asyncio.Event()

        async def slow() -> AsyncGenerator[Piece]:
            for piece in (TEXT[0], TEXT[-1]):
                await heard.wait()
                heard.clear()
                yield piece

        said: list[str] = []
        async for event in writing.stream(writing.MessageWriter("msg_1", MODEL), slow(), 5, silence=0.01):
            said.append(event["type"])
            if said[-2:] == ["ping", "ping"]:
                heard.set()
        assert said[:3] == ["message_start", "ping", "ping"]
        assert [kind for kind in said if kind != "ping"][1:] == [
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]

    asyncio.run(scene())


def test_a_silent_stream_that_is_left_ends_its_source() -> None:
    async def scene() -> None:
        ended = asyncio.Event()

        async def endless() -> AsyncGenerator[Piece]:
            try:
                yield TEXT[0]
                await asyncio.Event().wait()
            finally:
                ended.set()

        events = writing.stream(writing.MessageWriter("msg_1", MODEL), endless(), 5, silence=0.01)
        said = [(await anext(events))["type"] for _ in range(6)]
        assert said[-2:] == ["ping", "ping"]
        await events.aclose()
        assert ended.is_set()

    asyncio.run(scene())


def test_the_client_reads_them(anthropic_client: anthropic.AsyncAnthropic, service: RecordedService) -> None:
    ask: dict[str, Any] = {"model": MODEL, "max_tokens": 64, "messages": HI}

    async def scene() -> None:
        with service.giving(CALLS):
            said = await anthropic_client.messages.create(**ask, tools=TOOLS)
        assert [block.type for block in said.content] == ["text", "tool_use", "tool_use"]
        with service.giving(CALLS):
            async with anthropic_client.messages.stream(**ask, tools=TOOLS) as stream:
                texts = [text async for text in stream.text_stream]
                final = await stream.get_final_message()
        assert texts == ["Let me look."]
        assert final.content[1].type == "tool_use" and final.content[1].input == {"city": "Oslo"}
        assert (final.stop_reason, final.usage.output_tokens) == ("tool_use", 20)
        counted = await anthropic_client.messages.count_tokens(
            model=MODEL, messages=ask["messages"], system="Be brief."
        )
        assert counted.input_tokens == 3

    asyncio.run(scene())


def test_errors(anthropic_client: anthropic.AsyncAnthropic, service: RecordedService) -> None:
    async def scene() -> None:
        ask: dict[str, Any] = {"model": MODEL, "max_tokens": 64, "messages": HI}
        create = anthropic_client.messages.create
        with pytest.raises(anthropic.BadRequestError) as bad:
            await create(**ask | {"max_tokens": 0})
        body: Any = bad.value.body
        assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
        assert "'/max_tokens' is 0" in body["error"]["message"]
        with pytest.raises(anthropic.BadRequestError, match="No such model"):
            await create(**ask | {"model": "@edge/none"})
        for stream in (False, True):
            with service.giving([LimitError("all slots are taken")]), pytest.raises(anthropic.RateLimitError) as busy:
                await create(**ask, stream=stream)
            assert busy.value.response.headers["retry-after"] == "1"
        with service.giving([*TEXT[:1], EngineError("gone")]), pytest.raises(anthropic.APIStatusError, match="gone"):
            async for _ in await create(**ask, stream=True):
                pass

    asyncio.run(scene())
