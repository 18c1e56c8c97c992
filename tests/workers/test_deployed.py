"""Workers that are deployed onto a server, several at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from edgecli.workers.deployed.service import DeployedWorkers
from edgecli.workers.deployed.store import DeployedStore
from edgecli.workers.deployed.upload import Upload
from edgecli.workers.journal import Journal
from edgecli.workers.worker import Worker
from tests.workers.far_side import Machine, Process

UPLOAD = Upload("w.js", {"w.js": ("application/javascript+module", b"")}, [], frozenset(), None, (), None)


class Stage:
    """A server's deployed Workers, with processes of the far side; one that is made anew is a server that restarts."""

    def __init__(self, root: Path) -> None:
        self.machine = Machine()
        self.journal = Journal()
        self.workers = DeployedWorkers(
            DeployedStore(root), lambda spec: Worker(spec, self.machine.launch, self.journal)
        )

    async def deploy(self) -> str:
        """Deploy `trial`; return the version."""
        draft = await self.workers.draft("trial", UPLOAD)
        return (await self.workers.publish("trial", draft.version)).version


Play = Callable[[Callable[[Stage], Awaitable[None]]], None]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    def play(story: Callable[[Stage], Awaitable[None]]) -> None:
        async def run() -> None:
            stage = Stage(tmp_path)
            try:
                async with asyncio.timeout(60):
                    await story(stage)
            finally:
                await stage.workers.close()

        asyncio.run(run())

    return play


def test_deployments_at_once_leave_each_others_modules_until_they_have_their_turn(play: Play, tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        missing = list[Path]()

        def look(process: Process) -> None:
            missing.extend([] if process.spec.main.is_file() else [process.spec.main])

        stage.machine.prepare = look
        drafts = [await stage.workers.draft("trial", UPLOAD) for _ in range(3)]
        await asyncio.gather(*(stage.workers.publish("trial", draft.version) for draft in drafts))
        assert not missing
        held = await stage.workers.get("trial")
        assert [each.name for each in (tmp_path / "trial").iterdir() if each.is_dir()] == [held.version]

    play(story)


def test_a_cron_starts_a_worker_that_is_idle(play: Play, tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.deploy()
        again = Stage(tmp_path)
        await again.workers.scheduled("trial", "*/5 * * * *")
        await again.workers.scheduled("trial", "* * * * *")
        (process,) = again.machine.made
        assert process.crons == ["*/5 * * * *", "* * * * *"]
        await again.workers.close()

    play(story)
