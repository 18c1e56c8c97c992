"""A pull in a thread, its steps as an asynchronous iterator."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence

from edgecli.models.pull import pull
from edgecli.models.schema import ModelSpec, PullCancelled, PullProgress
from edgecli.models.store import Store

SECONDS_BETWEEN_STEPS = 0.1
"""Of one file's bytes; its last step always comes."""


async def stream(specs: Sequence[ModelSpec], store: Store, *, offline: bool) -> AsyncGenerator[PullProgress]:
    """Pull models one after the other and yield the steps; closing the iterator ends the pull.

    The thread is a daemon: an interrupted process does not wait for a slow server, and a pull that is cut
    leaves a state that the next one takes up.
    """
    loop = asyncio.get_running_loop()
    steps: asyncio.Queue[PullProgress | BaseException | None] = asyncio.Queue()
    gone = threading.Event()

    def put(step: PullProgress | BaseException | None) -> None:
        if not gone.is_set():
            loop.call_soon_threadsafe(steps.put_nowait, step)

    thinned = _Thinned(put)

    def progress(step: PullProgress) -> None:
        if gone.is_set():
            raise PullCancelled
        thinned(step)

    def work() -> None:
        try:
            for spec in specs:
                pull(spec, store, offline=offline, progress=progress)
            put(None)
        except PullCancelled:
            return
        except BaseException as error:
            put(error)

    threading.Thread(target=work, name="models-pull", daemon=True).start()
    try:
        while (step := await steps.get()) is not None:
            if isinstance(step, BaseException):
                raise step
            yield step
    finally:
        gone.set()


class _Thinned:
    """Pass on at most ten steps a second of one file's bytes."""

    def __init__(self, put: Callable[[PullProgress], None]) -> None:
        self._put = put
        self._last: tuple[str, str, str] | None = None
        self._at = 0.0

    def __call__(self, step: PullProgress) -> None:
        key = (step.model, step.phase, step.file)
        now = time.monotonic()
        if key == self._last and now - self._at < SECONDS_BETWEEN_STEPS and step.done != step.total:
            return
        self._last, self._at = key, now
        self._put(step)
