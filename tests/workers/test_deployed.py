"""Workers that are deployed onto a server, several at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

from edgecli.workers.deployed.service import DeployedWorkers
from edgecli.workers.deployed.store import DeployedStore
from edgecli.workers.deployed.upload import Upload
from edgecli.workers.journal import Journal
from edgecli.workers.worker import Worker
from tests.workers.far_side import Machine, Process


def test_deployments_at_once_leave_each_others_modules_until_they_have_their_turn(tmp_path: Path) -> None:
    async def run() -> None:
        machine, missing = Machine(), list[Path]()

        def look(process: Process) -> None:
            missing.extend([] if process.spec.main.is_file() else [process.spec.main])

        machine.prepare = look
        store = DeployedStore(tmp_path)
        workers = DeployedWorkers(store, lambda spec: Worker(spec, machine.launch, Journal()))
        upload = Upload("w.js", {"w.js": ("application/javascript+module", b"")}, [], frozenset(), None, (), None)
        drafts = [await workers.draft("trial", upload) for _ in range(3)]
        await asyncio.gather(*(workers.publish("trial", draft.version) for draft in drafts))
        assert not missing
        held = await workers.get("trial")
        assert [each.name for each in (tmp_path / "trial").iterdir() if each.is_dir()] == [held.version]
        await workers.close()

    asyncio.run(run())
