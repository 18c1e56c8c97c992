"""Make Chroma's directory again from the mirror. Whenever it is cut off, one whole directory is found."""

from __future__ import annotations

import shutil
from pathlib import Path

from edgecli.vectorize.chroma import Chroma
from edgecli.vectorize.mirror import Mirror
from edgecli.vectorize.places import Directory


def rebuild(mirror: Mirror, directory: Path) -> None:
    """Replace the directory, which nobody has open, by one that holds what the mirror holds."""
    fresh, old = _fresh(directory), _old(directory)
    shutil.rmtree(fresh, ignore_errors=True)
    chroma = Chroma(Directory(fresh))
    try:
        for record in mirror.records():
            chroma.create(record)
            for part in mirror.parts(record.uid):
                chroma.upsert(record.uid, part.batch)
    finally:
        chroma.close()
    shutil.rmtree(old, ignore_errors=True)
    if directory.exists():
        directory.rename(old)
    else:
        old.mkdir()
    finish(directory)


def finish(directory: Path) -> None:
    """Put the fresh directory in place if that is all that was left to do."""
    # The damaged one is moved away only when the fresh one is complete.
    if _old(directory).exists():
        if not directory.exists():
            _fresh(directory).rename(directory)
        shutil.rmtree(_old(directory))


def _fresh(directory: Path) -> Path:
    return directory.with_name("chroma-fresh")


def _old(directory: Path) -> Path:
    return directory.with_name("chroma-damaged")
