"""What D1 keeps through a death at any instant."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from edgecli.d1.database import Query
from edgecli.d1.service import D1Service

WRITER = """
import asyncio, sys
from pathlib import Path
from edgecli.d1.database import Query
from edgecli.d1.service import D1Service

async def main():
    database = D1Service(Path(sys.argv[1]), seconds=10).database("库")
    await database.run([Query("CREATE TABLE t (n); CREATE TABLE u (n)")])
    number = 0
    while True:
        await database.run([Query("INSERT INTO t VALUES (?)", [number]), Query("INSERT INTO u VALUES (?)", [number])])
        print(number, flush=True)
        number += 1

asyncio.run(main())
"""


def test_what_was_answered_outlives_a_kill_and_a_batch_is_whole(tmp_path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    for _ in range(40):
        writer.stdout.readline()
    os.kill(writer.pid, signal.SIGKILL)
    answered = 39 + len(writer.communicate()[0].splitlines())

    async def check() -> None:
        service = D1Service(tmp_path, seconds=10)
        found = await service.database("库").run(
            [Query("SELECT n FROM t ORDER BY n"), Query("SELECT n FROM u ORDER BY n")]
        )
        assert found[0].rows == found[1].rows
        assert [row[0] for row in found[0].rows][: answered + 1] == list(range(answered + 1))
        await service.close()

    asyncio.run(check())


def test_closing_ends_a_query_that_runs(tmp_path: Path) -> None:
    endless = Query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")

    async def check() -> None:
        service = D1Service(tmp_path, seconds=3600)
        running = asyncio.create_task(service.database("a").run([endless]))
        await asyncio.sleep(0.2)
        await service.close()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(asyncio.wait_for(check(), 60))
