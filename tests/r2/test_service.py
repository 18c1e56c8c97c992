"""What R2 keeps: any range of any object, and through a death at any instant."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecli.errors import StateError
from edgecli.r2 import files
from edgecli.r2.errors import R2Error
from edgecli.r2.schema import AskedRange, Attributes
from edgecli.r2.service import R2Service
from edgecli.r2.uploads import Part

BODY = bytes(range(251)) * 2

WRITER = """
import asyncio, sys
from pathlib import Path
from edgecli.r2.service import R2Service

async def source(number):
    for _ in range(30):
        yield str(number).encode() * 1000

async def main():
    bucket = R2Service(Path(sys.argv[1])).open_bucket("b")
    number = 0
    while True:
        await bucket.put("same", source(number))
        await bucket.put(f"键{number}", source(number))
        print(number, flush=True)
        number += 1

asyncio.run(main())
"""


async def source(pieces: Iterable[bytes]) -> AsyncGenerator[bytes]:
    for piece in pieces:
        yield piece


def expected(body: bytes, offset: int | None, length: int | None, suffix: int | None) -> bytes | None:
    """Return the range by Python's own slices; None where there is none."""
    if suffix is not None:
        return body[-suffix:] if suffix else None
    start = offset or 0
    part = body[start:] if length is None else body[start : start + length]
    return part or None


SIZES = st.none() | st.integers(0, len(BODY) + 5)


@given(st.integers(1, len(BODY)), SIZES, SIZES, SIZES, st.booleans())
def test_any_range_is_what_a_slice_would_be(
    size: int, offset: int | None, length: int | None, suffix: int | None, parts: bool
) -> None:
    body = BODY[:size]

    async def read(folder: Path) -> bytes | None:
        service = R2Service(folder)
        bucket = service.open_bucket("b")
        try:
            if parts:
                upload = await bucket.uploads.create("键", Attributes())
                cut = -(-size // 3)
                pieces = [body[start : start + cut] for start in range(0, size, cut)]
                etags = [
                    Part(number, await bucket.uploads.put_part("键", upload, number, source([piece])))
                    for number, piece in enumerate(pieces, 1)
                ]
                await bucket.uploads.complete("键", upload, etags)
            else:
                await bucket.put("键", source([body[:7], body[7:]]))
            got = await bucket.get("键", asked=AskedRange(offset, length, suffix))
            return await got.whole()
        except R2Error as error:
            assert error.status == 416
            return None
        finally:
            await service.close()

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "BLOCK", 16)
        patch.setattr("edgecli.r2.uploads.MIN_PART", 1)
        patch.setattr("os.fsync", id)  # a hundred examples in seconds
        assert asyncio.run(read(Path(folder))) == expected(body, offset, length, suffix)


def test_what_was_answered_outlives_a_kill_and_what_was_not_leaves_nothing(tmp_path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    for _ in range(20):
        writer.stdout.readline()
    os.kill(writer.pid, signal.SIGKILL)
    answered = 19 + len(writer.communicate()[0].splitlines())
    (tmp_path / "objects" / "orphan").write_bytes(b"nobody's")

    async def check() -> None:
        service = R2Service(tmp_path)
        bucket = service.open_bucket("b")
        for number in range(answered + 1):
            assert await (await bucket.get(f"键{number}")).whole() == str(number).encode() * 30_000
        same = await (await bucket.get("same")).whole()
        assert same in {str(number).encode() * 30_000 for number in (answered, answered + 1)}
        listing = await bucket.list()
        assert len(list((tmp_path / "objects").iterdir())) == len(listing.objects)
        await service.close()

    asyncio.run(check())


def test_a_reader_keeps_what_it_reads_until_it_leaves(tmp_path: Path) -> None:
    async def check() -> None:
        service = R2Service(tmp_path)
        bucket = service.open_bucket("b")
        await bucket.put("a", source([b"before"]))
        first, second = await bucket.get("a"), await bucket.get("a")
        await bucket.put("a", source([b"after"]))
        await bucket.delete(["a"])
        assert len(list((tmp_path / "objects").iterdir())) == 1
        assert await first.whole() == b"before"
        await second.chunks.aclose()
        assert list((tmp_path / "objects").iterdir()) == []
        await service.close()

    asyncio.run(check())


def test_an_upload_that_breaks_off_changes_nothing(tmp_path: Path) -> None:
    async def broken() -> AsyncGenerator[bytes]:
        yield b"some"
        raise ConnectionResetError

    async def check() -> None:
        service = R2Service(tmp_path)
        bucket = service.open_bucket("b")
        await bucket.put("a", source([b"whole"]))
        with pytest.raises(StateError):
            await bucket.put("a", broken())
        assert await (await bucket.get("a")).whole() == b"whole"
        assert len(list((tmp_path / "objects").iterdir())) == 1
        await service.close()

    asyncio.run(check())


def test_a_disk_that_takes_only_a_part_is_an_error_and_no_shorter_object(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, before[1]))
    try:
        with pytest.raises(StateError):
            asyncio.run(files.Files(tmp_path).write(source([BODY])))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_deleted_from_outside_is_named(tmp_path: Path) -> None:
    async def check() -> None:
        service = R2Service(tmp_path)
        bucket = service.open_bucket("b")
        await bucket.put("a", source([b"whole"]))
        for path in (tmp_path / "objects").iterdir():
            path.unlink()
        with pytest.raises(StateError, match="The file of `a` in R2 is gone"):
            await bucket.get("a")
        await service.close()

    asyncio.run(check())
