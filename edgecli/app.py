"""The root of the command line. Each entry is imported when it is called."""

from __future__ import annotations

import sys
from typing import Any

import typer

from edgecli import __version__
from edgecli.cli import EdgeGroup, EdgeTyper, Late
from edgecli.outline import COMMANDS, TITLE, root_help, wants_colour


class RootGroup(EdgeGroup):
    late = {name: Late(target, text) for name, (target, text) in COMMANDS.items()}  # noqa: RUF012 - a constant

    def format_help(self, ctx: Any, formatter: Any) -> None:
        del ctx
        formatter.write(root_help(colour=wants_colour()))


app = EdgeTyper(cls=RootGroup, help=TITLE)


def _print_version(value: bool) -> None:
    if value:
        sys.stdout.write(f"{__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    del version
