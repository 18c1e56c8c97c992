"""A Worker over the lives of its processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from edgecli.errors import UpstreamError
from edgecli.workers import worker as room
from edgecli.workers.journal import Journal
from edgecli.workers.overlay import Overlay
from edgecli.workers.process import GONE, Place, WorkerError
from edgecli.workers.spec import WorkerSpec
from edgecli.workers.worker import Worker
from tests.workers.far_side import Machine

BROKEN = WorkerError("SyntaxError: expected ':'", code="worker_start", place=Place("src/worker.py", 2), trace="T\n  R")


class Stage:
    """A Worker of the far side's processes, and a client of it."""

    def __init__(self, root: Path, *, traces: bool) -> None:
        (root / "src").mkdir(exist_ok=True)
        (root / "src" / "worker.py").write_text("one\ntwo <b>\nthree\n", encoding="utf-8")
        self.machine = Machine()
        self.journal = Journal()
        self.spec = WorkerSpec("trial", root, root / "src" / "worker.py")
        self.worker = Worker(self.spec, self.machine.launch, self.journal, traces=traces)
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.worker.fetch), base_url="http://localhost", timeout=30
        )

    async def asked(self, path: str = "/", **headers: str) -> httpx.Response:
        return await self.client.get(path, headers=headers)


Story = Callable[[Stage], Awaitable[None]]


@asynccontextmanager
async def _stage(root: Path, *, traces: bool) -> AsyncIterator[Stage]:
    stage = Stage(root, traces=traces)
    try:
        yield stage
    finally:
        await stage.worker.stop()


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., None]:
    """Run a story on a stage of its own."""

    def play(story: Story, *, traces: bool = True) -> None:
        async def run() -> None:
            async with asyncio.timeout(60), _stage(tmp_path, traces=traces) as stage:
                await story(stage)

        asyncio.run(run())

    return play


Play = Callable[..., None]


async def until(reached: Callable[[], bool]) -> None:
    while not reached():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0.005)


def broken(stage: Stage, error: Exception = BROKEN) -> None:
    stage.machine.prepare = lambda process: setattr(process, "problem", error)


def whole(stage: Stage) -> None:
    stage.machine.prepare = lambda process: None


def test_a_reload_lets_requests_of_the_old_process_end(play: Play) -> None:
    async def story(stage: Stage) -> None:
        await stage.worker.start()
        old = stage.machine.made[0]
        old.held.clear()
        running = asyncio.create_task(stage.asked())
        await until(lambda: old._running == 1)
        assert await stage.worker.reload(replace(stage.spec, vars={"A": "1"}))
        assert (await stage.asked()).text == "2"
        assert stage.worker.spec.vars == {"A": "1"}
        assert not running.done()
        old.held.set()
        assert (await running).text == "1"
        await until(lambda: stage.machine.given_back == 1)
        assert old.graces == [room.GRACE]

    play(story)


def test_a_broken_save_leaves_the_last_good_process(play: Play) -> None:
    async def story(stage: Stage) -> None:
        await stage.worker.start()
        broken(stage)
        with pytest.raises(WorkerError):
            await stage.worker.reload(replace(stage.spec, vars={"A": "broken"}))
        assert (await stage.asked()).text == "1"
        assert stage.worker.error is BROKEN
        assert stage.worker.state == "running"
        assert stage.worker.spec.vars == {}
        assert stage.worker.describe()["error"]["line"] == 2
        assert stage.machine.given_back == 1, "the token of the process that did not start"
        whole(stage)
        await stage.worker.reload(stage.spec)
        assert stage.worker.error is None
        assert (await stage.asked()).text == "3"

    play(story)


def test_a_main_that_is_a_folder(play: Play) -> None:
    async def story(stage: Stage) -> None:
        with pytest.raises(WorkerError, match=r"`main` is `.*src`, which is a folder"):
            await stage.worker.reload(replace(stage.spec, main=stage.spec.main.parent))

    play(story)


def test_an_overlay_lies_over_the_process_that_answers_and_not_over_the_next(play: Play) -> None:
    async def story(stage: Stage) -> None:
        overlay = Overlay.of(BROKEN, stage.spec)
        await stage.worker.cover(overlay)
        await stage.worker.start()
        assert "x-edgecli-error" not in (await stage.asked()).headers, "there was nothing to cover"
        await stage.worker.cover(overlay)
        assert (await stage.asked()).headers["x-edgecli-error"] == "src/worker.py:2: SyntaxError: expected ':'"
        assert stage.machine.made[0].overlay is overlay
        stage.machine.made[0].failure = WorkerError("x", code="worker_exception")
        page = (await stage.asked(accept="text/html")).text
        assert page.startswith("<!doctype html>") and page.endswith(overlay.html), "over its own exceptions, too"
        await stage.worker.reload(stage.spec)
        assert "x-edgecli-error" not in (await stage.asked()).headers

    play(story)


def test_a_save_in_the_middle_of_a_start_ends_that_start(play: Play) -> None:
    async def story(stage: Stage) -> None:
        stage.machine.prepare = lambda process: process.slow.clear()
        first = asyncio.create_task(stage.worker.reload(stage.spec))
        await until(lambda: len(stage.machine.made) == 1)
        whole(stage)
        assert await stage.worker.reload(stage.spec)
        assert not await first
        assert stage.machine.made[0].graces == [0]
        assert (await stage.asked()).text == "2"

    play(story)


def test_a_process_that_is_there_when_its_reload_is_cancelled_is_ended_with_the_worker(play: Play) -> None:
    async def story(stage: Stage) -> None:
        await stage.worker.start()

        async def start() -> None:  # the reload is cancelled when this has returned, before the reload hears of it
            asyncio.get_running_loop().call_soon(reload.cancel)

        stage.machine.prepare = lambda process: setattr(process, "start", start)
        reload = asyncio.create_task(stage.worker.reload(stage.spec))
        await asyncio.gather(reload, return_exceptions=True)
        assert reload.cancelled()
        await asyncio.wait_for(stage.worker.stop(), 5)
        assert stage.machine.given_back == 2

    play(story)


def test_requests_wait_for_the_first_start(play: Play) -> None:
    async def story(stage: Stage) -> None:
        stage.machine.prepare = lambda process: process.slow.clear()
        starting = asyncio.create_task(stage.worker.start())
        await until(lambda: len(stage.machine.made) == 1)
        assert stage.worker.state == "starting"
        asking = asyncio.create_task(stage.asked())
        await asyncio.sleep(0.05)
        assert not asking.done()
        stage.machine.made[0].slow.set()
        assert (await asking).text == "1"
        await starting

    play(story)


def test_requests_that_wait_for_a_start_that_fails_hear_of_it(play: Play) -> None:
    async def story(stage: Stage) -> None:
        def slow(process: Any) -> None:
            process.slow.clear()
            process.problem = BROKEN

        stage.machine.prepare = slow
        starting = asyncio.create_task(stage.worker.start())
        await until(lambda: len(stage.machine.made) == 1)
        asking = asyncio.create_task(stage.asked())
        await asyncio.sleep(0.02)
        stage.machine.made[0].slow.set()
        answer = await asyncio.wait_for(asking, room.PATIENCE / 2)
        assert answer.status_code == 500
        with pytest.raises(WorkerError):
            await starting

    play(story)


def test_a_process_that_dies_is_started_anew_and_requests_wait(play: Play) -> None:
    async def story(stage: Stage) -> None:
        states: list[str] = []
        stage.worker.changed = lambda: states.append(stage.worker.state)
        await stage.worker.start()
        for number in (1, 2):
            stage.machine.made[-1].die(WorkerError("killed", code="worker_died"))
            await until(lambda: stage.worker.state == "restarting")
            assert (await stage.asked()).text == str(number + 1)
        assert states == ["running", "restarting", "running", "restarting", "running"]
        assert stage.machine.given_back == 2

    play(story)


def test_a_request_that_meets_a_process_that_just_died_goes_to_the_next_one(play: Play) -> None:
    async def story(stage: Stage) -> None:
        await stage.worker.start()
        dying = stage.machine.made[0]
        dying.failure = WorkerError("The Worker's process has ended.", code=GONE)
        asked = asyncio.create_task(stage.asked())
        await asyncio.sleep(0.02)
        assert not asked.done()
        dying.die(WorkerError("killed", code="worker_died"))
        assert (await asked).text == "2"

    play(story)


def test_pauses_grow_while_it_dies_at_once(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def hurry(seconds: float) -> None:
        if seconds >= room.FIRST_PAUSE:
            pauses.append(seconds)
        await sleep(0)

    async def story(stage: Stage) -> None:
        await stage.worker.start()
        monkeypatch.setattr(room.asyncio, "sleep", hurry)
        broken(stage)
        stage.machine.made[-1].die(None)
        await until(lambda: len(pauses) >= 8)
        whole(stage)
        await until(lambda: stage.worker.state == "running")
        assert pauses[:7] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0]

    play(story)


def test_while_it_cannot_be_started_anew_answers_say_why_at_once(play: Play) -> None:
    async def story(stage: Stage) -> None:
        await stage.worker.start()
        broken(stage)
        stage.machine.made[-1].die(None)
        await until(lambda: stage.worker.error is not None)
        answer = await asyncio.wait_for(stage.asked(), room.PATIENCE / 2)
        assert answer.status_code == 500
        assert "expected ':'" in answer.text
        assert stage.journal.last[-1].event == {
            "request": {"url": "http://localhost/", "method": "GET", "headers": dict(answer.request.headers)},
            "response": {"status": 500},
        }

    play(story)


def test_what_waits_too_long_gets_503(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "PATIENCE", 0.05)

    async def story(stage: Stage) -> None:
        stage.machine.prepare = lambda process: process.slow.clear()
        starting = asyncio.create_task(stage.worker.start())
        await until(lambda: len(stage.machine.made) == 1)
        answer = await stage.asked()
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "does not run" in answer.text
        starting.cancel()

    play(story, traces=False)


def test_a_developer_gets_a_page_text_or_json(play: Play) -> None:
    async def story(stage: Stage) -> None:
        await stage.worker.start()
        stage.machine.made[0].failure = WorkerError(
            "ValueError: <i>",
            code="exception",
            place=Place(str(stage.spec.main), 2),
            trace='a\n  File "x"\n<u>',
            hint="<h>",
        )
        page = await stage.asked(accept="text/html,*/*")
        assert page.headers["content-type"].startswith("text/html")
        assert "src/worker.py:2" in page.text
        assert '<span class="at"><b>2</b>two &lt;b&gt;</span>' in page.text
        assert not any(tag in page.text for tag in ("<i>", "<u>", "<h>", "<script", "http:", "https:"))
        text = await stage.asked()
        assert text.text.startswith("src/worker.py:2: ValueError: <i>\n")
        assert "  >    2 | two <b>" in text.text
        data = (await stage.asked(accept="application/json")).json()["error"]
        assert (data["code"], data["place"]["line"]) == (1101, 2)

    play(story)


@pytest.mark.parametrize(("code", "number"), [("exception", 1101), ("worker_stalled", 1102), ("worker_memory", 1102)])
def test_others_get_no_more_than_a_number(play: Play, code: str, number: int) -> None:
    async def story(stage: Stage) -> None:
        await stage.worker.start()
        stage.machine.made[0].failure = WorkerError("secret", code=code, place=Place("f", 1), trace="secret")
        answer = await stage.asked(accept="text/html")
        assert (answer.status_code, answer.text) == (500, f"error code: {number}\n")

    play(story, traces=False)


def test_an_error_of_another_kind_is_one_of_the_start(play: Play) -> None:
    async def story(stage: Stage) -> None:
        broken(stage, UpstreamError("npm is missing", hint="Install it.", code="no_npm"))
        with pytest.raises(WorkerError, match="npm is missing") as caught:
            await stage.worker.start()
        assert (caught.value.code, caught.value.hint) == ("no_npm", "Install it.")
        assert stage.worker.state == "failed"
        assert "npm is missing" in (await stage.asked()).text

    play(story)


def test_an_error_that_nobody_foresaw_ends_neither_the_worker_nor_what_starts_it_anew(play: Play) -> None:
    async def story(stage: Stage) -> None:
        await stage.worker.start()
        broken(stage, OSError(28, "No space left on device"))
        with pytest.raises(WorkerError, match=r"OSError: .* No space left"):
            await stage.worker.reload(stage.spec)
        stage.machine.made[0].die(WorkerError("killed", code="worker_died"))
        await until(lambda: len(stage.machine.made) > 3)
        assert "No space left" in (await stage.asked()).text
        whole(stage)
        await until(lambda: stage.worker.state == "running")

    play(story)


def test_the_end_cuts_off_what_still_runs(play: Play) -> None:
    async def story(stage: Stage) -> None:
        await stage.worker.start()
        stage.machine.made[0].held.clear()
        running = asyncio.create_task(stage.asked())
        await until(lambda: stage.machine.made[0]._running == 1)
        await stage.worker.reload(stage.spec)
        asyncio.get_running_loop().call_later(0.02, stage.machine.made[0].held.set)
        await stage.worker.stop()
        assert stage.machine.made[0].graces == [room.GRACE, room.CLOSING]
        assert stage.machine.made[1].graces == [room.CLOSING]
        assert stage.worker.state == "stopped"
        assert stage.machine.given_back == 2
        assert (await running).text == "1"

    play(story)


def test_a_cron_reaches_the_handler(play: Play) -> None:
    async def story(stage: Stage) -> None:
        await stage.worker.start()
        await stage.worker.scheduled("*/5 * * * *")
        assert stage.machine.made[0].crons == ["*/5 * * * *"]

    play(story)
