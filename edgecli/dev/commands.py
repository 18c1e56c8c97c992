"""`edgecli dev`: write a Worker and see what it does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecli.cli import common
from edgecli.errors import UsageError


def dev(
    script: Annotated[str | None, typer.Argument(help="Main module, in place of `main`.", show_default=False)] = None,
    port: Annotated[
        int | None, typer.Option("--port", "-p", min=0, max=65535, help="Port; 0 takes any free one. Default: 8787.")
    ] = None,
    ip: Annotated[
        str | None, typer.Option("--ip", "--host", help="Address; any other than this machine's own wants a token.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option("--token", envvar="EDGECLI_SERVER_TOKEN", help="Token for the platform's API on such an address."),
    ] = None,
    var: Annotated[
        list[str] | None, typer.Option("--var", metavar="KEY:VALUE", help="A variable of the Worker.")
    ] = None,
    reload: Annotated[bool, typer.Option("--reload/--no-reload", help="Load the Worker again when it changes.")] = True,
    log_level: Annotated[
        str, typer.Option("--log-level", help="debug, info, log, warn, error or none: what to show of its console.")
    ] = "debug",
    persist_to: Annotated[
        Path | None, typer.Option("--persist-to", metavar="DIR", help="Keep indexes and stores there, for this run.")
    ] = None,
    warm: Annotated[bool, typer.Option("--warm/--no-warm", help="Load the project's models at once.")] = True,
    test_scheduled: Annotated[
        bool, typer.Option("--test-scheduled", help="Run the scheduled handler at /__scheduled?cron=…")
    ] = False,
) -> None:
    """Run the project's Worker with its bindings, and load it again whenever it is saved.

    A save that is broken leaves the Worker as it was. On a terminal, keys restart it, open a browser, and so on.
    """
    from edgecli.dev.session import Session
    from edgecli.dev.source import Source
    from edgecli.server.process import run_server
    from edgecli.workers.display import LEVELS

    if log_level not in LEVELS:
        raise UsageError(f"There is no log level `{log_level}`.", hint=f"Choose from {', '.join(LEVELS)}.")
    shared = common()
    source = Source(
        shared.project(), variables=var or [], main=script, state=persist_to, config=shared.config, cwd=shared.cwd
    )
    session = Session(
        source, reload=reload, level=log_level, warm=warm, json=shared.json, test_scheduled=test_scheduled
    )
    code = run_server(source.project, host=ip, port=port, token=token, verbose=shared.verbose > 0, companion=session)
    raise typer.Exit(code)
