"""Read a Chroma directory in a process of its own: over damaged files Chroma may crash, and not only raise."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import orjson

from edgecli.errors import EdgeError
from edgecli.vectorize.checksums import checksums
from edgecli.vectorize.chroma import Chroma
from edgecli.vectorize.places import Directory
from edgecli.vectorize.records import IndexRecord


class UnreadableError(Exception):
    """Chroma cannot read what it holds."""


class Reading(NamedTuple):
    """Some of an index's rows in Chroma; none is one that begins."""

    record: IndexRecord
    ids: list[str]
    checksums: list[int]


def readings(chroma: Chroma, uids: Sequence[str] | None = None) -> Iterator[Reading]:
    """Yield the rows of all indexes, or of these: index after index, each begun by a reading without rows."""
    for record in chroma.records():
        if uids is None or record.uid in uids:
            yield Reading(record, [], [])
            for batch in chroma.read_all(record.uid):
                yield Reading(record, batch.ids, checksums(batch))


@contextmanager
def read_apart(directory: Path, uids: Sequence[str] | None = None) -> Generator[Iterator[Reading]]:
    """Give `readings` of a directory that this process has not opened.

    Reading on raises UnreadableError where Chroma fails.
    """
    command = [sys.executable, "-m", "edgecli.vectorize.chroma_reader", str(directory)]
    with subprocess.Popen(
        command if uids is None else [*command, *uids],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as reader:
        try:
            yield _parse(reader)
        finally:
            reader.kill()


def _parse(reader: subprocess.Popen[bytes]) -> Iterator[Reading]:
    assert reader.stdout is not None
    for line in reader.stdout:
        said = orjson.loads(line)
        if "error" in said:
            raise UnreadableError(said["error"])
        yield Reading(IndexRecord.from_json(said["record"]), said["ids"], said["checksums"])
    if reader.wait() != 0:
        raise UnreadableError(f"reading them ended Chroma's process ({reader.returncode})")


def main(directory: str, *uids: str) -> None:
    """Write the readings to stdout, a line of JSON each."""

    def say(what: object) -> None:
        sys.stdout.buffer.write(orjson.dumps(what) + b"\n")

    try:
        chroma = Chroma(Directory(Path(directory)))
        for record, ids, sums in readings(chroma, uids or None):
            say({"record": record.to_json(), "ids": ids, "checksums": sums})
        chroma.close()
    except EdgeError as error:
        say({"error": error.message})


if __name__ == "__main__":
    main(*sys.argv[1:])
