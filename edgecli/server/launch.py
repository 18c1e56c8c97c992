"""Which process runs a Worker, and what it is given."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from edgecli.workers.channel import Channel
from edgecli.workers.process import WorkerProcess
from edgecli.workers.spec import WorkerSpec
from edgecli.workers.worker import Worker

if TYPE_CHECKING:
    from edgecli.runtime import Runtime


class Launcher:
    """Makes the Workers of a server, and their processes."""

    def __init__(self, runtime: Runtime, channel: Channel, address: str, *, traces: bool) -> None:
        """`address` is where workerd reaches this server, `127.0.0.1:PORT`."""
        self._runtime = runtime
        self._channel = channel
        self._address = address
        self._traces = traces

    def worker(self, spec: WorkerSpec, listener: socket.socket | None = None) -> Worker:
        """Return a Worker that has not been started; workerd serves `listener` itself, if it is given one."""
        return Worker(spec, partial(self._launch, listener), self._runtime.workers.journal, traces=self._traces)

    def _launch(self, listener: socket.socket | None, spec: WorkerSpec) -> tuple[WorkerProcess, Callable[[], None]]:
        settings = self._runtime.settings
        journal = self._runtime.workers.journal
        if spec.language == "python":
            from edgecli.workers.python.host import PythonProcess

            process = PythonProcess(spec, self._channel.app, journal, settings.workers, offline=settings.offline)
            return process, lambda: None
        from edgecli.workers.workerd.host import WorkerdProcess

        token = self._channel.grant(spec)
        process = WorkerdProcess(
            spec,
            edge_address=self._address,
            token=token,
            journal=journal,
            settings=settings.workers,
            listener=listener,
            offline=settings.offline,
            traces=self._traces,
        )
        return process, partial(self._channel.withdraw, token)


async def prepare(spec: WorkerSpec | None) -> None:
    """Begin to start a process for the next Worker, so that Python is there when it is needed."""
    if spec is not None and spec.language == "python":
        from edgecli.workers.python.host import PythonProcess

        await PythonProcess.prepare()


async def release(spec: WorkerSpec | None) -> None:
    """End the process that `prepare` has started, if no Worker took it."""
    if spec is not None and spec.language == "python":
        from edgecli.workers.python.host import PythonProcess

        await PythonProcess.release()
