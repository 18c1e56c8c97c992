"""Batch requests, `?queueRequest=true`: taken now, run when there is room, asked for later.

They live in the memory of the process that took them. A batch is kept until it is old; a queue that is full refuses
the next one. At most `AT_ONCE` requests of all batches run at the same time, so that a batch leaves room for callers
that wait for their answers.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from edgecli.ai.tasks.validation import bad_input, mismatch
from edgecli.envelope import to_json, unexpected
from edgecli.errors import EdgeError, LimitError, NotFoundError

log = logging.getLogger("edgecli.ai")

AT_ONCE = 4
MAX_REQUESTS = 1000
"""Of one batch."""
MAX_BYTES = 256 * 1024 * 1024
"""Of all batches together, inputs and results as JSON."""
MAX_AGE = 24 * 3600.0
"""Seconds that a batch is kept after it was taken."""
TRIES = 60
"""How often a request is tried that the engine has no room for."""
PAUSE = 1.0
"""Seconds between two tries."""

Run = Callable[[str, Mapping[str, Any]], Awaitable[Any]]


@dataclass(slots=True)
class Batch:
    """Requests that were sent together."""

    model: str
    inputs: list[Mapping[str, Any] | None]
    """None once a request has been answered."""
    references: list[str | None]
    size: int
    """Bytes of what is kept of it."""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    taken: float = field(default_factory=time.monotonic)
    responses: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    begun: bool = False
    work: asyncio.Task[None] | None = None

    @property
    def status(self) -> str:
        """`queued`, `running` or `done`."""
        if len(self.responses) == len(self.inputs):
            return "done"
        return "running" if self.begun else "queued"

    def to_dict(self) -> dict[str, Any]:
        """Return what a poll is answered with."""
        if self.status != "done":
            return {"status": self.status, "request_id": self.id, "model": self.model}
        ordered = [self.responses[number] for number in range(len(self.inputs))]
        return {"responses": ordered, "usage": _usage(ordered)}


class BatchQueue:
    """The batches of one project. Its methods belong to one event loop."""

    def __init__(
        self, run: Run, *, at_once: int = AT_ONCE, max_bytes: int = MAX_BYTES, max_age: float = MAX_AGE
    ) -> None:
        self._run = run
        self._room = asyncio.Semaphore(at_once)
        self._max_bytes = max_bytes
        self._max_age = max_age
        self._batches: dict[str, Batch] = {}

    def submit(self, model: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Take a batch, `{"requests": [...]}`, and return its `request_id`.

        Raises UsageError for a body that is none; LimitError, cf_code 3040, if too much is kept already.
        """
        self._forget_old()
        requests = _requests(body)
        size = len(to_json(requests))
        if sum(batch.size for batch in self._batches.values()) + size > self._max_bytes:
            raise LimitError(
                "AiError: Capacity temporarily exceeded, please try again: the queue of batches is full.",
                hint=f"It holds {self._max_bytes} bytes of requests and results, each for {self._max_age:g} s.",
                code="batch_queue_full",
            )
        references = [request.get("external_reference") for request in requests]
        inputs: list[Mapping[str, Any] | None] = [_without_reference(request) for request in requests]
        batch = Batch(model, inputs, references, size)
        self._batches[batch.id] = batch
        batch.work = asyncio.create_task(self._work(batch))
        return batch.to_dict()

    def poll(self, request_id: Any) -> dict[str, Any]:
        """Return a batch's status, or its responses. Raises NotFoundError, code `batch_not_found`."""
        self._forget_old()
        batch = self._batches.get(request_id) if isinstance(request_id, str) else None
        if batch is None:
            raise NotFoundError(
                f"No such batch `{request_id}`.",
                hint=f"Batches are kept for {self._max_age / 3600:g} h, and no longer than the server runs.",
                code="batch_not_found",
            )
        return batch.to_dict()

    async def close(self) -> None:
        """End what runs and forget everything."""
        tasks = [batch.work for batch in self._batches.values() if batch.work is not None]
        self._batches.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget_old(self) -> None:
        now = time.monotonic()
        for batch in [each for each in self._batches.values() if now - each.taken > self._max_age]:
            del self._batches[batch.id]
            if batch.work is not None:
                batch.work.cancel()

    async def _work(self, batch: Batch) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(len(batch.inputs)):
                # The place is waited for here: a long batch does not stand before all of a later one.
                await self._room.acquire()
                batch.begun = True
                group.create_task(self._one(batch, number)).add_done_callback(lambda _: self._room.release())

    async def _one(self, batch: Batch, number: int) -> None:
        inputs, batch.inputs[number] = batch.inputs[number], None
        response: dict[str, Any] = {"id": number}
        try:
            response |= {"result": await self._answer(batch.model, inputs or {}), "success": True}
        except EdgeError as error:
            response |= {"result": {}, "success": False, "errors": [error.to_dict()]}
        except Exception as error:
            log.exception("a request of a batch failed")
            response |= {"result": {}, "success": False, "errors": [unexpected(error).to_dict()]}
        response["external_reference"] = batch.references[number]
        batch.responses[number] = response
        batch.size += len(to_json(response))

    async def _answer(self, model: str, inputs: Mapping[str, Any]) -> Any:
        for _ in range(TRIES - 1):
            try:
                return await self._run(model, inputs)
            except LimitError as error:  # who queues a batch does not mind waiting
                if error.cf_code != LimitError.default_cf_code:
                    raise
                await asyncio.sleep(PAUSE)
        return await self._run(model, inputs)


def _requests(body: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    requests = body.get("requests")
    if requests is None:
        raise bad_input(
            "oneOf at '/' not met, 0 matches: required properties at '/' are 'requests', "
            "required properties at '/' are 'request_id'",
            hint='With `queueRequest=true` send `{"requests": [<inputs>, …]}`, then poll with `{"request_id": "…"}`.',
        )
    if not isinstance(requests, list):
        raise bad_input(mismatch("/requests", "array", requests))
    found = cast("list[Any]", requests)
    if not 1 <= len(found) <= MAX_REQUESTS:
        raise bad_input(f"'/requests' has {len(found)} items: 1 to {MAX_REQUESTS} are taken")
    for number, request in enumerate(found):
        if not isinstance(request, dict):
            raise bad_input(mismatch(f"/requests/{number}", "object", request))
        reference = cast("dict[str, Any]", request).get("external_reference")
        if reference is not None and not isinstance(reference, str):
            raise bad_input(mismatch(f"/requests/{number}/external_reference", "string", reference))
    return found


def _without_reference(request: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in request.items() if key not in {"external_reference", "stream"}}


def _usage(responses: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    totals: dict[str, int] = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    for response in responses:
        result = response["result"]
        usage: dict[str, int] = cast("dict[str, Any]", result).get("usage") or {} if isinstance(result, dict) else {}
        for name in totals:
            totals[name] += usage.get(name, 0)
    return totals
