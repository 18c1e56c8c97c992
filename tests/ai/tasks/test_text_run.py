"""The shapes of answers, from recorded pieces: Workers AI's own, and chat completions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest

from edgecli.ai.engines.generation import Cut, GenerationRequest, Piece, TokenLogprob, ToolCallPart, Usage
from edgecli.ai.tasks.text_request import Defaults
from edgecli.ai.tasks.text_run import Outcome, TextRun
from edgecli.envelope import to_json
from edgecli.errors import EngineError, LimitError

USAGE = Usage(prompt_tokens=10, completion_tokens=2, cached_tokens=4)
COUNTED = {
    "prompt_tokens": 10,
    "completion_tokens": 2,
    "total_tokens": 12,
    "prompt_tokens_details": {"cached_tokens": 4},
}
COUNTED_BYTES = (
    b'"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12,"prompt_tokens_details":{"cached_tokens":4}}'
)
TEXT = (Piece("Hello"), Piece(" world"), Piece(finish_reason="stop", usage=USAGE))
CALLS = (
    Piece(tool_calls=(ToolCallPart(0, "call_1", "get_weather"),)),
    Piece(tool_calls=(ToolCallPart(0, arguments='{"city":'),)),
    Piece(tool_calls=(ToolCallPart(0, arguments='"Oslo"}'),)),
    Piece(tool_calls=(ToolCallPart(1, "call_2", "now", "{}"),)),
    Piece(finish_reason="tool_calls", usage=USAGE),
)
JSON = (Piece('{"city":'), Piece('"Oslo"}'), Piece(finish_reason="stop", usage=USAGE))
CHAT = ("chat_completions",)


class Recorded:
    """An engine that says the same again."""

    def __init__(self, *answers: Sequence[Piece | Exception]) -> None:
        self.answers = list(answers)
        self.asked: list[GenerationRequest] = []
        self.closed = 0

    async def __call__(self, request: GenerationRequest) -> AsyncGenerator[Piece]:
        answer = self.answers[len(self.asked) % len(self.answers)]
        self.asked.append(request)
        try:
            for piece in answer:
                if isinstance(piece, Exception):
                    raise piece
                await asyncio.sleep(0)
                yield piece
        finally:
            self.closed += 1


def prepared(inputs: dict[str, Any], *capabilities: str) -> TextRun:
    return TextRun.read("@cf/a/b", {"prompt": "x"} | inputs, Defaults(256, 0.6, capabilities))


def whole(engine: Recorded, inputs: dict[str, Any], *capabilities: str) -> Outcome:
    return asyncio.run(prepared(inputs, *capabilities).whole(engine))


def events(engine: Recorded, inputs: dict[str, Any], *capabilities: str) -> list[dict[str, Any]]:
    async def collect() -> list[dict[str, Any]]:
        return [event async for event in prepared(inputs, *capabilities).stream(engine)]

    return asyncio.run(collect())


def lines(engine: Recorded, inputs: dict[str, Any], *capabilities: str) -> bytes:
    return b"".join(b"data: " + to_json(event) + b"\n\n" for event in events(engine, inputs, *capabilities))


def test_an_answer_of_text() -> None:
    outcome = whole(Recorded(TEXT), {})
    assert outcome == ({"response": "Hello world", "tool_calls": [], "usage": COUNTED}, [])
    assert list(outcome.result) == ["response", "tool_calls", "usage"]


def test_calls_of_tools_come_flat_or_as_the_model_gives_them() -> None:
    outcome = whole(Recorded(CALLS), {})
    assert outcome.result["response"] is None
    assert outcome.result["tool_calls"] == [
        {"name": "get_weather", "arguments": {"city": "Oslo"}},
        {"name": "now", "arguments": {}},
    ]
    assert whole(Recorded(CALLS), {}, "openai_tool_calls").result["tool_calls"][0] == {
        "id": "call_1",
        "type": "function",
        "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'},
    }
    unfinished = (*CALLS[:2], Piece(finish_reason="length", usage=USAGE))
    assert whole(Recorded(unfinished), {}).result["tool_calls"] == [{"name": "get_weather", "arguments": '{"city":'}]


def test_json_mode_gives_the_object() -> None:
    asked = {"response_format": {"type": "json_object"}}
    assert whole(Recorded(JSON), asked).result["response"] == {"city": "Oslo"}
    assert whole(Recorded(JSON), {}).result["response"] == '{"city":"Oslo"}'
    assert whole(Recorded(JSON), asked, *CHAT).result["choices"][0]["message"]["content"] == '{"city":"Oslo"}'


def test_json_that_was_not_finished() -> None:
    cut = (JSON[0], Piece(finish_reason="length", usage=USAGE))
    with pytest.raises(EngineError, match=r"^AiError: JSON Mode couldn't be met$") as caught:
        whole(Recorded(cut), {"response_format": {"type": "json_object"}})
    assert caught.value.cf_code == 5024
    assert "max_tokens" in (caught.value.hint or "")


def test_what_was_cut_and_changed_is_told() -> None:
    first = Piece("H", cut=Cut("head", 900, 7), warning="The template knows no system messages.")
    cut = {"strategy": "head", "tokens": 900, "messages": 7}
    said = [{"code": 1000, "message": "The template knows no system messages."}]
    answer = (first, *TEXT[1:])
    for capabilities in ((), CHAT):
        outcome = whole(Recorded(answer), {}, *capabilities)
        assert (outcome.result["truncated"], outcome.messages) == (cut, said)
    opening = events(Recorded(answer), {})[0]
    assert opening == {"response": "", "tool_calls": [], "truncated": cut, "messages": said}
    opening = events(Recorded(answer), {}, *CHAT)[0]
    assert (opening["truncated"], opening["messages"]) == (cut, said)
    assert "edge" not in opening


def test_what_a_model_thinks_is_left_out_where_that_is_asked_for() -> None:
    engine = Recorded((Piece(reasoning="A greeting."), *TEXT))
    assert whole(engine, {"split_reasoning": True}).result["response"] == "Hello world"
    assert events(engine, {"split_reasoning": True}) == events(Recorded(TEXT), {})
    whole(engine, {})
    assert [request.split_reasoning for request in engine.asked] == [True, True, False]


def test_an_answer_that_was_cut_says_so() -> None:
    answer = (*TEXT[:2], Piece(finish_reason="length", usage=USAGE))
    assert whole(Recorded(answer), {}).result["finish_reason"] == "length"
    assert lines(Recorded(answer), {}).endswith(b'{"response":"",' + COUNTED_BYTES + b',"finish_reason":"length"}\n\n')
    calls = (*CALLS[:2], Piece(finish_reason="length", usage=USAGE))
    assert [event["finish_reason"] for event in events(Recorded(calls), {}) if "finish_reason" in event] == ["length"]


def test_the_bytes_of_a_stream() -> None:
    assert lines(Recorded(TEXT), {}) == (
        b'data: {"response":"Hello","tool_calls":[]}\n\n'
        b'data: {"response":" world","tool_calls":[]}\n\n'
        b'data: {"response":"",' + COUNTED_BYTES + b"}\n\n"
    )


def test_the_bytes_of_streamed_calls() -> None:
    def part(index: int, call: str, kind: str, name: str, arguments: str) -> bytes:
        function = b'"function":{"name":%s,"arguments":"%s"}' % (name.encode(), arguments.encode())
        head = b'"id":%s,"type":%s,"index":%d,' % (call.encode(), kind.encode(), index)
        return b'data: {"tool_calls":[{' + head + function + b"}]}\n\n"

    assert lines(Recorded(CALLS), {}) == (
        part(0, '"call_1"', '"function"', '"get_weather"', "")
        + part(0, "null", "null", "null", '{\\"city\\":')
        + part(0, "null", "null", "null", '\\"Oslo\\"}')
        + part(0, "null", "null", "null", "")
        + part(1, '"call_2"', '"function"', '"now"', "{}")
        + part(1, "null", "null", "null", "")
        + b'data: {"finish_reason":"tool_calls"}\n\n'
        + b'data: {"response":"",'
        + COUNTED_BYTES
        + b"}\n\n"
    )


def test_a_chat_completion() -> None:
    result = whole(Recorded(TEXT), {}, *CHAT).result
    assert result.pop("id").startswith("id-1")
    assert isinstance(result.pop("created"), int)
    message = {"role": "assistant", "content": "Hello world", "refusal": None, "tool_calls": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop", "stop_reason": None}
    assert result == {"object": "chat.completion", "model": "@cf/a/b", "choices": [choice], "usage": COUNTED}


def test_several_answers_count_the_prompt_once() -> None:
    other = (Piece("Bye"), Piece(finish_reason="length", usage=Usage(10, 5, 9)))
    engine = Recorded(TEXT, other)
    result = whole(engine, {"n": 2, "seed": 3}, *CHAT).result
    assert [choice["message"]["content"] for choice in result["choices"]] == ["Hello world", "Bye"]
    assert [choice["finish_reason"] for choice in result["choices"]] == ["stop", "length"]
    assert result["usage"] == COUNTED | {"completion_tokens": 7, "total_tokens": 17}
    assert [request.seed for request in engine.asked] == [3, 4]


def test_logprobs_come_where_they_are_asked_for() -> None:
    token = TokenLogprob("é".encode()[:1], -0.5, ((b"a", -0.5), (b"b", float("-inf"))))
    answer = (Piece("é", logprobs=(token,)), TEXT[-1])
    asked = {"logprobs": True, "top_logprobs": 2}
    content = whole(Recorded(answer), asked, *CHAT).result["choices"][0]["logprobs"]["content"]
    assert content[0]["bytes"] == [0xC3]
    assert [each["token"] for each in content[0]["top_logprobs"]] == ["a", "b"]
    assert b"NaN" not in to_json(content) and b"null" not in to_json(content)
    assert whole(Recorded(answer), {}, *CHAT).result["choices"][0]["logprobs"] is None


def test_a_stream_of_chunks() -> None:
    said = events(Recorded(TEXT), {"stream_options": {"include_usage": True}}, *CHAT)
    *chunks, last, extra = said
    assert {event["object"] for event in (*chunks, last)} == {"chat.completion.chunk"}
    assert len({event["id"] for event in (*chunks, last)}) == 1
    deltas = [event["choices"][0]["delta"] for event in chunks]
    assert deltas == [{"role": "assistant", "content": ""}, {"content": "Hello"}, {"content": " world"}, {}]
    assert [event["choices"][0]["finish_reason"] for event in chunks] == [None, None, None, "stop"]
    assert (last["choices"], last["usage"]) == ([], COUNTED)
    assert extra == {"response": "", "usage": COUNTED}


@pytest.mark.parametrize("capabilities", [(), CHAT])
def test_an_error_before_the_first_piece_is_raised(capabilities: tuple[str, ...]) -> None:
    full = Recorded([LimitError("full")])
    with pytest.raises(LimitError):
        whole(full, {}, *capabilities)
    with pytest.raises(LimitError):
        events(full, {}, *capabilities)


@pytest.mark.parametrize("capabilities", [(), CHAT])
def test_closing_a_stream_closes_the_generation(capabilities: tuple[str, ...]) -> None:
    engine = Recorded(TEXT)

    async def leave() -> None:
        stream = prepared({}, *capabilities).stream(engine)
        await anext(stream)
        await stream.aclose()

    asyncio.run(leave())
    assert engine.closed == len(engine.asked) == 1


def test_one_failed_answer_ends_the_others() -> None:
    engine = Recorded(TEXT, [Piece("a"), EngineError("broke")])
    with pytest.raises(EngineError, match="broke"):
        whole(engine, {"n": 3}, *CHAT)
    assert engine.closed == 3
