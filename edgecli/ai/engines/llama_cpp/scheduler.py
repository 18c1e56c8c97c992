"""The thread that computes: it takes requests from any thread and gives each batcher its step."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

from edgecli.ai.engines.llama_cpp.batcher import Batcher
from edgecli.ai.engines.llama_cpp.counters import Counters
from edgecli.ai.engines.llama_cpp.job import Job
from edgecli.errors import EngineError

log = logging.getLogger("edgecli.ai")

IDLE_SECONDS = 1.0
"""Without anything to do, after which `when_idle` begins."""


class Scheduler:
    """Run the requests of one model. `run` takes a thread; the other methods may be called from any."""

    def __init__(self, shared: Batcher, make_exact: Callable[[], Batcher], counters: Counters) -> None:
        """`shared` runs what has no seed; `make_exact` makes, when it is first needed, what runs the rest."""
        self._shared = shared
        self._make_exact = make_exact
        self._exact: Batcher | None = None
        self._counters = counters
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._stopping = False
        self._open = True
        self._opening = threading.Lock()
        self.after_step: Callable[[], None] = _nothing
        """Called when the pieces of a step have been handed out."""
        self.when_idle: Callable[[], None] | None = None
        """Called once, when there has been nothing to do for IDLE_SECONDS; must not take long."""

    def submit(self, job: Job) -> None:
        """Let a request wait for its turn. Raises EngineError, code `unloaded`, after the end."""
        self.call(lambda: self._batcher(job).add(job))

    def cancel(self, job: Job) -> None:
        """End a request before the next step; nothing more is heard of it."""
        self._inbox.put(lambda: self._remove(job))

    def call(self, work: Callable[[], None]) -> None:
        """Run something that does not raise between two steps. Raises EngineError, code `unloaded`, after the end."""
        with self._opening:
            if not self._open:
                raise _unloaded()
            self._inbox.put(work)

    def stop(self) -> None:
        """End `run`; requests that still run are told so."""
        self._inbox.put(self._stop)

    def _stop(self) -> None:
        self._stopping = True

    def run(self) -> None:
        """Work until `stop`."""
        try:
            while not self._stopping:
                self._listen()
                for batcher in self._batchers():
                    if not self._stopping:
                        self._guard(batcher, batcher.step)
                self.after_step()
        finally:
            self._end()

    def _end(self) -> None:
        """Tell everybody, those too who came after `stop`."""
        with self._opening:
            self._open = False
        self._stopping = True
        self._take_all()
        for batcher in self._batchers():
            batcher.fail_all(_unloaded())
        self.after_step()

    def _remove(self, job: Job) -> None:
        batcher = self._batcher(job)
        self._guard(batcher, lambda: batcher.remove(job))

    def _guard(self, batcher: Batcher, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # the thread must go on: its requests are told, the next ones may succeed
            log.exception("a step failed")
            batcher.fail_all(EngineError(f"Unexpected {type(error).__name__}: {error}", code="internal"))

    def _listen(self) -> None:
        """Take what has come in; wait for something if there is nothing to do."""
        if not any(batcher.busy for batcher in self._batchers()):
            self._wait()()
        self._take_all()

    def _wait(self) -> Callable[[], None]:
        """Return what comes next."""
        if self.when_idle is not None:
            try:
                return self._inbox.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                idle, self.when_idle = self.when_idle, None
                return idle
        return self._inbox.get()

    def _take_all(self) -> None:
        while True:
            try:
                work = self._inbox.get_nowait()
            except queue.Empty:
                return
            work()

    def _batchers(self) -> list[Batcher]:
        """Return the batchers there are, each once: where there is no memory for the second, the first is both."""
        return [self._shared] if self._exact in (None, self._shared) else [self._shared, self._exact]

    def _batcher(self, job: Job) -> Batcher:
        if not job.exact:
            return self._shared
        if self._exact is None:
            if self._stopping:
                return self._shared
            try:
                self._exact = self._make_exact()
            except Exception as error:
                log.warning("%s A seeded request shares the cache with others and may vary.", error)
                self._exact = self._shared
        return self._exact

    def status(self) -> dict[str, Any]:
        """Return what is going on, for `ps` and metrics. To be called between two steps: see `call`."""
        batchers = self._batchers()
        return {
            "running": sum(batcher.running for batcher in batchers),
            "waiting": sum(batcher.waiting for batcher in batchers),
            "cells_used": self._shared.cells_used,
            **self._counters.to_dict(),
        }


def _nothing() -> None:
    pass


def _unloaded() -> EngineError:
    return EngineError("The model was unloaded.", code="unloaded", hint="Try again: it is loaded anew.")
