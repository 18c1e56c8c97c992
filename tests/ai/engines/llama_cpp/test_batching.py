"""Many requests on one engine: what they share, and that nobody notices the others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgecli.ai.engines.llama_cpp.constraint_tokens import make_tokenizer
from edgecli.ai.engines.llama_cpp.engine import LlamaEngine
from edgecli.ai.engines.llama_cpp.gguf_model import GgufModel
from edgecli.ai.engines.llama_cpp.options import LoadOptions
from edgecli.errors import EngineError, UsageError
from tests.ai.engines.llama_cpp.running import chat, complete, raw, start

pytestmark = pytest.mark.models

CONTEXT = "The library opens at nine and closes at six. " * 20


@pytest.fixture(scope="module")
def engine(generation_folder: Path) -> Iterator[LlamaEngine]:
    engine = LlamaEngine(LoadOptions(path=str(generation_folder), context=1024, cells=2048, threads=2, slots=4))
    engine.start()
    yield engine
    engine.close()


@pytest.fixture
def small(generation_folder: Path) -> Iterator[LlamaEngine]:
    """An engine whose cache is too small for what its slots may want."""
    engine = LlamaEngine(LoadOptions(path=str(generation_folder), context=120, cells=256, threads=2, slots=4))
    engine.start()
    yield engine
    engine.close()


@pytest.mark.slow
def test_answers_beside_others_are_those_given_alone(engine: LlamaEngine) -> None:
    questions = [raw(f"A list of {thing}: 1.", max_tokens=12) for thing in ("birds", "rivers", "metals", "games")]
    alone = [complete(engine, question)[0] for question in questions]
    together = [running.whole()[0] for running in [start(engine, question) for question in questions]]
    # Other batches change the last bits of the logits, which may tip a tie, rarely.
    assert sum(one == other for one, other in zip(alone, together, strict=True)) >= 2


@pytest.mark.slow
def test_a_context_that_arrives_many_times_at_once_is_computed_once(engine: LlamaEngine) -> None:
    before = engine.status()
    running = [start(engine, chat(f"{CONTEXT} Question {number}?", max_tokens=4)) for number in range(8)]
    usages = [one.whole()[2] for one in running]
    length = usages[0].prompt_tokens
    assert usages[0].cached_tokens < length / 2
    assert all(usage.cached_tokens > length * 0.8 for usage in usages[1:])
    after = engine.status()
    computed = (after["prompt_tokens"] - after["cached_tokens"]) - (before["prompt_tokens"] - before["cached_tokens"])
    assert computed < 2 * length


@pytest.mark.slow
def test_more_requests_than_slots_all_get_their_answers(engine: LlamaEngine) -> None:
    running = [start(engine, raw(f"Number {number} is", max_tokens=5)) for number in range(20)]
    assert all(one.whole()[2].completion_tokens <= 5 and one.pieces[-1].finish_reason for one in running)
    assert engine.status()["running"] == 0


@pytest.mark.slow
def test_a_long_prompt_does_not_stop_a_running_stream(engine: LlamaEngine) -> None:
    stream = start(engine, raw("Once upon a time", max_tokens=60))
    for _ in range(5):
        stream.next()
    other = start(engine, raw("Some words that nobody has seen. " * 110, max_tokens=2))
    seen = 0
    while other.answers.empty() and stream.answers.qsize() + seen < 50:
        stream.next()
        seen += 1
    assert seen >= 2, "the stream stood still while the long prompt was read"
    other.whole()
    stream.whole()


@pytest.mark.slow
def test_seeded_answers_are_the_same_beside_others(engine: LlamaEngine) -> None:
    request = chat("Tell me a story.", seed=11, temperature=1.0, max_tokens=20)
    first = complete(engine, request)[0]
    others = [start(engine, raw(f"Noise {number}", max_tokens=30)) for number in range(3)]
    again = complete(engine, request)[0]
    for other in others:
        other.whole()
    assert again == first


def test_a_cancelled_request_frees_its_place(engine: LlamaEngine) -> None:
    running = [start(engine, raw(f"Count {number}", max_tokens=900)) for number in range(4)]
    waiting = start(engine, raw("At last", max_tokens=3))
    for one in running:
        one.next()
        engine.cancel(one.job)
    assert waiting.whole()[2].completion_tokens <= 3
    assert engine.status()["running"] == 0


@pytest.mark.slow
def test_where_the_cache_is_too_small_requests_take_turns(small: LlamaEngine) -> None:
    running = [start(small, raw(f"Chapter {number}: " + "a b c d " * 4, max_tokens=80)) for number in range(4)]
    usages = [one.whole()[2] for one in running]
    assert all(usage.prompt_tokens + usage.completion_tokens <= 120 for usage in usages)
    assert all(usage.completion_tokens > 0 for usage in usages)
    assert small.status()["cells_used"] <= small.facts.cells


@pytest.mark.slow
def test_who_has_to_leave_the_cache_goes_on_later(small: LlamaEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecli.ai.engines.llama_cpp.batcher.RESERVE", 4)
    endless = {token: -100.0 for token in range(3)}  # the tokens that end an answer
    running = [start(small, raw(f"Chapter {n}: one", max_tokens=90, logit_bias=endless)) for n in range(4)]
    assert [one.whole()[2].completion_tokens for one in running] == [90] * 4
    status = small.status()
    assert status["preempted"] > 0
    assert (status["running"], status["waiting"]) == (0, 0)


def test_a_failed_step_ends_its_requests_and_nothing_else(small: LlamaEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    complete(small, raw("Before", max_tokens=2))

    def fail() -> None:
        raise EngineError("llama.cpp failed", code="decode_failed")

    monkeypatch.setattr(small.context, "decode", fail)
    with pytest.raises(EngineError, match=r"llama\.cpp failed"):
        complete(small, raw("During", max_tokens=2))
    monkeypatch.undo()
    assert complete(small, raw("After", max_tokens=2))[1] in {"length", "stop"}


def test_a_request_with_nothing_to_read_harms_no_other(engine: LlamaEngine) -> None:
    other = start(engine, raw("One, two,", max_tokens=20))
    other.next()
    with pytest.raises(UsageError, match="the prompt is empty"):
        start(engine, raw(""))
    assert other.whole()[1] in {"length", "stop"}


def test_without_room_for_a_cache_of_their_own_seeded_requests_share_one(
    small: LlamaEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("edgecli.ai.engines.llama_cpp.engine.new_context", fail)
    assert complete(small, raw("A list:", seed=1, max_tokens=3))[2].completion_tokens <= 3
    assert small.status()["running"] == 0


def test_the_vocabulary_is_read_while_nothing_is_to_be_done(
    small: LlamaEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = threading.Event()

    def note(model: GgufModel) -> Any:
        tokenizer = make_tokenizer(model)
        read.set()
        return tokenizer

    monkeypatch.setattr("edgecli.ai.engines.llama_cpp.constraint.make_tokenizer", note)
    monkeypatch.setattr("edgecli.ai.engines.llama_cpp.scheduler.IDLE_SECONDS", 0.01)
    complete(small, raw("One", max_tokens=1))
    assert read.wait(120)


def test_after_the_end_nothing_waits_for_an_answer(generation_folder: Path) -> None:
    engine = LlamaEngine(LoadOptions(path=str(generation_folder), context=256, threads=1, slots=1))
    engine.start()
    job = start(engine, raw("One", max_tokens=1)).job
    engine.close()
    for late in (engine.status, lambda: engine.submit(job)):
        with pytest.raises(EngineError, match="unloaded"):
            late()
    engine.cancel(job)


def test_what_still_runs_is_told_of_the_end(generation_folder: Path) -> None:
    engine = LlamaEngine(LoadOptions(path=str(generation_folder), context=256, threads=1, slots=1))
    engine.start()
    running = [start(engine, raw("One", max_tokens=200)), start(engine, raw("Two", max_tokens=200))]
    running[0].next()
    engine.close()
    for one in running:
        with pytest.raises(EngineError, match="unloaded"):
            one.whole()
