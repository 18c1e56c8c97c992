"""`edgecli tail`: what the Workers of the running server do and say, as it happens."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgecli import console
from edgecli.cli import common
from edgecli.errors import UsageError
from edgecli.workers.deployed_commands import no_server

if TYPE_CHECKING:
    from edgecli.client import Client


def tail(
    worker: Annotated[str | None, typer.Argument(help="One Worker only.", show_default=False)] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="pretty or json; pretty on a terminal, else json.", metavar="FORM")
    ] = None,
    status: Annotated[list[str] | None, typer.Option("--status", help="ok, error, canceled.")] = None,
    method: Annotated[list[str] | None, typer.Option("--method", help="GET, POST, …")] = None,
    header: Annotated[str | None, typer.Option("--header", help="A header of the request: NAME, or NAME:TEXT.")] = None,
    search: Annotated[str | None, typer.Option("--search", help="A text in its console lines.")] = None,
    sampling_rate: Annotated[
        float, typer.Option("--sampling-rate", help="The share of the events to show, up to 1.")
    ] = 1.0,
) -> None:
    """Show the requests and the console lines of a Worker as they come.

    As JSON, each event is one line. Ctrl-C ends it.
    """
    form = form or ("pretty" if sys.stdout.isatty() and not common().json else "json")
    if form not in ("pretty", "json"):
        raise UsageError(f"There is no format `{form}`.", hint="Choose `pretty` or `json`.")
    client = common().client()
    if not client.warm:
        raise no_server()
    asked = {"worker": worker, "header": header, "search": search, "sampling": sampling_rate}
    asked |= {"status": status or None, "method": method or None}
    _follow(client, asked, form, worker or "the Workers of this project")


def _follow(client: Client, asked: dict[str, Any], form: str, whom: str) -> None:
    from edgecli.outline import wants_colour
    from edgecli.workers.display import Painter, pretty

    paint = Painter(colour=wants_colour(sys.stdout))
    lines = client.lines("GET", "/edge/workers/tail", params=asked)
    next(lines)  # an empty one: from now on it listens
    console.note(f"Connected to {whom}, waiting for logs...")
    for line in lines:
        event = json.loads(line)
        if form == "json":
            console.print_ndjson(event)
        else:
            console.write("\n".join(pretty(event, paint)) + "\n")
