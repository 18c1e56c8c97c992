"""What KV keeps: in the order of bytes, and through a death at any instant."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from edgecli.kv.service import KvService

KEYS = st.sets(st.text(st.sampled_from("ab/é甲😀\n"), min_size=1, max_size=4).filter(lambda key: key), max_size=12)

WRITER = """
import asyncio, sys
from pathlib import Path
from edgecli.kv.service import KvService

async def main():
    kv = KvService(Path(sys.argv[1]))
    number = 0
    while True:
        await kv.put("n", f"键{number}", str(number).encode() * 1000)
        print(number, flush=True)
        number += 1

asyncio.run(main())
"""


@given(KEYS, st.text(st.sampled_from("ab/é甲😀\n"), max_size=2), st.integers(1, 5))
def test_pages_are_all_keys_in_the_order_of_their_bytes(keys: set[str], prefix: str, limit: int) -> None:
    async def listed(path: Path) -> list[str]:
        kv = KvService(path)
        try:
            for key in keys:
                await kv.put("n", key, b"")
            await kv.put("other", "a", b"")
            found: list[str] = []
            cursor = None
            while True:
                page = await kv.list("n", prefix=prefix, limit=limit, cursor=cursor)
                assert 0 < len(page.keys) <= limit or page.cursor is None
                found += [item["name"] for item in page.keys]
                if (cursor := page.cursor) is None:
                    return found
        finally:
            await kv.close()

    with tempfile.TemporaryDirectory() as folder:
        expected = sorted((key for key in keys if key.startswith(prefix)), key=str.encode)
        assert asyncio.run(listed(Path(folder) / "kv.db")) == expected


def test_what_was_answered_outlives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "kv.db"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    for _ in range(40):
        writer.stdout.readline()
    os.kill(writer.pid, signal.SIGKILL)
    answered = 39 + len(writer.communicate()[0].splitlines())

    async def check() -> None:
        kv = KvService(path)
        for number in range(answered + 1):
            entry = await kv.get("n", f"键{number}")
            assert entry is not None
            assert entry.value == str(number).encode() * 1000
        await kv.close()

    asyncio.run(check())
