"""Pieces as `chat.completion` objects, whole and in chunks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from edgecli.ai.engines.generation import Piece
from edgecli.ai.tasks import chat_completion
from edgecli.ai.tasks.answer import collect, merged
from edgecli.errors import EngineError
from tests.ai.v1.recorded import CALLS, CUT_SHORT, SILENT, TEXT, gather, replay

HEAD = chat_completion.Head("@edge/m", id="chatcmpl-1", created=1_700_000_000)


def whole(*answers: Sequence[Piece], logprobs: bool = False) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        return chat_completion.whole(HEAD, await collect([replay(each) for each in answers]), logprobs=logprobs)

    said = asyncio.run(run())
    ChatCompletion.model_validate(said, strict=True)
    return said


def chunks(*answers: Sequence[Piece], **options: bool) -> list[dict[str, Any]]:
    said = gather(lambda: chat_completion.stream(HEAD, [replay(each) for each in answers], **options))
    for chunk in said:
        ChatCompletionChunk.model_validate(chunk, strict=True)
    return said


def test_a_text() -> None:
    assert whole(TEXT) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "@edge/m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hel退款", "refusal": None, "tool_calls": []},
                "logprobs": None,
                "finish_reason": "stop",
                "stop_reason": None,
            }
        ],
        "usage": {
            "prompt_tokens": 11,
            "completion_tokens": 3,
            "total_tokens": 14,
            "prompt_tokens_details": {"cached_tokens": 8},
        },
    }


def test_a_text_in_chunks() -> None:
    said = chunks(TEXT)
    assert {(each["id"], each["object"], each["created"], each["model"]) for each in said} == {
        ("chatcmpl-1", "chat.completion.chunk", 1_700_000_000, "@edge/m")
    }
    assert [each["choices"][0]["delta"] for each in said] == [
        {"role": "assistant", "content": ""},
        {"content": "Hel"},
        {"content": "退款"},
        {},
    ]
    assert [each["choices"][0]["finish_reason"] for each in said] == [None, None, None, "stop"]
    assert all("usage" not in each for each in said)


def test_usage_comes_last_where_it_is_asked_for() -> None:
    *before, last = chunks(TEXT, TEXT, usage=True)
    assert all(each["usage"] is None for each in before)
    assert last["choices"] == []
    assert last["usage"] == {
        "prompt_tokens": 11,
        "completion_tokens": 6,
        "total_tokens": 17,
        "prompt_tokens_details": {"cached_tokens": 8},
    }


def test_calls_of_tools() -> None:
    choice = whole(CALLS)["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] == "Let me look."
    assert choice["message"]["tool_calls"] == [
        {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}},
        {"id": "call_b", "type": "function", "function": {"name": "time", "arguments": "{}"}},
    ]
    assert whole(CALLS[1:])["choices"][0]["message"]["content"] is None


def test_calls_of_tools_in_chunks() -> None:
    deltas = [call for each in chunks(CALLS) for call in each["choices"][0]["delta"].get("tool_calls", ())]
    assert deltas == [
        {"index": 0, "id": "call_a", "type": "function", "function": {"name": "weather", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"city":'}},
        {"index": 0, "function": {"arguments": '"Oslo"}'}},
        {"index": 1, "id": "call_b", "type": "function", "function": {"name": "time", "arguments": "{}"}},
    ]


def test_several_answers_are_several_choices() -> None:
    choices = whole(TEXT, SILENT)["choices"]
    assert [(each["index"], each["message"]["content"]) for each in choices] == [(0, "Hel退款"), (1, "")]
    endings = [each["choices"][0] for each in chunks(TEXT, SILENT) if each["choices"][0]["finish_reason"]]
    assert sorted(each["index"] for each in endings) == [0, 1]


def test_log_probabilities() -> None:
    said = whole(TEXT, logprobs=True)["choices"][0]["logprobs"]
    assert said["refusal"] is None
    first, half, last = said["content"]
    assert first == {
        "token": "Hel",
        "logprob": -0.25,
        "bytes": [72, 101, 108],
        "top_logprobs": [
            {"token": "Hel", "logprob": -0.25, "bytes": [72, 101, 108]},
            {"token": "Go", "logprob": -2.0, "bytes": [71, 111]},
        ],
    }
    assert (half["token"], half["bytes"]) == ("\ufffd", [0xE9, 0x80])
    assert last["logprob"] == -9999.0
    streamed = [each["choices"][0]["logprobs"] for each in chunks(TEXT, logprobs=True)]
    assert [token for each in streamed if each for token in each["content"]] == said["content"]


def test_what_was_left_out_of_the_prompt_is_said() -> None:
    edge = {"truncated": {"strategy": "head", "tokens": 40, "messages": 2}, "warning": "neighbours were merged"}
    assert whole(CUT_SHORT)["edge"] == edge
    assert [each.get("edge") for each in chunks(CUT_SHORT)] == [edge, None, None]
    assert "edge" not in whole(TEXT)


def test_an_error_of_one_answer_ends_all() -> None:
    closed: list[int] = []

    async def endless(number: int) -> AsyncGenerator[Piece]:
        try:
            while True:
                await asyncio.sleep(0)
                yield Piece("x")
        finally:
            closed.append(number)

    broken = replay([Piece("a"), EngineError("the model is gone")])
    with pytest.raises(EngineError, match="gone"):
        gather(lambda: merged([endless(1), broken, endless(2)]))
    assert sorted(closed) == [1, 2]


def test_closing_closes_all() -> None:
    closed: list[int] = []

    async def waiting(number: int) -> AsyncGenerator[Piece]:
        try:
            yield Piece("x")
            await asyncio.Event().wait()
        finally:
            closed.append(number)

    async def scene() -> None:
        pieces = merged([waiting(1), waiting(2)])
        await anext(pieces)
        await pieces.aclose()
        assert sorted(closed) == [1, 2]

    asyncio.run(scene())


def test_what_a_model_thinks_stands_beside_its_answer() -> None:
    thinking = (Piece(reasoning="Two and "), Piece(reasoning="two."), *TEXT)
    message = whole(thinking)["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("Two and two.", "Hel退款")
    deltas = [choice["delta"] for chunk in chunks(thinking) for choice in chunk["choices"]]
    assert deltas[:3] == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "Two and "},
        {"reasoning_content": "two."},
    ]
    assert "".join(delta.get("content", "") for delta in deltas) == "Hel退款"
