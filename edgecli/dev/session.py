"""A developer beside a running server: table, reload, keys."""

from __future__ import annotations

import asyncio
import time
import webbrowser
from typing import TYPE_CHECKING

from edgecli.dev import keys
from edgecli.dev.source import Source
from edgecli.dev.table import rows
from edgecli.dev.voice import NO_MAIN, Lines, Screen, Voice
from edgecli.dev.watch import Watcher
from edgecli.errors import EdgeError
from edgecli.workers.overlay import Overlay
from edgecli.workers.process import WorkerError

if TYPE_CHECKING:
    from edgecli.server.process import Running
    from edgecli.workers.worker import Worker


class Session:
    """What stands beside the server as long as `edgecli dev` runs."""

    traces = True
    patience = 1

    def __init__(
        self, source: Source, *, reload: bool, level: str, warm: bool, json: bool, test_scheduled: bool
    ) -> None:
        self.test_scheduled = test_scheduled
        self._source = source
        self._reloads = reload
        self._warm = warm
        self._screen = None if json else Screen(level=level)
        self._voice: Voice = self._screen or Lines()
        self._keys = self._screen is not None and keys.can_read()
        self._wrong: WorkerError | None = None
        """What is wrong with the configuration, while the one before it holds."""

    async def run(self, server: Running) -> None:
        """Show the bindings, say that it is ready, then watch files, journal and keys until this is cancelled."""
        worker = server.worker
        if self._screen is not None:
            self._screen.reporter.own = worker.spec.name if worker is not None else ""
        async with asyncio.TaskGroup() as tasks:
            if self._reloads and worker is not None:
                tasks.create_task(self._watch(worker, server, tasks))
            tasks.create_task(self._voice.follow(server.runtime.workers.journal))
            await self._begin(server)
            tasks.create_task(server.prepare())
            if self._warm:
                tasks.create_task(server.warm())
            if self._screen is not None and self._keys:
                self._screen.box()
                tasks.create_task(self._read_keys(self._screen, server, tasks))

    async def _begin(self, server: Running) -> None:
        self._voice.bindings(await rows(self._source.project, server.runtime))
        await server.begun()
        worker = server.worker
        if worker is None:
            self._voice.doubtful(NO_MAIN)
        elif worker.error is not None:
            self._voice.broken(worker.error, worker.spec, answers=False)
        self._voice.ready(server.shown)

    async def _watch(self, worker: Worker, server: Running, tasks: asyncio.TaskGroup) -> None:
        spec = worker.spec
        watcher = Watcher(spec.root, spec.main, self._source.project.config_path, spec.language)
        async for kinds in watcher.changes():
            if "configuration" not in kinds or await self._read_configuration(server):
                tasks.create_task(self._reload(worker, server))
            else:
                await self._cover(worker)

    async def _read_configuration(self, server: Running) -> bool:
        """Read the configuration again; tell whether it can be used."""
        before = self._source.project
        try:
            doubts = self._source.read_again()
        except EdgeError as error:
            self._wrong = WorkerError(error.message, hint=error.hint, code=error.code)
            self._voice.wrong(error)
            self._voice.note("The configuration as it was before goes on.")
            return False
        self._wrong = None
        for doubt in doubts:
            self._voice.doubtful(doubt)
        # What only a new server would do is not shown as if it were done.
        after = await rows(self._source.project, server.runtime)
        if after != await rows(before, server.runtime):
            self._voice.bindings(after)
        return True

    async def _reload(self, worker: Worker, server: Running) -> None:
        spec = self._source.spec
        if spec is None:
            self._voice.doubtful(NO_MAIN.split(":")[0] + " any more. It goes on as it was.")
            await self._cover(worker)
            return
        began = time.perf_counter()
        try:
            if await worker.reload(spec):
                self._voice.loaded(spec, time.perf_counter() - began)
        except WorkerError as error:
            self._voice.broken(error, spec, answers=worker.state == "running")
        await self._cover(worker)
        await server.prepare()

    async def _cover(self, worker: Worker) -> None:
        """Show on the pages of the last good Worker what is broken."""
        error = worker.error or self._wrong
        await worker.cover(Overlay.of(error, worker.spec) if error else None)

    async def _read_keys(self, screen: Screen, server: Running, tasks: asyncio.TaskGroup) -> None:
        async for key in keys.pressed():
            if key in "xq":
                server.stop()
                return
            if key == "b":
                opened = await asyncio.to_thread(webbrowser.open, server.shown)
                screen.note(f"Opened {server.shown}." if opened else f"No browser here; open {server.shown}.")
            elif key == "r" and server.worker is not None:
                tasks.create_task(self._reload(server.worker, server))
            elif key == "c":
                screen.clear()
            elif key == "l":
                screen.toggle_detail()
            elif key == "m":
                await self._show_models(screen, server)

    async def _show_models(self, screen: Screen, server: Running) -> None:
        from edgecli.models.loaded_commands import HEADINGS, rows_of

        screen.models(rows_of(await server.runtime.ai.loaded()), HEADINGS)
