"""Is there room on the disk?"""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

from edgecli.errors import LimitError

RESERVE = 64 << 20
"""Bytes that a pull leaves free on the disk."""
FULL = 256 << 10
"""Bytes; a disk with fewer is taken to be the reason of a write that failed."""


def check_space(needed: int, folder: Path) -> None:
    """Raise LimitError, code `no_space`, if the disk of `folder` cannot take `needed` more bytes."""
    free = free_bytes(folder)
    if needed + RESERVE > free:
        raise no_space(folder, needed=needed, free=free)


def free_bytes(folder: Path) -> int:
    """Return how much the disk of `folder`, which need not be there yet, can take."""
    import shutil  # half of the compression libraries come with it, and warm commands import this file

    return shutil.disk_usage(_existing(folder)).free


def is_no_space(error: OSError) -> bool:
    """Tell whether an error of the operating system says that the disk or the user's share of it is full."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT}


def no_space(folder: Path, *, needed: int | None = None, free: int | None = None) -> LimitError:
    """Return the error that names what is needed, what is free, and where."""
    if needed is None or free is None:
        free = free_bytes(folder)
        numbers = f"{megabytes(free)} are free"
    else:
        numbers = f"{megabytes(needed)} and {megabytes(RESERVE)} of reserve are needed, {megabytes(free)} are free"
    return LimitError(
        f"No space for the model's files: {numbers} on the disk of `{folder}`.",
        hint="Free some (`edgecli models remove` deletes models), or set EDGECLI_HOME to a larger disk.",
        code="no_space",
        status=507,
        details={"needed": needed, "free": free, "path": str(folder)},
    )


def full_disk(error: BaseException, folder: Path) -> LimitError | None:
    """Return the error for a write below `folder` that failed because the disk is full; None if it is not."""
    free = free_bytes(folder)
    if not _says_full(error) and not (_failed_write(error) and free < FULL):
        return None
    return LimitError(
        f"No space left on the disk of `{folder}`: {free:,} bytes are free.",
        hint="Free some, then run the command again: what is there stays, and it goes on with the rest.",
        code="no_space",
        status=507,
        details={"free": free, "path": str(folder)},
    )


def _says_full(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return is_no_space(error)
    if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorname", "") == "SQLITE_FULL":
        return True
    return "disk is full" in str(error) or "No space left on device" in str(error)


def _failed_write(error: BaseException) -> bool:
    """Tell whether a write may have failed for lack of space, though the error does not say so."""
    if isinstance(error, OSError):
        return False
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorname", "").startswith("SQLITE_IOERR")
    return not any(word in str(error).lower() for word in ("readonly", "read-only", "permission"))


def megabytes(size: int) -> str:
    """Return a size as people read it, in decimal units."""
    if size >= 1_000_000_000:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.1f} MB"


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder
