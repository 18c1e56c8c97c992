"""Answers with the starter models: whatever the small model says, what is shown holds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from edgecli.app import app
from edgecli.cli import run
from edgecli.errors import NotFoundError, UsageError
from edgecli.rag.answer import NO_EVIDENCE, NO_EVIDENCE_CHINESE
from edgecli.rag.schema import Answer
from edgecli.server.api import create_app
from tests.rag.conftest import INDEX, LIBRARY, Engines, Room, library

pytestmark = pytest.mark.models

REFUND = "Within how many days can I ask for a refund?"
UNKNOWN = "What is the boiling point of tungsten?"
NO_USAGE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory, engines: Engines) -> Iterator[Room]:
    room = library(tmp_path_factory.mktemp("answer"), engines)
    yield room
    room.close()


def assert_holds(answer: Answer) -> None:
    """Check what is true of every answer."""
    numbers = [source.n for source in answer.sources]
    assert numbers == list(range(1, len(numbers) + 1))
    assert set(answer.cited) <= set(numbers)
    assert {int(number) for number in re.findall(r"\[(\d+)\]", answer.answer)} == set(answer.cited)
    assert answer.cited or not answer.grounded
    assert (answer.method == "quoted") <= bool(answer.cited)
    assert answer.answer.strip()
    assert answer.timings.keys() >= {"retrieve", "generate", "total"}


@pytest.mark.parametrize(
    "question",
    [REFUND, "How long does express delivery take?", "How often is the database copied?", "几天内可以申请退款?"],
)
@pytest.mark.slow
def test_what_is_shown_holds(shelf: Room, question: str) -> None:
    answer = shelf.ask(question)
    assert_holds(answer)
    assert answer.method != "none"
    assert answer.usage["total_tokens"] == answer.usage["prompt_tokens"] + answer.usage["completion_tokens"] > 0
    stored = shelf.run(shelf.runtime.vectorize.get_metadata(INDEX, [source.id for source in answer.sources]))
    assert [source.text for source in answer.sources] == [stored[source.id]["text"] for source in answer.sources]
    assert answer.model == "@edge/smollm2-135m-instruct"


@pytest.mark.slow
def test_the_source_that_holds_the_answer_is_cited(shelf: Room) -> None:
    answer = shelf.ask(REFUND)
    assert "docs/refunds.md" in {source.file for source in answer.sources if source.n in answer.cited}


@pytest.mark.slow
def test_the_same_question_has_the_same_answer(shelf: Room) -> None:
    assert shelf.ask(REFUND).answer == shelf.ask(REFUND).answer


def test_without_evidence_the_model_is_not_asked(shelf: Room) -> None:
    answer = shelf.ask(UNKNOWN)
    assert_holds(answer)
    assert (answer.method, answer.answer, answer.sources, answer.cited) == ("none", NO_EVIDENCE, [], [])
    assert answer.usage == NO_USAGE
    assert not answer.grounded


def test_that_there_is_no_evidence_is_said_in_the_language_of_the_question(shelf: Room) -> None:
    answer = shelf.ask("钨的沸点是多少度?")
    assert_holds(answer)
    assert (answer.method, answer.answer, answer.cited) == ("none", NO_EVIDENCE_CHINESE, [])


@pytest.mark.parametrize(
    ("question", "file"),
    [
        ("我有多少天可以申请退款?", "docs/退款.md"),
        ("退款期限是多少天?", "docs/退款.md"),
        ("会议室要不要预约", "docs/会议.md"),
    ],
)
@pytest.mark.slow
def test_an_ordinary_chinese_question_finds_its_passage(shelf: Room, question: str, file: str) -> None:
    answer = shelf.ask(question)
    assert_holds(answer)
    assert answer.method != "none"
    assert answer.sources[0].file == file


@pytest.mark.parametrize("question", ["今天天气怎么样？", "谁赢得了世界杯？", "你们可以教我怎么做红烧肉吗？"])
def test_question_words_are_no_evidence(shelf: Room, question: str) -> None:
    assert (shelf.ask(question).method, shelf.ask(question).answer) == ("none", NO_EVIDENCE_CHINESE)


def test_an_index_without_documents_has_no_evidence(tmp_path: Path, engines: Engines) -> None:
    room = Room(tmp_path, engines)
    room.create_index()
    assert (room.ask(REFUND).method, room.ask(REFUND).usage) == ("none", NO_USAGE)
    room.close()


def test_what_does_not_fit_is_dropped_whole_and_listed(tmp_path: Path, engines: Engines) -> None:
    budget = 64
    room = library(tmp_path, engines, f"[edgecli.rag]\ncontext_tokens = {budget}\n")
    answer = room.ask("days refund parcels delivery database copies kept")
    assert_holds(answer)
    assert answer.sources and answer.dropped
    texts = [source.text for source in answer.sources]
    assert sum(room.run(engines.ai.count_tokens(answer.model, texts))) <= budget
    whole = {entry["text"] for entry in room.metadata()}
    assert set(texts) <= whole
    assert not {source.id for source in answer.sources} & {one.id for one in answer.dropped}
    assert all(one.tokens > 0 and one.file in {f"docs/{name}" for name in LIBRARY} for one in answer.dropped)
    room.close()


def test_nothing_fits(tmp_path: Path, engines: Engines) -> None:
    room = library(tmp_path, engines, "[edgecli.rag]\ncontext_tokens = 16\n")
    answer = room.ask(REFUND)
    assert_holds(answer)
    assert (answer.method, answer.sources, answer.usage) == ("none", [], NO_USAGE)
    assert answer.dropped
    room.close()


@pytest.mark.slow
def test_a_system_prompt_reaches_the_model(shelf: Room) -> None:
    long = "Answer from the sources, and cite them like [1]. " * 12
    short, longer = shelf.ask(REFUND, system_prompt="Answer."), shelf.ask(REFUND, system_prompt=long)
    assert_holds(longer)
    assert longer.usage["prompt_tokens"] > short.usage["prompt_tokens"] + 60


def test_an_unknown_model_names_the_nearest(shelf: Room) -> None:
    with pytest.raises(NotFoundError, match="smollm2-135m-instrukt") as caught:
        shelf.ask(REFUND, model="@edge/smollm2-135m-instrukt")
    assert caught.value.exit_code == 3
    assert "@edge/smollm2-135m-instruct" in (caught.value.hint or "")


def test_a_model_that_cannot_write_is_refused(shelf: Room) -> None:
    with pytest.raises(UsageError, match="Text Embeddings") as caught:
        shelf.ask(REFUND, model="@edge/all-minilm-l6-v2")
    assert caught.value.code == "wrong_task"


def test_an_empty_question_is_refused(shelf: Room) -> None:
    with pytest.raises(UsageError) as caught:
        shelf.ask(" \n")
    assert caught.value.code == "empty_query"


def test_a_filter_narrows_the_sources(shelf: Room) -> None:
    answer = shelf.ask("How many days?", filter={"team": "logistics"})
    assert {source.file for source in answer.sources} <= {"docs/shipping.md"}


def test_a_short_question_leans_on_the_one_before(shelf: Room) -> None:
    turns = [{"role": "user", "content": REFUND}, {"role": "assistant", "content": "Within 30 days."}]
    answer = shelf.ask("And the receipt?", history=turns)
    assert "docs/refunds.md" in {source.file for source in answer.sources}


def _post(room: Room, body: dict[str, Any]) -> httpx.Response:
    async def post() -> httpx.Response:
        transport = httpx.ASGITransport(create_app(room.runtime))
        headers = {"authorization": f"Bearer {room.runtime.token}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
            return await client.post("/edge/ask", json=body)

    return room.run(post())


@pytest.mark.parametrize("question", [REFUND, UNKNOWN, "三楼的会议室可以坐多少人?"])
@pytest.mark.slow
def test_the_stream_is_sources_then_pieces_then_the_whole(shelf: Room, question: str) -> None:
    answer = _post(shelf, {"question": question, "index": INDEX, "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.endswith("data: [DONE]\n\n")
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n")[:-2]]
    first, *pieces, last = events
    assert (first["event"], last["event"]) == ("sources", "done")
    assert first["sources"] == last["sources"]
    assert pieces and all(piece.keys() == {"response"} and piece["response"] for piece in pieces)
    assert "".join(piece["response"] for piece in pieces).strip() == last["answer"]
    assert_holds(Answer.model_validate({key: value for key, value in last.items() if key != "event"}))
    whole = _post(shelf, {"question": question, "index": INDEX}).json()["result"]
    for varies in ("timings", "usage"):
        whole.pop(varies)
        last.pop(varies)
    assert whole == {key: value for key, value in last.items() if key != "event"}


def test_an_error_before_the_stream_is_an_ordinary_answer(shelf: Room) -> None:
    answer = _post(shelf, {"question": REFUND, "index": "hlep", "stream": True})
    assert (answer.status_code, answer.json()["errors"][0]["edge"]["exit_code"]) == (404, 3)
    answer = _post(shelf, {"question": REFUND, "colour": "red"})
    assert answer.status_code == 400
    assert "colour" in answer.json()["errors"][0]["message"]


@pytest.mark.slow
def test_the_command(
    tmp_path: Path,
    engines: Engines,
    edgecli_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    library(tmp_path, engines).close()
    monkeypatch.setenv("EDGECLI_HOME", str(edgecli_home))
    monkeypatch.chdir(tmp_path)
    assert run(app, ["rag", "ask", REFUND, "--index", INDEX, "--json"]) == 0
    answer = Answer.model_validate(json.loads(capsys.readouterr().out))
    assert_holds(answer)
    assert run(app, ["rag", "ask", REFUND, "--index", INDEX]) == 0
    shown, notes = capsys.readouterr()
    assert shown.startswith(answer.answer)
    assert "Model: @edge/smollm2-135m-instruct" in notes
    assert re.search(r"^\[\d\] docs/refunds\.md › Refunds$", shown, re.MULTILINE)
    assert run(app, ["rag", "ask", UNKNOWN, "--index", INDEX]) == 0
    assert capsys.readouterr().out.strip() == NO_EVIDENCE
