"""The queue of batches."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from edgecli.ai import batch as batches
from edgecli.ai.batch import BatchQueue
from edgecli.errors import EngineError, LimitError, NotFoundError, UsageError

USAGE = {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3}


class Model:
    """A model that repeats its prompt, once the gate is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.running = 0
        self.most = 0
        self.seen: list[Mapping[str, Any]] = []

    async def __call__(self, model: str, inputs: Mapping[str, Any]) -> Any:
        del model
        self.seen.append(inputs)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.gate.wait()
            if inputs["prompt"] == "bad":
                raise EngineError("broke")
            return {"response": inputs["prompt"], "usage": USAGE}
        finally:
            self.running -= 1


async def until_done(queue: BatchQueue, request_id: str) -> dict[str, Any]:
    async with asyncio.timeout(5):
        while "status" in (found := queue.poll(request_id)):  # noqa: ASYNC110 - a client polls as well
            await asyncio.sleep(0.001)
        return found


def test_a_batch_from_queued_to_its_responses() -> None:
    async def main() -> None:
        model = Model()
        queue = BatchQueue(model, at_once=2)
        requests = [{"prompt": "a", "external_reference": "first", "stream": True}, {"prompt": "bad"}, {"prompt": "c"}]
        queued = queue.submit("@cf/a/b", {"requests": requests})
        assert queued == {"status": "queued", "request_id": queued["request_id"], "model": "@cf/a/b"}
        await asyncio.sleep(0.01)
        assert queue.poll(queued["request_id"])["status"] == "running"
        model.gate.set()
        found = await until_done(queue, queued["request_id"])
        first, second, third = found["responses"]
        assert first == {
            "id": 0,
            "result": {"response": "a", "usage": USAGE},
            "success": True,
            "external_reference": "first",
        }
        assert (second["id"], second["success"], second["result"]) == (1, False, {})
        assert (second["errors"][0]["message"], second["external_reference"]) == ("broke", None)
        assert third["result"]["response"] == "c"
        assert found["usage"] == {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}
        assert model.most == 2
        assert model.seen[0] == {"prompt": "a"}
        assert queue.poll(queued["request_id"]) == found
        await queue.close()

    asyncio.run(main())


def test_a_long_batch_does_not_keep_a_later_one_out() -> None:
    async def main() -> None:
        model = Model()
        model.gate.set()
        queue = BatchQueue(model, at_once=1)
        long = queue.submit("m", {"requests": [{"prompt": "a"}] * 500})["request_id"]
        short = queue.submit("m", {"requests": [{"prompt": "b"}]})["request_id"]
        await until_done(queue, short)
        assert "status" in queue.poll(long)
        await queue.close()

    asyncio.run(main())


def test_a_busy_engine_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "PAUSE", 0.0)
    tries = iter([LimitError("full"), LimitError("full"), None])

    async def run(model: str, inputs: Mapping[str, Any]) -> Any:
        del model, inputs
        if (error := next(tries)) is not None:
            raise error
        return {"response": "ok"}

    async def main() -> None:
        queue = BatchQueue(run)
        done = await until_done(queue, queue.submit("m", {"requests": [{"prompt": "a"}]})["request_id"])
        assert done["responses"][0]["success"]
        assert done["usage"]["total_tokens"] == 0

    asyncio.run(main())


def test_what_is_too_much_is_refused_and_what_is_old_forgotten() -> None:
    async def main() -> None:
        model = Model()
        queue = BatchQueue(model, max_bytes=100, max_age=0.05)
        taken = queue.submit("m", {"requests": [{"prompt": "a" * 50}]})["request_id"]
        with pytest.raises(LimitError) as caught:
            queue.submit("m", {"requests": [{"prompt": "a" * 50}]})
        assert (caught.value.cf_code, caught.value.status) == (3040, 429)
        await asyncio.sleep(0.06)
        with pytest.raises(NotFoundError, match=taken):
            queue.poll(taken)
        await asyncio.sleep(0.01)
        assert model.running == 0
        queue.submit("m", {"requests": [{"prompt": "a" * 50}]})
        await queue.close()
        assert model.running == 0

    asyncio.run(main())


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, "required properties at '/' are 'requests'"),
        ({"requests": {}}, "Type mismatch of '/requests', 'array' not in 'object'"),
        ({"requests": []}, "'/requests' has 0 items"),
        ({"requests": [{}] * 1001}, "'/requests' has 1001 items"),
        ({"requests": ["a"]}, "Type mismatch of '/requests/0', 'object' not in 'string'"),
        ({"requests": [{"external_reference": 1}]}, "'/requests/0/external_reference', 'string' not in 'integer'"),
    ],
)
def test_bad_batches(body: dict[str, Any], problem: str) -> None:
    async def main() -> None:
        with pytest.raises(UsageError) as caught:
            BatchQueue(Model()).submit("m", body)
        assert problem in caught.value.message

    asyncio.run(main())
