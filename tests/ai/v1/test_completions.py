"""`completions`: the older API, which continues texts."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest
from openai.types import Completion

from edgecli.ai.tasks.answer import collect
from edgecli.ai.tasks.chat_completion import Head
from edgecli.ai.v1.completions import CompletionCall, read_input, stream, whole
from edgecli.errors import UsageError
from tests.ai.v1.recorded import CUT_SHORT, DEFAULTS, MODEL, TEXT, RecordedService, gather, replay

HEAD = Head(MODEL, id="cmpl-1", created=1)


def read(**body: Any) -> CompletionCall:
    return read_input({"model": MODEL, "prompt": "Once"} | body, DEFAULTS)


def test_prompts_go_to_the_model_as_they_are() -> None:
    [asked] = read(logprobs=3, max_tokens=4).requests
    assert (asked.raw_prompt, asked.messages, asked.logprobs, asked.max_tokens) == ("Once", None, 3, 4)
    many = read(prompt=["a", "b"], n=2, seed=1)
    assert [(each.raw_prompt, each.seed) for each in many.requests] == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"prompt": [1, 2]}, "'/prompt' holds token ids"),
        ({"prompt": [[1], [2]]}, "'/prompt' holds token ids"),
        ({"prompt": ""}, "'/prompt/0' is \"\""),
        ({"prompt": None}, "required properties at '/' are 'prompt'"),
        ({"prompt": ["a"] * 100, "n": 2}, "ask for 200 answers"),
        ({"suffix": "end"}, "'/suffix' is not taken"),
        ({"best_of": 3}, "'/best_of' is 3"),
        ({"echo": True, "logprobs": 1}, "'/echo' with '/logprobs'"),
        ({"logprobs": True}, "Type mismatch of '/logprobs'"),
    ],
)
def test_refusals(body: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(**body)
    assert problem in caught.value.message


def test_answers() -> None:
    call = read(prompt=["a", "b"], echo=True)
    said = whole(HEAD, call, asyncio.run(collect([replay(TEXT), replay(CUT_SHORT)])))
    Completion.model_validate(said, strict=True)
    assert [(each["text"], each["finish_reason"]) for each in said["choices"]] == [
        ("aHel退款", "stop"),
        ("bOnce upon", "length"),
    ]
    assert said["usage"]["total_tokens"] == 11 + 3 + 7 + 2


def test_log_probabilities() -> None:
    said = whole(HEAD, read(logprobs=1), asyncio.run(collect([replay(TEXT)])))
    assert said["choices"][0]["logprobs"] == {
        "tokens": ["Hel", "\ufffd", "\ufffd款"],
        "token_logprobs": [-0.25, -0.5, -9999.0],
        "top_logprobs": [{"Hel": -0.25, "Go": -2.0}, {"\ufffd": -0.5}, {}],
        "text_offset": [0, 3, 4],
    }


def test_streams() -> None:
    call = read(stream=True, echo=True, stream_options={"include_usage": True})
    said = gather(lambda: stream(HEAD, call, [replay(TEXT)]))
    *parts, last = said
    for each in said[-2:]:  # OpenAI's own type has no null as `finish_reason`, its streams have
        Completion.model_validate(each, strict=True)
    assert "".join(each["choices"][0]["text"] for each in parts) == "OnceHel退款"
    assert [each["choices"][0]["finish_reason"] for each in parts][-1] == "stop"
    assert all(each["usage"] is None for each in parts)
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 14)
    measured = gather(lambda: stream(HEAD, read(logprobs=1), [replay(TEXT)]))
    said = [each["choices"][0]["logprobs"] for each in measured if each["choices"][0]["logprobs"]]
    assert [token for each in said for token in each["tokens"]] == ["Hel", "\ufffd", "\ufffd款"]
    assert [place for each in said for place in each["text_offset"]] == [0, 3, 3]


def test_the_client_reads_them(openai_client: openai.AsyncOpenAI, service: RecordedService) -> None:
    async def scene() -> None:
        with service.giving(TEXT):
            said = await openai_client.completions.create(model=MODEL, prompt="Once")
        assert said.choices[0].text == "Hel退款"
        with service.giving(TEXT):
            stream = await openai_client.completions.create(model=MODEL, prompt="Once", stream=True)
            assert "".join([each.choices[0].text async for each in stream]) == "Hel退款"

    asyncio.run(scene())
