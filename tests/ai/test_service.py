"""The service over the starter models."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest

from edgecli.ai.engines import embedding_loading
from edgecli.ai.service import AiService
from edgecli.config.settings import Settings
from edgecli.errors import EngineError, NotFoundError, UsageError
from tests.ai.conftest import EMBEDDING, GENERATION, Life, Models

pytestmark = pytest.mark.models

BRIEF: dict[str, Any] = {"prompt": "Name three colours.", "max_tokens": 12, "temperature": 0}


def test_run_and_stream_give_the_same_answer(life: Life) -> None:
    async def streamed() -> list[dict[str, Any]]:
        return [event async for event in life.service.stream(GENERATION, BRIEF | {"seed": 1})]

    whole = life(life.service.run(GENERATION, BRIEF | {"seed": 1}))
    events = life(streamed())
    assert list(whole) == ["response", "tool_calls", "usage", "finish_reason"]
    assert whole["tool_calls"] == []
    assert "".join(event["response"] for event in events) == whole["response"] != ""
    assert events[-1] == {"response": "", "usage": whole["usage"], "finish_reason": "length"}
    assert all(event == {"response": event["response"], "tool_calls": []} for event in events[:-1])
    assert whole["usage"]["completion_tokens"] == 12


@pytest.mark.slow
def test_the_settings_stand_in_for_silence(life: Life) -> None:
    result = life(life.service.run(GENERATION, {"prompt": "Write a very long story.", "seed": 3, "temperature": 0}))
    assert result["usage"]["completion_tokens"] <= life.service.settings.generation.max_tokens == 256


def test_embedding_by_the_api_and_inside(life: Life) -> None:
    result = life(life.service.run(EMBEDDING, {"text": ["refund", "退款"]}))
    vectors = life(life.service.embed(EMBEDDING, ["refund", "退款"]))
    assert (result["shape"], result["pooling"]) == ([2, 384], "mean")
    assert np.array_equal(result["data"], vectors)
    assert life(life.service.embed(EMBEDDING, ["text"] * 101 + [""])).shape == (102, 384)
    assert life(life.service.run(EMBEDDING, {"text": "x", "pooling": "cls"}))["pooling"] == "cls"
    engine = life(life.service.embedding_model(EMBEDDING))
    assert life(life.service.count_tokens(EMBEDDING, ["a b"])) == engine.count_tokens(["a b"]) == [2]
    assert life(life.service.count_tokens(GENERATION, [""])) == [0]


def test_what_is_loaded_is_described(life: Life) -> None:
    before = life.service.describe(GENERATION)
    assert (before["loaded"], before["device"], life(life.service.loaded())) == (False, None, [])
    after = life(life.service.load(GENERATION))
    assert (after["id"], after["engine"], after["loaded"]) == (GENERATION, "llama_cpp", True)
    assert after["layers"]["total"] == 31
    assert after["device"]
    assert after["context"] == 8192
    (now,) = life(life.service.loaded())
    assert (now["id"], now["slots"], now["activity"]["running"]) == (GENERATION, 8, 0)
    assert life(life.service.unload(GENERATION))
    assert life(life.service.loaded()) == []


def test_a_model_that_nothing_here_runs_is_not_loaded(life: Life) -> None:
    with pytest.raises(EngineError, match=r"no engine `.+` is available yet") as caught:
        life(life.service.load("@cf/black-forest-labs/flux-1-schnell"))
    assert (caught.value.code, caught.value.cf_code) == ("engine_unavailable", 5007)


@pytest.mark.slow
def test_calls_at_once_wait_for_each_other(life: Life) -> None:
    async def both() -> list[dict[str, Any]]:
        calls = (life.service.run(GENERATION, BRIEF | {"seed": seed}) for seed in (1, 2, 1))
        return await asyncio.gather(*calls)

    first, _, third = life(both())
    assert first == third


def test_closing_a_stream_frees_the_model(life: Life) -> None:
    async def main() -> dict[str, Any]:
        endless = {"prompt": "Count to one thousand.", "max_tokens": 4000, "temperature": 0}
        async with aclosing(life.service.stream(GENERATION, endless)) as events:
            async for _ in events:
                break
        return await life.service.run(GENERATION, BRIEF)

    assert life(main())["usage"]["completion_tokens"] == 12


def test_a_cancelled_call_frees_the_model(life: Life) -> None:
    async def main() -> dict[str, Any]:
        await life.service.load(GENERATION)
        endless = {"prompt": "Count to one thousand.", "max_tokens": 4000, "temperature": 0}
        task = asyncio.create_task(life.service.run(GENERATION, endless))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await life.service.run(GENERATION, BRIEF)

    assert life(main())["usage"]["completion_tokens"] == 12


def test_wrong_calls(life: Life) -> None:
    with pytest.raises(NotFoundError, match="smollm3"):
        life(life.service.run("@edge/smollm3", {}))
    with pytest.raises(UsageError, match="does Text Generation") as caught:
        life(life.service.embed(GENERATION, ["x"]))
    assert (caught.value.cf_code, caught.value.status) == (5007, 400)
    with pytest.raises(EngineError, match="no engine"):
        life(life.service.run("@cf/openai/whisper", {"audio": [1]}))
    with pytest.raises(UsageError, match="Bad input"):
        life(life.service.run(GENERATION, {"text": "x"}))
    with pytest.raises(UsageError, match="supports only 8192"):
        life(life.service.run(GENERATION, {"prompt": "hello " * 9000}))


def test_a_single_command_embeds_in_its_own_process(life: Life) -> None:
    assert life(life.service.load(EMBEDDING))["pid"] == os.getpid()


@pytest.mark.slow
def test_a_killed_embedding_model_is_started_again(models: Models) -> None:
    async def main() -> None:
        service = AiService(models, Settings(threads=1), serving=True)
        try:
            pid = (await service.load(EMBEDDING))["pid"]
            bulk = asyncio.create_task(service.embed(EMBEDDING, ["word " * 200] * 200))
            await service.embed(EMBEDDING, ["a turn has been computed"])
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(EngineError, match="SIGKILL") as caught:
                await bulk
            assert caught.value.code == "model_process_died"
            assert (await service.embed(EMBEDDING, ["x"])).shape == (1, 384)
            assert service.describe(EMBEDDING)["pid"] not in (pid, os.getpid())
        finally:
            await service.close()

    asyncio.run(main())


def test_an_idle_model_leaves_before_one_is_loaded_that_will_not_fit(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    life(life.service.load(GENERATION))
    life(life.service.load(EMBEDDING))
    assert len(life(life.service.loaded())) == 2
    life(life.service.unload(EMBEDDING))
    monkeypatch.setattr(embedding_loading, "BESIDE_WEIGHTS", {"onnx": 1 << 60, "torch": 1 << 60})
    life(life.service.load(EMBEDDING))  # nothing more can leave: it is tried all the same
    assert [each["id"] for each in life(life.service.loaded())] == [EMBEDDING]


@pytest.mark.slow
def test_a_model_that_was_killed_is_started_again(life: Life) -> None:
    async def main() -> dict[str, Any]:
        pid = (await life.service.load(GENERATION))["pid"]
        endless = {"prompt": "Count to one thousand.", "max_tokens": 4000, "temperature": 0}
        with pytest.raises(EngineError, match="SIGKILL"):
            async with aclosing(life.service.stream(GENERATION, endless)) as events:
                await anext(events)
                os.kill(pid, signal.SIGKILL)
                async for _ in events:
                    pass
        # Another model goes on, and the next request starts this one anew.
        assert (await life.service.embed(EMBEDDING, ["x"])).shape == (1, 384)
        return await life.service.run(GENERATION, BRIEF)

    assert life(main())["usage"]["completion_tokens"] == 12
