"""`edgecli serve`: the API over HTTP, with warm models, and the project's Worker at `/`."""

from __future__ import annotations

from typing import Annotated

import typer

from edgecli.cli import common


def serve(
    port: Annotated[
        int | None, typer.Option("--port", "-p", min=0, max=65535, help="Port; 0 takes any free one. Default: 8787.")
    ] = None,
    host: Annotated[
        str | None, typer.Option("--host", "--ip", help="Address; any other than this machine's own wants a token.")
    ] = None,
    token: Annotated[
        str | None, typer.Option("--token", envvar="EDGECLI_SERVER_TOKEN", help="Token that every call must bring.")
    ] = None,
    warm: Annotated[bool, typer.Option("--warm/--no-warm", help="Load the project's models at once.")] = True,
) -> None:
    """Serve the API and the project's Worker on this machine; commands then answer in milliseconds.

    Ctrl-C ends it.
    """
    from edgecli.server.process import Plain, run_server

    shared = common()
    companion = Plain(warm=warm, json=shared.json)
    code = run_server(
        shared.project(), host=host, port=port, token=token, verbose=shared.verbose > 0, companion=companion
    )
    raise typer.Exit(code)
