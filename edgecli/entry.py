"""Where the process starts. `--version` and the root's `--help` are answered here, before anything is imported.

A command line is judged by its first second, and scripts ask for the version often; so these two cost a bare
interpreter and this file.
"""

from __future__ import annotations

import os
import sys

from edgecli import __version__, stdio
from edgecli.outline import root_help, wants_colour

INTERRUPTED = 130


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        code = _run(sys.argv[1:])
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    if not stdio.fill_closed():
        from edgecli.cli import report

        return report(stdio.closed_error(), arguments)
    if arguments == ["--version"]:
        return _print(f"{__version__}\n", arguments)
    if arguments in ([], ["--help"], ["-h"]):
        return _print(root_help(colour=wants_colour()), arguments)
    import gc

    # Imports make many objects and no garbage: looking for some after each 2,000 costs a warm command 10 ms.
    gc.set_threshold(50_000)
    import signal

    # Nothing has been started yet; an exception in the middle of an import may be lost, or leave a trace.
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(INTERRUPTED))
    from edgecli.app import app
    from edgecli.cli import run

    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, before)
    return run(app)


def _print(text: str, arguments: list[str]) -> int:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        stdio.give_up_stdout()
        return stdio.READER_GONE
    except OSError as error:
        from edgecli.cli import report

        return report(stdio.output_error(error), arguments)
    return 0
