"""Conversations come back from disk as they were."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecli.chat.session import Session, Turn
from edgecli.chat.transcript import from_json, from_markdown, load, save, to_json, to_markdown
from edgecli.errors import NotFoundError, UsageError

texts = st.text(st.characters(codec="utf-8")) | st.sampled_from(
    [
        "<!-- edgecli:user -->",
        "\\<!-- edgecli:assistant {} -->",
        "## You\n\nx\n",
        "\n\na\n\n",
        "--> <!-- --",
        "\r\n",
    ]
)
turns = st.builds(
    Turn,
    question=texts,
    answer=texts,
    model=st.none() | texts.filter(bool),
    index=st.none() | texts.filter(bool),
    stopped=st.booleans(),
    sources=st.lists(st.fixed_dictionaries({"n": st.integers(1, 9), "text": texts}), max_size=2),
    cited=st.lists(st.integers(1, 9), max_size=2),
    grounded=st.none() | st.booleans(),
    usage=st.just({}) | st.just({"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 1}}),
)


@st.composite
def sessions(draw: st.DrawFn) -> Session:
    said = draw(st.lists(turns, max_size=4))
    return Session(
        model=draw(texts),
        index=draw(st.none() | texts),
        system=draw(st.none() | texts),
        turns=said,
        forgotten=draw(st.integers(0, len(said))),
        unanswered=draw(st.none() | texts),
    )


@given(sessions())
def test_json_comes_back_as_it_was(session: Session) -> None:
    assert from_json(to_json(session)) == session


@given(sessions())
def test_markdown_comes_back_as_it_was(session: Session) -> None:
    assert from_markdown(to_markdown(session)) == session


def test_markdown_is_readable() -> None:
    text = to_markdown(Session("@m", turns=[Turn("多久？", "**三十天**。", model="@m")]))
    assert "## You\n\n多久？\n" in text and "## Answer\n\n**三十天**。\n" in text


@pytest.mark.parametrize("name", ["talk.md", "talk.json", "talk"])
def test_a_file_is_never_overwritten_unasked(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    first, second = Session("@m", turns=[Turn("a", "b")]), Session("@m", turns=[Turn("c", "d")])
    save(first, path)
    with pytest.raises(UsageError) as caught:
        save(second, path)
    assert caught.value.code == "file_exists" and load(path) == first
    save(second, path, replace=True)
    assert load(path) == second
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"no/such/talk\.md.*No such file"):
        save(Session("@m"), tmp_path / "no/such/talk.md")


def test_messages_of_other_programs_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello", "refusal": None},
        {"role": "user", "content": "and?"},
    ]
    path.write_text("\ufeff" + json.dumps(messages), encoding="utf-8")
    session = load(path)
    assert (session.system, session.unanswered) == ("Be brief.", "and?")
    assert session.turns == [Turn("hi", "hello")]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"# A readme", "does not begin"),
        (b"", "does not begin"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"{", "Expecting"),
        (b'{"a": 1}', "no list of `messages`"),
        (b'[{"role": "assistant", "content": "x"}]', "message 1"),
        (b'[{"role": "user", "content": 5}]', "message 1"),
        (b"[1]", "message 1"),
        (b"[" * 100_000, "nest|recursion|Expecting"),
        (
            b'[{"role": "user", "content": "x"}, {"role": "assistant", "content": "y", "cited": "all"}]',
            "cited",
        ),
        (b'{"model": 5, "messages": []}', "`model`"),
        (b"text\n<!-- edgecli:user -->\nhi", "does not begin"),
        (b'<!-- edgecli:chat {"a" -->\n', "Expecting"),
        (b"<!-- edgecli:chat [] -->\n", "settings"),
    ],
)
def test_a_file_that_is_no_conversation_is_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "talk.md"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=complaint) as caught:
        load(path)
    assert caught.value.code == "bad_transcript"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"talk\.md"):
        load(tmp_path / "talk.md")
