"""What clients read out of answers, from the same recorded pieces in both forms."""

from __future__ import annotations

from typing import Any

import pytest

from edgecli.ai.wire import add_calls, answer_of, calls_of_event, text_of_event
from tests.ai.tasks.test_text_run import CALLS, CHAT, JSON, TEXT, Recorded, events, whole


@pytest.mark.parametrize("capabilities", [(), CHAT])
def test_both_forms_read_alike(capabilities: tuple[str, ...]) -> None:
    assert "".join(map(text_of_event, events(Recorded(TEXT), {}, *capabilities))) == "Hello world"
    assert answer_of(whole(Recorded(TEXT), {}, *capabilities).result) == "Hello world"
    calls: list[dict[str, Any]] = []
    for event in events(Recorded(CALLS), {}, *capabilities):
        add_calls(calls, calls_of_event(event))
    assert calls == [{"name": "get_weather", "arguments": '{"city":"Oslo"}'}, {"name": "now", "arguments": "{}"}]
    assert len(answer_of(whole(Recorded(CALLS), {}, *capabilities).result)) == 2


def test_an_object_and_a_number() -> None:
    asked = {"response_format": {"type": "json_object"}}
    assert answer_of(whole(Recorded(JSON), asked).result) == {"city": "Oslo"}
    assert text_of_event({"response": 5}) == "5"
    assert text_of_event({"response": None}) == text_of_event({"choices": [], "usage": {}}) == ""
