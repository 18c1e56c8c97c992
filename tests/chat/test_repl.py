"""The chat on a terminal: a real process on a pty, looked at through a terminal's eyes."""

from __future__ import annotations

import json
import signal
import stat
from pathlib import Path

import pytest

from tests.chat.far_side import FarSide
from tests.chat.terminal import ALT_ENTER, CTRL_C, CTRL_D, ENTER, Terminal

RUN = "/ai/run/@edge/talker"


def test_an_answer_is_rendered_and_the_next_question_carries_it(terminal: Terminal, far_side: FarSide) -> None:
    terminal.start().say("markdown")
    terminal.until("The end.").say("and then?").until_prompt()
    shown = terminal.everything()
    assert "# Title" not in shown and "Title" in shown
    assert "**" not in shown and "```" not in shown
    assert shown.count("print('hi')") == 1
    messages = far_side.bodies(RUN)[1]["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert messages[1]["content"].startswith("# Title")


@pytest.mark.slow
def test_a_long_answer_leaves_a_clean_scrollback(terminal: Terminal) -> None:
    question = "numbers " + " ".join(str(number) for number in range(1000, 1600))
    terminal.start(lines=12).say(question)
    terminal.until_prompt()
    after = terminal.everything().split("1599", 1)[1]
    words = after[after.index("numbers") :].split()
    assert words[1:601] == [str(number) for number in range(1000, 1600)]


def test_control_c_stops_the_answer_and_not_the_chat(terminal: Terminal, far_side: FarSide) -> None:
    terminal.start().say("slow").until("word3")
    terminal.type(CTRL_C).until("■ Stopped.")
    assert far_side.hung_up.wait(10), "the request was not closed"
    terminal.say("go on").until_prompt()
    kept = far_side.bodies(RUN)[1]["messages"][1]["content"]
    assert kept.startswith("word0 word1 word2 word3")


def test_control_c_at_an_empty_prompt_says_how_to_end(terminal: Terminal) -> None:
    terminal.start().until_prompt().type(CTRL_C).until("Ctrl-D ends the chat.")
    terminal.until_prompt().type(CTRL_D)
    assert terminal.wait_for_end() == 0


def test_control_c_discards_what_is_typed(terminal: Terminal, far_side: FarSide) -> None:
    terminal.start().until_prompt().type("never mind").until("never mind").type(CTRL_C)
    terminal.say("hello").until_prompt()
    assert far_side.bodies(RUN)[0]["messages"][-1]["content"] == "hello"


def test_a_message_can_have_many_lines(terminal: Terminal, far_side: FarSide) -> None:
    terminal.start().until_prompt()
    terminal.type("one\\" + ENTER + "two" + ALT_ENTER + "three").until("· three").type(ENTER)
    terminal.until_prompt().type('"""' + ENTER + "四" + ENTER + '五"""').until('· 五"""').type(ENTER)
    terminal.until_prompt()
    asked = [body["messages"][-1]["content"] for body in far_side.bodies(RUN)]
    assert asked == ["one\ntwo\nthree", "四\n五"]


def test_a_paste_of_many_lines_is_one_message(terminal: Terminal, far_side: FarSide) -> None:
    terminal.start().until_prompt().type("\x1b[200~first\r\nsecond\nthird\x1b[201~").until("third")
    assert far_side.requests == []
    terminal.type(ENTER).until_prompt()
    assert far_side.bodies(RUN)[0]["messages"][-1]["content"] == "first\nsecond\nthird"


def test_what_is_typed_during_an_answer_waits_for_the_prompt(terminal: Terminal, far_side: FarSide) -> None:
    terminal.start().say("pause").until("Before.").type("typed ahead")
    far_side.go_on.set()
    terminal.until("› typed ahead").type(ENTER).until_prompt()
    assert terminal.everything().count("typed ahead") == 2  # at the prompt, and echoed by the far side
    assert far_side.bodies(RUN)[1]["messages"][-1]["content"] == "typed ahead"


def test_an_error_is_shown_and_the_chat_goes_on(terminal: Terminal) -> None:
    terminal.start().say("break").until("error: The engine failed.")
    assert "Half an" in terminal.everything()
    terminal.say("vanish").until("error: The server went away")
    terminal.say("refuse").until("error: There is no such model.")
    terminal.say("hello").until_prompt()


def test_an_index_answers_with_the_sources_it_cites(terminal: Terminal, far_side: FarSide) -> None:
    terminal.start("--index", "DOCS", "--top-k", "3").say("how long?").until("[1] docs/refunds.md › Money › Refunds")
    assert "退款" not in terminal.everything()
    terminal.say("/sources").until("[2] docs/退款.md  (not cited, score 0.5000)").until("三十天。")
    terminal.say("guess").until("not supported by `handbook`: It takes 3 weeks.")
    asked = far_side.bodies("/edge/ask")
    assert asked[0]["index"] == "handbook" and asked[0]["top_k"] == 3 and asked[0]["history"] == []
    assert [turn["role"] for turn in asked[1]["history"]] == ["user", "assistant"]


def test_retry_asks_the_last_question_with_another_seed(terminal: Terminal, far_side: FarSide) -> None:
    terminal.start().say("hello").say("/retry").say("/retry").until_prompt()
    first, second, third = far_side.bodies(RUN)
    assert first["messages"] == second["messages"] == third["messages"]
    assert "seed" not in first and second["seed"] != third["seed"]


def test_models_and_indexes_are_checked_before_they_are_taken(terminal: Terminal, far_side: FarSide) -> None:
    terminal.start().say("/model @edge/wlker").until("Did you mean `@edge/walker` or")
    terminal.say("/model @edge/walker").until("The model is @edge/walker")
    terminal.say("/index hand-book").until("Did you mean `handbook`?")
    terminal.say("/index help-centre").until("the index help-centre").say("hi").until_prompt()
    asked = far_side.bodies("/edge/ask")[0]
    assert (asked["index"], asked["model"]) == ("help-centre", "@edge/walker")


def test_an_unknown_command_is_not_sent_and_two_slashes_send_one(terminal: Terminal, far_side: FarSide) -> None:
    terminal.start().say("/modle").until("Did you mean `/model`?").say("//model").until_prompt()
    assert far_side.bodies(RUN)[0]["messages"][-1]["content"] == "/model"


def test_commands_are_completed(terminal: Terminal) -> None:
    terminal.start().until_prompt().type("/ind").until("Show the index").type("\t").until("› /index")
    terminal.type(" hel").until("help-centre")


def test_a_full_context_drops_turns_only_after_a_yes(terminal: Terminal, far_side: FarSide) -> None:
    terminal.start().say("fit " + "a" * 30).say("fit " + "b" * 40).until("Drop the oldest turn from").type("n" + ENTER)
    terminal.until("Nothing was dropped.").say("/retry").until("Drop the oldest turn from", times=2).type(ENTER)
    terminal.until("Dropped the oldest turn;").until_prompt()
    assert [len(body["messages"]) for body in far_side.bodies(RUN)] == [1, 3, 3, 1]


def test_a_conversation_is_saved_and_loaded_and_nothing_overwritten(terminal: Terminal, talk: Path) -> None:
    terminal.start().say("hello").say("/save talk.md").until("Wrote 1 turn to talk.md")
    before = (talk / "talk.md").read_text(encoding="utf-8")
    terminal.say("more").say("/save talk.md").until("Replace it?").type("n" + ENTER).until("Nothing was written.")
    assert (talk / "talk.md").read_text(encoding="utf-8") == before
    terminal.say("/clear").say("/load talk.md").until("Loaded 1 turn from talk.md")


def test_a_conversation_with_unknown_names_is_loaded_all_the_same(terminal: Terminal, talk: Path) -> None:
    saved = '{"model": "@edge/gone", "messages": [{"role": "user", "content": "and now?"}]}'
    (talk / "talk.json").write_text(saved, encoding="utf-8")
    terminal.start().say("/load talk.json").until("There is no text generation model `@edge/gone`.")
    terminal.until("Loaded 0 turns from talk.json").say("/retry").until("and now?").until_prompt()
    assert "@edge/talker · " in terminal.screen()


def test_an_answer_cannot_command_the_terminal(terminal: Terminal, talk: Path) -> None:
    said = [{"role": "user", "content": "one\x1b[2J"}, {"role": "assistant", "content": "two\x1b]0;x\x07"}]
    (talk / "talk.json").write_text(json.dumps(said), encoding="utf-8")
    terminal.start().say("/load talk.json").until("› one[2J").until("two]0;x")
    terminal.say("/retry").until_prompt()
    assert "one[2J" in terminal.screen()


@pytest.mark.slow
def test_sigterm_ends_the_chat_at_the_prompt_and_in_an_answer(talk: Path, far_side: FarSide) -> None:
    for busy in (False, True):
        terminal = Terminal().start().until_prompt()
        if busy:
            terminal.say("slow").until("word3")
        terminal.process.kill(signal.SIGTERM)
        assert terminal.wait_for_end() == 143
        terminal.close()
    assert far_side.hung_up.wait(10)


@pytest.mark.slow
def test_the_history_survives_and_is_its_owners_alone(terminal: Terminal, talk: Path) -> None:
    terminal.start().say("remember 我").until_prompt().type(CTRL_D)
    assert terminal.wait_for_end() == 0
    kept = talk.parent / "home" / "chat_history"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    again = Terminal().start().until_prompt().type("\x1b[A").until("› remember 我")
    again.close()


def test_a_dumb_terminal_gets_no_cursor_movements(terminal: Terminal) -> None:
    terminal.start(TERM="dumb")
    terminal.type("markdown" + ENTER).until("The end.")
    assert terminal.everything().count("print('hi')") == 1
