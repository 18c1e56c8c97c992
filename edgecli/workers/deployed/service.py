"""The deployed Workers of a server: each begins to run at its first request or cron, and again at each deployment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from time import monotonic
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from starlette.types import Receive, Scope, Send

from edgecli.errors import NotFoundError, UsageError
from edgecli.state import now
from edgecli.workers.cron import run_crons
from edgecli.workers.deployed.store import DeployedStore, Deployment
from edgecli.workers.deployed.upload import Upload
from edgecli.workers.process import WorkerError
from edgecli.workers.spec import WorkerSpec
from edgecli.workers.worker import FIRST_PAUSE, LONGEST_PAUSE, Worker

DRAFTS = 4
"""Versions of one Worker that wait to be deployed, at most."""


class _Failed(NamedTuple):
    """A Worker that did not start, and answers with its error until it may be tried again."""

    worker: Worker
    pause: float
    until: float
    """By the monotonic clock."""


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
        self._failed: dict[str, _Failed] = {}
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
        failed = self._failed.get(held.name)
        worker = self.running.get(held.name) or (failed.worker if failed else None)
        idle = {} if worker is not None else {"state": "idle"}
        worker = worker or self._make(self._store.spec(held))
        return worker.describe() | {"address": f"/_workers/{held.name}/", "deployed_on": held.modified_on} | idle

    async def find(self, name: str) -> Deployment | None:
        """Return the Worker of this name, or None."""
        return await asyncio.to_thread(self._store.find, name)

    async def get(self, name: str) -> Deployment:
        """Return the Worker of this name. Raises NotFoundError."""
        return await asyncio.to_thread(self._store.get, name)

    async def versions(self, name: str) -> list[Deployment]:
        """Return the version that holds, if there is one, and those that wait, the latest first.

        Raises NotFoundError without any.
        """
        waiting = self._waiting(name)
        held = await self.find(name) if waiting else await self.get(name)
        return sorted([*([held] if held else []), *waiting], key=lambda each: -each.number)

    def _waiting(self, name: str) -> list[Deployment]:
        return [each for each in self._drafts.values() if each.name == name]

    async def draft(self, name: str, upload: Upload) -> Deployment:
        """Keep an uploaded version for `publish`, and forget older ones that wait.

        It inherits from the version that was uploaded last, whether that one was deployed or not.
        """
        async with self._changing(name):
            before = (await self.versions(name))[0] if self._waiting(name) else await self.find(name)
            draft = await asyncio.to_thread(self._store.draft, name, upload, before)
            for older in self._waiting(name)[: 1 - DRAFTS]:
                del self._drafts[older.version]
                await asyncio.to_thread(self._store.discard, older)
            self._drafts[draft.version] = draft
        return draft

    async def modules(self, version: Deployment) -> dict[str, bytes]:
        """Return the content of a version's modules."""
        return await asyncio.to_thread(self._store.modules, version)

    async def publish(self, name: str, version: str) -> Deployment:
        """Start a draft, and let it take the requests.

        Raises WorkerError where it does not start; the version that held before then still holds.
        """
        async with self._changing(name):
            draft, held = self._drafts.get(version), await self.find(name)
            if draft is None or draft.name != name:
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
            draft = replace(draft, crons=held.crons if held else [])  # they belong to the Worker, not to a version
            try:
                await self._run(self._store.spec(draft))
            except WorkerError:
                await asyncio.to_thread(self._store.discard, draft)
                raise
            await self._hold(draft)
        self._announce(name)
        return draft

    async def change_secrets(self, name: str, changes: dict[str, str | None]) -> Deployment:
        """Set secrets, and delete those that are None; a Worker that runs begins anew with them.

        Raises WorkerError as `publish` does; UsageError, as the cloud, if a later version waits to be deployed, which
        would not have them.
        """
        async with self._changing(name):
            held = await self.get(name)
            if any(each.number > held.number for each in self._waiting(name)):
                raise UsageError(
                    f"The latest version of `{name}` is not deployed; its secrets are its own.",
                    hint="Deploy it first, or make a version with other secrets: `wrangler versions secret put`.",
                    code="version_not_deployed",
                    cf_code=10215,
                    status=400,
                )
            secrets = {key: text for key, text in (held.secrets | changes).items() if text is not None}
            changed = replace(held, modified_on=now(), secrets=secrets)
            if name in self.running:
                await self._run(self._store.spec(changed))
            await self._hold(changed)
        return changed

    async def set_crons(self, name: str, crons: list[str]) -> None:
        """Set the crons that hold from now on."""
        async with self._changing(name):
            await self._hold(replace(await self.get(name), modified_on=now(), crons=crons))

    async def _hold(self, deployment: Deployment) -> None:
        waiting = [each.version for each in self._drafts.values()]
        await asyncio.to_thread(lambda: self._store.publish(deployment, waiting=waiting))
        self._failed.pop(deployment.name, None)

    async def delete(self, name: str) -> None:
        """Stop a Worker and remove it; what its bindings hold stays."""
        async with self._changing(name):
            await asyncio.to_thread(self._store.delete, name)
            self._failed.pop(name, None)
            for draft in self._waiting(name):
                del self._drafts[draft.version]
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
        worker = await self._begun(name)
        await worker.fetch(scope, receive, send)

    async def scheduled(self, name: str, cron: str) -> None:
        """Run a Worker's `scheduled` handler. Raises NotFoundError, and WorkerError if it does not start or fails."""
        worker = await self._begun(name)
        await worker.scheduled(cron)

    async def run_crons(self) -> None:
        """Run the Workers' crons when they are due, until this is cancelled."""
        await run_crons(
            lambda: [(held.name, cron) for held in self._store.list() for cron in held.crons], self.scheduled
        )

    async def close(self) -> None:
        """Stop all that run."""
        workers, self.running = list(self.running.values()), {}
        await asyncio.gather(*(worker.stop() for worker in workers))

    async def _begun(self, name: str) -> Worker:
        """Return the Worker of this name, started if need be; one that does not start answers with its error."""
        worker = self.running.get(name)
        if worker is not None:
            return worker
        async with self._changing(name):
            if name in self.running:
                return self.running[name]
            failed = self._failed.get(name)
            if failed is not None and monotonic() < failed.until:
                return failed.worker
            worker = self._make(self._store.spec(await self.get(name)))
            try:
                await worker.start()
            except WorkerError:
                pause = min(failed.pause * 2, LONGEST_PAUSE) if failed else FIRST_PAUSE
                self._failed[name] = _Failed(worker, pause, monotonic() + pause)
            else:
                self._failed.pop(name, None)
                self.running[name] = worker
        return worker

    async def _run(self, spec: WorkerSpec) -> Worker:
        worker = self.running.get(spec.name)
        if worker is not None:
            await worker.reload(spec)
            return worker
        worker = self._make(spec)
        await worker.start()
        self.running[spec.name] = worker
        return worker
