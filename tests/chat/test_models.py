"""The chat with the starter models: nothing scripted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chat.terminal import CTRL_C, CTRL_D, Terminal
from tests.conftest import Run

pytestmark = pytest.mark.models


@pytest.fixture
def terminal(project: Path) -> Iterator[Terminal]:
    """A terminal in a project with the starter models."""
    del project
    terminal = Terminal()
    yield terminal
    terminal.close()


@pytest.mark.slow
def test_a_model_answers_in_a_pipe(project: Path, edgecli: Run) -> None:
    del project
    done = edgecli("chat", "--json", "--max-tokens", "8", "--temperature", "0", stdin="Say hello.\nAgain.\n")
    assert done.returncode == 0, done.stderr
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert first["content"].strip() and 0 < first["usage"]["completion_tokens"] <= 8
    assert second["usage"]["prompt_tokens"] > first["usage"]["prompt_tokens"], "the second turn has no history"


@pytest.mark.slow
def test_an_index_answers_with_sources_that_hold(project: Path, edgecli: Run) -> None:
    docs = project / "docs"
    docs.mkdir()
    (docs / "refunds.md").write_text(
        "# Refunds\n\nYou can ask for a refund within 30 days of the purchase.\n", encoding="utf-8"
    )
    created = edgecli("vectorize", "create", "help", "--dimensions=384", "--metric=cosine")
    assert created.returncode == 0, created.stderr
    ingested = edgecli("ingest", "docs", "--index", "help")
    assert ingested.returncode == 0, ingested.stderr
    done = edgecli("chat", "--index", "help", "--json", stdin="Within how many days can I ask for a refund?\n")
    assert done.returncode == 0, done.stderr
    turn = json.loads(done.stdout)
    assert turn["sources"][0]["file"].endswith("refunds.md")
    assert set(turn["cited"]) <= {source["n"] for source in turn["sources"]}


@pytest.mark.slow
def test_a_message_larger_than_the_context_is_refused_with_both_numbers(project: Path, edgecli: Run) -> None:
    with (project / "wrangler.toml").open("a", encoding="utf-8") as config:
        config.write("[edgecli.generation]\ncontext = 256\n")
    done = edgecli("chat", "--json", stdin="word " * 600 + "\n")
    error = json.loads(done.stderr)["errors"][0]
    assert (done.returncode, error["code"], error["edge"]["code"]) == (2, 3030, "context_exceeded")
    assert error["edge"]["details"]["prompt_tokens"] > 600 and error["edge"]["details"]["context"] == 256


@pytest.mark.slow
def test_control_c_stops_the_model_and_not_the_chat(terminal: Terminal) -> None:
    terminal.start("--max-tokens", "4000", "--temperature", "0").say("Count from 1 to 1000.").until_answering()
    terminal.type(CTRL_C).until("■ Stopped.")
    terminal.say("/tokens").until("tokens so far").until_prompt().type(CTRL_D)
    assert terminal.wait_for_end() == 0


@pytest.mark.slow
def test_old_turns_are_dropped_after_a_yes_and_the_chat_goes_on(terminal: Terminal, project: Path) -> None:
    with (project / "wrangler.toml").open("a", encoding="utf-8") as config:
        config.write("[edgecli.generation]\ncontext = 256\n")
    terminal.start("--max-tokens", "30", "--temperature", "0").say("one " * 70).until_prompt()
    terminal.say("two " * 120).until("model supports only 256").until("Drop the oldest turn").type("\r")
    terminal.until("Dropped the oldest turn;").until_prompt()
    terminal.say("/tokens").until("No longer sent: the oldest turn.")
