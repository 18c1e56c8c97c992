"""A reload is a second process on the same socket: no request is lost, and a broken save changes nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from edgecli.workers.process import WorkerError
from tests.workers.workerd.serving import place, spec_of, until, write

pytestmark = pytest.mark.usefixtures("programs")

SAYS = 'export default {{ async fetch() {{ await scheduler.wait(2); return new Response("{}"); }} }};'


def test_a_reload_under_load_loses_no_request(tmp_path: Path) -> None:
    async def run() -> None:
        root = write(tmp_path, {"index.js": SAYS.format(0)})
        spec = spec_of(root, "index.js")
        async with place() as here:
            process = await here.start(spec)
            seen: list[str] = []
            failed: list[str] = []
            done = asyncio.Event()

            async def client(keeps: bool) -> None:
                while not done.is_set():
                    try:
                        seen.append(await ask(keeps))
                    except httpx2.HTTPError as error:
                        failed.append(repr(error))

            async def ask(keeps: bool) -> str:
                if not keeps:
                    return (await here.http.get("/", headers={"connection": "close"})).text
                try:
                    return (await here.http.get("/")).text
                except httpx2.RemoteProtocolError:
                    # HTTP's own race: an idle connection may close while a request sets out; clients ask again.
                    return (await here.http.get("/")).text

            clients = [asyncio.create_task(client(number % 2 == 0)) for number in range(8)]
            for version in range(1, 5):
                await until(lambda: len(seen) >= version * 150)  # noqa: B023 - asked at once
                write(root, {"index.js": SAYS.format(version)})
                following = await here.start(spec)
                await process.stop(grace=5)
                process = following
                assert (await here.http.get("/")).text == str(version)
            done.set()
            await asyncio.gather(*clients)
            assert not failed
            assert {"0", "1", "2", "3", "4"} <= set(seen)

    asyncio.run(run())


def test_a_long_answer_ends_in_the_old_process(tmp_path: Path) -> None:
    async def run() -> None:
        slow = SAYS.format("slow").replace("wait(2)", "wait(700)")
        root = write(tmp_path, {"index.js": slow})
        spec = spec_of(root, "index.js")
        async with place() as here:
            old = await here.start(spec)
            waiting = asyncio.create_task(here.http.get("/"))
            await asyncio.sleep(0.2)
            write(root, {"index.js": SAYS.format("new")})
            await here.start(spec)
            await old.stop(grace=5)
            assert (await waiting).text == "slow"
            assert await here.events(1), "the request that ended last is not in the journal"
            assert (await here.http.get("/")).text == "new"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("broken", "says", "line"),
    [
        ("export default { fetch( { return 1 } };\n", "Expected", 1),
        ("\n\nthrow new Error('起不来');\nexport default {};\n", "起不来", 3),
        ('import { gone } from "./gone.js";\nexport default { fetch: gone };\n', "Could not resolve", 1),
    ],
)
def test_bad_code_leaves_the_old_one_serving(tmp_path: Path, broken: str, says: str, line: int) -> None:
    async def run() -> None:
        root = write(tmp_path, {"index.js": SAYS.format("good")})
        spec = spec_of(root, "index.js")
        async with place() as here:
            await here.start(spec)
            write(root, {"index.js": broken})
            with pytest.raises(WorkerError, match=says) as caught:
                await here.start(spec)
            assert caught.value.code == "worker_start"
            assert caught.value.place is not None
            assert (caught.value.place.file, caught.value.place.line) == ("index.js", line)
            assert caught.value.message.startswith(f"index.js:{line}:")
            assert [(await here.http.get("/")).text for _ in range(5)] == ["good"] * 5

    asyncio.run(run())


def test_nodes_modules_without_their_flag_are_explained(tmp_path: Path) -> None:
    async def run() -> None:
        root = write(tmp_path, {"index.js": 'import fs from "node:fs";\nexport default { fetch: () => fs };\n'})
        async with place() as here:
            with pytest.raises(WorkerError, match='No such module "node:fs"') as caught:
                await here.start(spec_of(root, "index.js", compatibility_date="2024-01-01"))
            assert "nodejs_compat" in (caught.value.hint or "")

    asyncio.run(run())


def test_an_export_that_is_no_handler_is_named(tmp_path: Path) -> None:
    async def run() -> None:
        root = write(tmp_path, {"index.js": "export const answer = 42;\n"})
        async with place() as here:
            with pytest.raises(WorkerError, match="exports `answer`") as caught:
                await here.start(spec_of(root, "index.js"))
            assert "export default" in (caught.value.hint or "")

    asyncio.run(run())


HOST = """
import asyncio, sys
from pathlib import Path
from tests.workers.workerd.serving import place, spec_of

async def run():
    async with place() as here:
        process = await here.start(spec_of(Path(sys.argv[1]), "index.js"))
        print(process.pid, flush=True)
        await asyncio.sleep(60)

asyncio.run(run())
"""


def test_workerd_ends_when_edgecli_is_killed(tmp_path: Path) -> None:
    root = write(tmp_path, {"index.js": SAYS.format("x")})
    edgecli = subprocess.Popen([sys.executable, "-c", HOST, str(root)], stdout=subprocess.PIPE, text=True)
    assert edgecli.stdout is not None
    pid = int(edgecli.stdout.readline())
    os.kill(pid, 0)
    edgecli.send_signal(signal.SIGKILL)
    edgecli.wait()
    until = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < until, "workerd outlives edgecli"
        time.sleep(0.05)


def test_a_start_that_is_given_up_leaves_no_process(tmp_path: Path) -> None:
    async def run() -> None:
        root = write(tmp_path, {"index.js": "for (;;) {}\nexport default {};\n"})
        async with place() as here:
            process = here.make(spec_of(root, "index.js"))
            starting = asyncio.create_task(process.start())
            await until(lambda: process.pid is not None)
            starting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await starting
            with pytest.raises(ProcessLookupError):
                os.kill(process.pid, 0)

    asyncio.run(run())
