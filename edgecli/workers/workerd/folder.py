"""The temporary folder of a workerd, and those that an edgecli which was killed has left: secrets may lie in them."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import shutil
import tempfile
import time
from pathlib import Path

PREFIX = "edgecli-worker-"
YOUNG = 60.0
"""Seconds in which a folder may be made and not locked yet."""


class Folder:
    """A folder that only this user can read, locked as long as edgecli lives and needs it."""

    def __init__(self) -> None:
        """Make one; the first time, remove what others have left. Raises OSError."""
        _sweep_once(tempfile.gettempdir())
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock = os.open(self.path, os.O_RDONLY)
        with contextlib.suppress(OSError):  # some file systems lock nothing; then nothing is swept there either
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def remove(self) -> None:
        """Remove it with all that it holds; a second time does nothing."""
        if self._lock >= 0:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock)
            self._lock = -1


@functools.cache
def _sweep_once(folder: str) -> None:
    sweep(Path(folder))


def sweep(folder: Path) -> None:
    """Remove this user's folders that nobody has locked, unless they are `YOUNG`."""
    for path in folder.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
            try:
                found = os.fstat(descriptor)
                if found.st_uid == os.getuid() and time.time() - found.st_mtime > YOUNG:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(descriptor)
