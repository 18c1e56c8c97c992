"""Workers that are deployed onto a server, several at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import httpx
import pytest

from edgecli.workers.deployed import service
from edgecli.workers.deployed.service import DeployedWorkers
from edgecli.workers.deployed.store import DeployedStore
from edgecli.workers.deployed.upload import Upload
from edgecli.workers.journal import Journal
from edgecli.workers.process import WorkerError
from edgecli.workers.worker import Worker
from tests.workers.far_side import Machine, Process

UPLOAD = Upload("w.js", {"w.js": ("application/javascript+module", b"")}, [], frozenset(), None, (), None, None)


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

    async def asked(self) -> int:
        """Return the status of the answer to a request to `trial`."""
        transport = httpx.ASGITransport(partial(self.workers.fetch, "trial"))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return (await client.get("/")).status_code

    def broken(self) -> None:
        """Let processes not start from now on."""
        error = WorkerError("broken", code="worker_start")
        self.machine.prepare = lambda process: setattr(process, "problem", error)

    def whole(self) -> None:
        """Let processes start again."""
        self.machine.prepare = lambda process: None


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
        await asyncio.gather(*(stage.deploy() for _ in range(3)))
        assert not missing
        held = await stage.workers.get("trial")
        assert [each.name for each in (tmp_path / "trial").iterdir() if each.is_dir()] == [held.version]

    play(story)


def test_secrets_that_are_set_at_once_are_all_there(play: Play) -> None:
    async def story(stage: Stage) -> None:
        await stage.deploy()
        await asyncio.gather(*(stage.workers.change_secrets("trial", {name: name}) for name in "ABC"))
        assert (await stage.workers.get("trial")).secrets == {"A": "A", "B": "B", "C": "C"}
        await stage.workers.change_secrets("trial", {"A": None, "NEVER": None})
        assert (await stage.workers.get("trial")).secrets == {"B": "B", "C": "C"}

    play(story)


def test_crons_are_set_without_another_start(play: Play) -> None:
    async def story(stage: Stage) -> None:
        await stage.deploy()
        await stage.workers.set_crons("trial", ["* * * * *"])
        assert (await stage.workers.get("trial")).crons == ["* * * * *"]
        assert len(stage.machine.made) == 1

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


def test_a_cron_of_a_worker_that_does_not_start_is_in_the_journal(play: Play, tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.deploy()
        again = Stage(tmp_path)
        again.broken()
        with pytest.raises(WorkerError, match="broken"):
            await again.workers.scheduled("trial", "* * * * *")
        (event,) = again.journal.last
        assert event.event is not None and event.event["cron"] == "* * * * *"
        assert (event.outcome, event.exceptions[0]["message"]) == ("exception", "broken")

    play(story)


def test_a_worker_that_does_not_start_is_tried_again_after_pauses_that_grow(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(service, "monotonic", lambda: now)

    async def story(stage: Stage) -> None:
        nonlocal now
        await stage.deploy()
        again = Stage(tmp_path)
        again.broken()
        for pause in (0.2, 0.4, 0.8):
            made = len(again.machine.made)
            assert [await again.asked() for _ in range(3)] == [500, 500, 500]
            assert len(again.machine.made) == made + 1
            now += pause * 0.99
            assert await again.asked() == 500
            assert len(again.machine.made) == made + 1
            now += pause * 0.02
        (described,) = await again.workers.describe()
        assert (described["state"], described["error"]["message"], described["errors"]) == ("failed", "broken", 12)
        now += 100
        again.whole()
        assert await again.asked() == 200
        assert (await again.workers.describe())[0]["state"] == "running"
        await again.workers.close()

    play(story)


@pytest.mark.parametrize("how", ["deploy", "secret", "delete"])
def test_what_changes_a_worker_ends_the_pause_after_its_failure(play: Play, tmp_path: Path, how: str) -> None:
    async def story(stage: Stage) -> None:
        await stage.deploy()
        again = Stage(tmp_path)
        again.broken()
        assert await again.asked() == 500
        again.whole()
        if how == "secret":
            await again.workers.change_secrets("trial", {"A": "1"})
        else:
            if how == "delete":
                await again.workers.delete("trial")
            await again.deploy()
        assert await again.asked() == 200
        await again.workers.close()

    play(story)
