"""What a conversation sends, keeps and drops."""

from __future__ import annotations

import pytest

from edgecli.chat.overflow import is_overflow, turns_to_drop
from edgecli.chat.session import Session, Turn
from edgecli.errors import EdgeError, UsageError


def session(*turns: tuple[str, str], **settings: object) -> Session:
    return Session(model="@m", turns=[Turn(question, answer) for question, answer in turns], **settings)  # type: ignore[arg-type]


def test_without_an_index_the_model_is_run_on_all_messages() -> None:
    request = session(("a", "b"), system="Be brief.", max_tokens=9, temperature=0.0).request("c")
    assert request.path == "/client/v4/accounts/local/ai/run/@m"
    assert request.body == {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            {"role": "user", "content": "c"},
        ],
        "split_reasoning": True,
        "max_tokens": 9,
        "temperature": 0.0,
        "stream": True,
    }


def test_with_an_index_the_question_is_asked_of_it() -> None:
    request = session(("a", "b"), index="docs", system="Be brief.", top_k=3).request("c")
    assert request.path == "/edge/ask"
    assert request.body == {
        "question": "c",
        "index": "docs",
        "top_k": 3,
        "model": "@m",
        "system_prompt": "Be brief.",
        "history": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
        "stream": True,
    }


def test_a_retry_leaves_the_old_answer_out_and_is_not_greedy() -> None:
    chat = session(("a", "b"), ("c", "old"), index="docs")
    question, replaces = chat.last_question()
    body = chat.request(question, replaces=replaces, seed=7).body
    assert [message["content"] for message in body["history"]] == ["a", "b"]
    assert body["seed"] == 7 and body["temperature"] > 0
    chat.record(Turn(question, "new"), replaces=replaces)
    assert [turn.answer for turn in chat.turns] == ["b", "new"]


def test_a_retry_keeps_the_temperature_that_was_chosen() -> None:
    assert session(("a", "b"), temperature=0.0).request("a", replaces=True, seed=7).body["temperature"] == 0.0


def test_a_question_that_failed_is_asked_again_and_replaces_nothing() -> None:
    chat = session(("a", "b"))
    chat.unanswered = "c"
    assert chat.last_question() == ("c", False)
    chat.record(Turn("c", "d"))
    assert chat.last_question() == ("c", True)


def test_there_is_nothing_to_retry_at_first() -> None:
    with pytest.raises(UsageError) as caught:
        session().last_question()
    assert caught.value.code == "nothing_to_retry"


def test_tokens_add_up_and_replaced_answers_count() -> None:
    chat = session()
    chat.record(Turn("a", "b", usage={"prompt_tokens": 10, "completion_tokens": 2}))
    chat.record(Turn("a", "c", usage={"prompt_tokens": 10, "completion_tokens": 3}), replaces=True)
    assert (chat.prompt_tokens, chat.completion_tokens) == (20, 5)


def test_dropped_turns_are_not_sent_and_not_lost() -> None:
    chat = session(("a", "b"), ("c", "d"))
    chat.drop_oldest(1)
    assert [message["content"] for message in chat.request("e").body["messages"]] == ["c", "d", "e"]
    assert [message["content"] for message in chat.request("c", replaces=True).body["messages"]] == ["c"]
    assert len(chat.turns) == 2
    chat.clear()
    assert (chat.turns, chat.forgotten) == ([], 0)


def overflow(tokens: int, context: int) -> EdgeError:
    details = {"prompt_tokens": tokens, "context": context}
    return UsageError("full", code="context_exceeded", cf_code=3030, details=details)


def test_so_many_turns_are_dropped_that_the_answer_has_room() -> None:
    chat = session(*[("x" * 50, "y" * 50)] * 10, max_tokens=1000)
    # 1010 characters in 1010 tokens: 110 too many, and a quarter of the context for the answer.
    assert turns_to_drop(chat, overflow(1010, 900), "z" * 10, replaces=False) == 4
    chat.drop_oldest(4)
    assert turns_to_drop(chat, overflow(610, 100), "z" * 10, replaces=False) == 6


def test_without_earlier_turns_nothing_can_be_dropped() -> None:
    assert turns_to_drop(session(), overflow(200, 100), "long", replaces=False) == 0
    assert turns_to_drop(session(("only", "this")), overflow(200, 100), "only", replaces=True) == 0


def test_half_is_dropped_where_the_sizes_are_not_told() -> None:
    chat = session(*[("x" * 10, "y" * 10)] * 4)
    assert turns_to_drop(chat, UsageError("full", cf_code=3030), "", replaces=False) == 2


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (overflow(2, 1), True),
        (UsageError("x", code="context_exceeded"), True),
        (UsageError("x", cf_code=3030), True),
        (UsageError("x"), False),
    ],
)
def test_an_overflow_is_known_by_either_code(error: EdgeError, expected: bool) -> None:
    assert is_overflow(error) is expected
