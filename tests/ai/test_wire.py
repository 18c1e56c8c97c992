"""What clients read out of answers, from the same recorded pieces in both forms."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from edgecli.ai.engines.generation import FinishReason, Piece
from edgecli.ai.v1.responses.memory import ResponseMemory
from edgecli.ai.v1.responses.reading import read_input
from edgecli.ai.v1.responses.writing import ResponseWriter, stream
from edgecli.ai.wire import add_calls, answer_of, calls_of_event, text_of_event, usage_of, was_cut
from tests.ai.tasks.test_text_run import CALLS, CHAT, JSON, TEXT, USAGE, Recorded, events, whole
from tests.ai.v1 import recorded


@pytest.mark.parametrize("capabilities", [(), CHAT])
def test_both_forms_read_alike(capabilities: tuple[str, ...]) -> None:
    assert "".join(map(text_of_event, events(Recorded(TEXT), {}, *capabilities))) == "Hello world"
    assert answer_of(whole(Recorded(TEXT), {}, *capabilities).result) == "Hello world"
    calls: list[dict[str, Any]] = []
    for event in events(Recorded(CALLS), {}, *capabilities):
        add_calls(calls, calls_of_event(event))
    assert calls == [{"name": "get_weather", "arguments": '{"city":"Oslo"}'}, {"name": "now", "arguments": "{}"}]
    assert len(answer_of(whole(Recorded(CALLS), {}, *capabilities).result)) == 2


@pytest.mark.parametrize("capabilities", [(), CHAT])
@pytest.mark.parametrize("reason", ["stop", "length"])
def test_both_forms_say_where_an_answer_was_cut(capabilities: tuple[str, ...], reason: FinishReason) -> None:
    said = Recorded((Piece("Hello"), Piece(finish_reason=reason, usage=USAGE)))
    cut = reason == "length"
    assert was_cut(whole(said, {}, *capabilities).result) is cut
    assert any(map(was_cut, events(said, {}, *capabilities))) is cut


@pytest.mark.parametrize("cut", [False, True])
def test_the_responses_api_says_where_an_answer_was_cut(cut: bool) -> None:
    end = dataclasses.replace(recorded.TEXT[-1], finish_reason="length") if cut else recorded.TEXT[-1]
    call = read_input({"model": recorded.MODEL, "input": "Hi"}, recorded.DEFAULTS, ResponseMemory())
    writer = ResponseWriter(call, recorded.MODEL)
    said = recorded.gather(lambda: stream(writer, recorded.replay([*recorded.TEXT[:-1], end]), ResponseMemory()))
    assert [was_cut(event) for event in said] == [False] * (len(said) - 1) + [cut]
    assert was_cut(said[-1]["response"]) is cut


@pytest.mark.parametrize("pieces", [recorded.TEXT, recorded.THOUGHT, recorded.CALLS])
def test_the_responses_api_reads_alike(pieces: Sequence[Piece]) -> None:
    call = read_input({"model": recorded.MODEL, "input": "Hi"}, recorded.DEFAULTS, ResponseMemory())
    writer = ResponseWriter(call, recorded.MODEL)
    said = recorded.gather(lambda: stream(writer, recorded.replay(pieces), ResponseMemory()))
    result = said[-1]["response"]
    text = "".join(piece.text for piece in pieces)
    assert "".join(map(text_of_event, said)) == answer_of(result) == text
    calls: list[dict[str, Any]] = []
    for event in said:
        add_calls(calls, calls_of_event(event))
    assert [call["name"] for call in calls] == (["weather", "time"] if pieces is recorded.CALLS else [])
    end = pieces[-1].usage
    assert end is not None
    for each in (result, said[-1]):
        assert usage_of(each) == {"prompt_tokens": end.prompt_tokens, "completion_tokens": end.completion_tokens}
    assert usage_of(said[0]) is None


def test_an_object_and_a_number() -> None:
    asked = {"response_format": {"type": "json_object"}}
    assert answer_of(whole(Recorded(JSON), asked).result) == {"city": "Oslo"}
    assert text_of_event({"response": 5}) == "5"
    assert text_of_event({"response": None}) == text_of_event({"choices": [], "usage": {}}) == ""
