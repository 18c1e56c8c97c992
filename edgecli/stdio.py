"""The streams that a shell gives a process: closed, full, or with nobody at the other end."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgecli.errors import EdgeError

READER_GONE = 128 + 13
"""Exit code of a command whose reader has left: that of SIGPIPE."""


def fill_closed() -> bool:
    """Open the null device in place of each stream that was closed (`>&-`); tell whether stdout was open.

    Python has None for a closed stream, and the next file that is opened, a database perhaps, would get its number.
    """
    was_open = sys.stdout is not None  # pyright: ignore[reportUnnecessaryComparison] - Python's types deny it
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - pathlib costs 10 ms
    return was_open


def give_up_stdout() -> None:
    """Let what is still to be written to stdout go nowhere, so that the end of the process does not try again."""
    try:
        number = sys.__stdout__.fileno() if sys.__stdout__ else 1
    except (OSError, ValueError):
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, number)
    os.close(null)


def failure_of_stdout() -> OSError | None:
    """Return why stdout cannot be written, None if it can: what could not be written waits, and is tried again."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return error
    return None


def output_error(error: OSError) -> EdgeError:
    """Give up stdout and return the error that says why the result could not be written."""
    from edgecli.errors import EdgeError

    give_up_stdout()
    return EdgeError(
        f"The output could not be written: {error.strerror or error}.",
        hint="Look at where stdout goes: a full disk, or a device that takes nothing.",
        code="output_failed",
    )


def closed_error() -> EdgeError:
    """Return the error for a stdout that was closed before the command began."""
    from edgecli.errors import EdgeError

    return EdgeError(
        "The output could not be written: stdout is closed.",
        hint="Send what you do not want to see to /dev/null: `edgecli … >/dev/null`.",
        code="output_failed",
    )
