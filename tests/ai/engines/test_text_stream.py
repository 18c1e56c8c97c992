"""Characters and stop strings that are spread over tokens."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgecli.ai.engines.text_stream import TextStream

TEXT = st.text(alphabet=st.sampled_from("ab#é退款。🙂👩‍👩‍👧 \n"), max_size=60)


def cut(text: str, places: list[int]) -> list[bytes]:
    data = text.encode()
    ends = sorted(place % (len(data) + 1) for place in places)
    return [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]


@given(TEXT, st.lists(st.integers(0, 500), max_size=40))
def test_text_survives_any_cut(text: str, places: list[int]) -> None:
    stream = TextStream()
    pieces = [stream.feed(piece) for piece in cut(text, places)]
    assert "".join(pieces) + stream.finish() == text
    assert all("\ufffd" not in piece for piece in pieces)


@given(
    TEXT,
    st.lists(st.integers(0, 500), max_size=40),
    st.lists(st.sampled_from(["##", "a#b", "退款", "🙂"]), max_size=3),
)
def test_the_answer_ends_before_the_first_stop_string(text: str, places: list[int], stops: list[str]) -> None:
    stream = TextStream(stops)
    shown = "".join(stream.feed(piece) for piece in cut(text, places)) + stream.finish()
    assert not any(stop in shown for stop in stops)
    assert text.startswith(shown)
    met = any(stop in text for stop in stops)
    assert stream.stopped is met
    if not met:
        assert shown == text


def test_text_is_not_held_longer_than_a_stop_string_may_begin() -> None:
    stream = TextStream(["###"])
    assert stream.feed(b"one #") == "one "
    assert stream.feed(b"# two") == "## two"
    assert stream.feed(b"##") == ""
    assert stream.finish() == "##"


def test_a_character_that_never_becomes_whole_is_dropped() -> None:
    stream = TextStream()
    assert stream.feed("好".encode() + "🙂".encode()[:2]) == "好"
    assert stream.finish() == ""


def test_nothing_comes_after_a_stop_string() -> None:
    stream = TextStream(["END"])
    assert stream.feed(b"yes END no") == "yes "
    assert stream.feed(b"more") == ""
    assert stream.finish() == ""


def test_the_first_stop_string_met_is_known() -> None:
    stream = TextStream(["END", "three"])
    assert (stream.feed(b"one two th"), stream.met) == ("one two ", None)
    assert (stream.feed(b"ree END"), stream.met) == ("", "three")
