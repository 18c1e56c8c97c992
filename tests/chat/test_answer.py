"""The events of both streams become one answer."""

from __future__ import annotations

import pytest

from edgecli.chat.answer import Answer, source_line
from edgecli.chat.display import oldest, remarks, sources_text, tokens_text, toolbar_text
from edgecli.chat.session import Session
from edgecli.errors import UpstreamError

SOURCES = [
    {"n": 1, "file": "a.md", "heading": "Money > Refunds", "score": 0.5, "text": "one"},
    {"n": 2, "file": "b.md", "heading": "", "score": 0.4, "text": "two"},
]


def taken(*events: dict[str, object], index: str | None = None) -> Answer:
    answer = Answer("q", model="@m", index=index)
    for event in events:
        answer.take(event)
    return answer


def asked(**done: object) -> Answer:
    first = {"event": "sources", "sources": SOURCES, "dropped": [{"id": "c"}]}
    last = {
        "event": "done",
        "answer": "A [2].",
        "sources": SOURCES,
        "cited": [2],
        "grounded": True,
        "usage": {},
    }
    return taken(first, {"response": "A [2]."}, last | done, index="docs")


def test_pieces_are_joined_and_numbers_are_text() -> None:
    answer = taken(
        {"response": "4"},
        {"response": 2},
        {"response": None},
        {"response": "", "usage": {"prompt_tokens": 1}},
    )
    assert (answer.text, answer.finished, answer.usage) == ("42", True, {"prompt_tokens": 1})
    answer.require_end()


def test_a_stream_without_an_end_is_an_error() -> None:
    with pytest.raises(UpstreamError) as caught:
        taken({"response": "half"}).require_end()
    assert caught.value.code == "answer_cut_off"


def test_an_answer_from_an_index_names_the_sources_it_cites() -> None:
    answer = asked()
    assert [source["n"] for source in answer.cited_sources()] == [2]
    assert remarks(answer) == ["[2] b.md", "1 passage did not fit into the context and were left out."]
    turn = answer.to_turn(stopped=True)
    assert (turn.question, turn.answer, turn.index, turn.stopped, turn.cited) == (
        "q",
        "A [2].",
        "docs",
        True,
        [2],
    )


def test_what_no_source_holds_is_said() -> None:
    answer = asked(cited=[], grounded=False, unsupported=["It takes 3 weeks."])
    assert remarks(answer)[0] == "not supported by `docs`: It takes 3 weeks."
    assert "not grounded" in remarks(asked(cited=[], grounded=False))[0]
    nothing_found = taken({"event": "done", "answer": "Nothing.", "grounded": False}, index="docs")
    assert remarks(nothing_found) == []


def test_an_answer_that_was_cut_says_so() -> None:
    end = {"response": "", "usage": {"completion_tokens": 5}}
    assert "cut at 5 tokens" in remarks(taken(end), limit=5)[0]
    assert remarks(taken(end), limit=6) == []
    assert "context is full" in remarks(taken(end | {"finish_reason": "length"}), limit=6)[0]


def test_names_from_documents_lose_their_control_characters() -> None:
    hostile = [{"n": 1, "file": "a\x1b[2J.md", "heading": "b\x07"}]
    assert remarks(asked(sources=hostile, cited=[1], grounded=True))[0] == "[1] a[2J.md › b"


def test_a_source_is_one_line() -> None:
    assert source_line(SOURCES[0]) == "[1] a.md › Money › Refunds"
    assert source_line({"n": 3, "id": "x:1"}) == "[3] x:1"


def test_tokens_name_the_context() -> None:
    session = Session("@m")
    assert "context of `@m` is 2,048 tokens" in tokens_text(session, 2048)
    session.record(taken({"usage": {"prompt_tokens": 1200, "completion_tokens": 34}}).to_turn())
    session.drop_oldest(1)
    text = tokens_text(session, 2048)
    assert "1,234 tokens so far: 1,200 read, 34 written." in text
    assert "1,234 of 2,048 tokens of context" in text
    assert "No longer sent: the oldest turn." in text and oldest(3) == "the oldest 3 turns"


def test_sources_are_shown_with_their_text() -> None:
    session = Session("@m")
    assert sources_text(session) == "The last answer has no sources."
    session.record(asked().to_turn())
    text = sources_text(session)
    assert "(not cited, score 0.5000)\n    one" in text and "(cited, score 0.4000)\n    two" in text


def test_the_line_below_the_prompt() -> None:
    session = Session("@m", index="docs", system="Be brief.")
    assert toolbar_text(session, model="@m (stand-in: @n)") == (
        "@m (stand-in: @n) · index docs · own system prompt · 0 tokens · /help"
    )
