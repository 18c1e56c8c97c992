"""Where the process starts. `--version` and the root's `--help` are answered here, before anything is imported.

A command line is judged by its first second, and scripts ask for the version often; so these two cost a bare
interpreter and this file.
"""

from __future__ import annotations

import sys

from edgecli import __version__
from edgecli.outline import root_help, wants_colour


def main() -> None:
    """Run the command line and end the process with its exit code."""
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        sys.stdout.write(f"{__version__}\n")
    elif arguments in ([], ["--help"], ["-h"]):
        sys.stdout.write(root_help(colour=wants_colour()))
    else:
        import gc

        # Imports make many objects and no garbage: looking for some after each 2,000 costs a warm command 10 ms.
        gc.set_threshold(50_000)
        from edgecli.app import app
        from edgecli.cli import run

        sys.exit(run(app))
