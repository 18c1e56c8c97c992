"""Is there room on the disk?"""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from edgecli.errors import LimitError

RESERVE = 64 << 20
"""Bytes that a pull leaves free on the disk."""


def check_space(needed: int, folder: Path) -> None:
    """Raise LimitError, code `no_space`, if the disk of `folder` cannot take `needed` more bytes."""
    free = shutil.disk_usage(_existing(folder)).free
    if needed + RESERVE > free:
        raise no_space(folder, needed=needed, free=free)


def is_no_space(error: OSError) -> bool:
    """Tell whether an error of the operating system says that the disk or the user's share of it is full."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT}


def no_space(folder: Path, *, needed: int | None = None, free: int | None = None) -> LimitError:
    """Return the error that names what is needed, what is free, and where."""
    if needed is None or free is None:
        free = shutil.disk_usage(_existing(folder)).free
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


def megabytes(size: int) -> str:
    """Return a size as people read it, in decimal units."""
    if size >= 1_000_000_000:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.1f} MB"


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder
