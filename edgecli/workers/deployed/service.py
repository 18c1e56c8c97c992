"""The deployed Workers of a server: each begins to run at its first request, and again at each deployment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from weakref import WeakValueDictionary

from starlette.types import Receive, Scope, Send

from edgecli.errors import NotFoundError
from edgecli.state import now
from edgecli.workers.deployed.store import DeployedStore, Deployment
from edgecli.workers.deployed.upload import Upload
from edgecli.workers.process import WorkerError
from edgecli.workers.spec import WorkerSpec
from edgecli.workers.worker import Worker

DRAFTS = 4
"""Versions of one Worker that wait to be deployed, at most."""


class DeployedWorkers:
    """What is deployed, and what of it runs."""

    def __init__(
        self,
        store: DeployedStore,
        make: Callable[[WorkerSpec], Worker],
        announce: Callable[[str], object] = lambda name: None,
    ) -> None:
        """`make` returns a Worker that has not been started; `announce` is told the name of each that was deployed."""
        self._store = store
        self._make = make
        self._announce = announce
        self.running: dict[str, Worker] = {}
        self._drafts: dict[str, Deployment] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def _changing(self, name: str) -> asyncio.Lock:
        """Return the lock of a name, which is forgotten when nobody holds it: names are any client's choice."""
        return self._locks.setdefault(name, asyncio.Lock())

    async def list(self) -> list[Deployment]:
        """Return all, by name."""
        return await asyncio.to_thread(self._store.list)

    async def describe(self) -> list[dict[str, Any]]:
        """Return what is known of each, as `/edge/workers` lists it."""
        return [self._describe(each) for each in await self.list()]

    def _describe(self, held: Deployment) -> dict[str, Any]:
        worker = self.running.get(held.name) or self._make(self._store.spec(held))
        facts = worker.describe() | {"address": f"/_workers/{held.name}/", "deployed_on": held.modified_on}
        return facts if held.name in self.running else facts | {"state": "idle"}

    async def find(self, name: str) -> Deployment | None:
        """Return the Worker of this name, or None."""
        return await asyncio.to_thread(self._store.find, name)

    async def get(self, name: str) -> Deployment:
        """Return the Worker of this name. Raises NotFoundError."""
        return await asyncio.to_thread(self._store.get, name)

    async def versions(self, name: str) -> list[Deployment]:
        """Return the version that holds, if there is one, and those that wait. Raises NotFoundError without any."""
        waiting = [each for each in self._drafts.values() if each.name == name]
        held = await self.find(name) if waiting else await self.get(name)
        return [*([held] if held else []), *waiting]

    async def draft(self, name: str, upload: Upload) -> Deployment:
        """Keep an uploaded version for `publish`, and forget older ones that wait."""
        draft = await asyncio.to_thread(self._store.draft, name, upload)
        for older in [each for each in self._drafts.values() if each.name == name][: 1 - DRAFTS]:
            del self._drafts[older.version]
            await asyncio.to_thread(self._store.discard, older)
        self._drafts[draft.version] = draft
        return draft

    async def publish(self, name: str, version: str) -> Deployment:
        """Start a draft, and let it take the requests.

        Raises WorkerError where it does not start; the version that held before then still holds.
        """
        async with self._changing(name):
            draft = self._drafts.get(version)
            if draft is None or draft.name != name:
                held = await self.find(name)
                if held is not None and held.version == version:
                    return held
                raise WorkerError(
                    f"No version `{version}` of `{name}` waits to be deployed.",
                    hint="Only the version that holds is kept: upload it again with `wrangler deploy`.",
                    code="no_such_version",
                    status=404,
                )
            # Not before: what another deployment does not find among the drafts it removes.
            del self._drafts[version]
            try:
                await self._run(self._store.spec(draft))
            except WorkerError:
                await asyncio.to_thread(self._store.discard, draft)
                raise
            waiting = [each.version for each in self._drafts.values()]
            await asyncio.to_thread(lambda: self._store.publish(draft, waiting=waiting))
        self._announce(name)
        return draft

    async def change(self, name: str, **changes: Any) -> Deployment:
        """Change secrets or crons; a Worker that runs begins anew with them. Raises WorkerError as `publish` does."""
        async with self._changing(name):
            changed = replace(await self.get(name), modified_on=now(), **changes)
            if name in self.running:
                await self._run(self._store.spec(changed))
            waiting = [each.version for each in self._drafts.values()]
            await asyncio.to_thread(lambda: self._store.publish(changed, waiting=waiting))
        return changed

    async def delete(self, name: str) -> None:
        """Stop a Worker and remove it; what its bindings hold stays."""
        async with self._changing(name):
            await asyncio.to_thread(self._store.delete, name)
            worker = self.running.pop(name, None)
            if worker is not None:
                await worker.stop()

    async def fetch(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request to a Worker. Raises NotFoundError, and WorkerError if it does not start."""
        if not name:
            raise NotFoundError(
                "This path names no Worker: deployed ones are at `/_workers/NAME/`.",
                hint="`edgecli workers list` shows them.",
                code="no_such_worker",
            )
        worker = self.running.get(name)
        if worker is None:
            async with self._changing(name):
                worker = self.running.get(name) or await self._run(self._store.spec(await self.get(name)))
        await worker.fetch(scope, receive, send)

    async def close(self) -> None:
        """Stop all that run."""
        workers, self.running = list(self.running.values()), {}
        await asyncio.gather(*(worker.stop() for worker in workers))

    async def _run(self, spec: WorkerSpec) -> Worker:
        worker = self.running.get(spec.name)
        if worker is not None:
            await worker.reload(spec)
            return worker
        worker = self._make(spec)
        await worker.start()
        self.running[spec.name] = worker
        return worker
