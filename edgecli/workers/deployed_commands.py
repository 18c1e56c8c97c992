"""`edgecli workers list | logs | delete | env`: the Workers of the running server."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated, Any
from urllib.parse import quote

import typer

from edgecli import console
from edgecli.cli import common
from edgecli.errors import StateError, UsageError
from edgecli.state import ServerInfo, StatePaths, read_server

SCRIPTS = "/client/v4/accounts/local/workers/scripts"
Name = Annotated[str, typer.Argument(help="The Worker's name.", show_default=False)]


def list_workers() -> None:
    """List the Workers of the running server: the project's own, and those that were deployed onto it."""
    server, workers = _server(), _client().call("GET", "/edge/workers")
    for each in workers:
        each["address"] = f"{server.public or server.address}{each['address']}"
    if common().json:
        console.print_json(workers)
    elif not workers:
        console.note('No Worker here. `eval "$(edgecli workers env)"; wrangler deploy` brings one.')
    else:
        rows = [[each["name"], each["state"], each["language"], each["address"]] for each in workers]
        console.table(["worker", "state", "language", "address"], rows)


def logs(
    name: Annotated[str | None, typer.Argument(help="One Worker only.", show_default=False)] = None,
) -> None:
    """Show the last requests and console lines of the running server's Workers.

    `edgecli tail` follows the next ones.
    """
    from edgecli.outline import wants_colour
    from edgecli.workers.display import Painter, pretty

    params = {"worker": name} if name else {}
    events: list[dict[str, Any]] = _client().call("GET", "/edge/workers/logs", params=params)
    if common().json:
        console.print_json(events)
    elif not events:
        console.note("Nothing was asked or said yet.")
    else:
        paint = Painter(colour=wants_colour(sys.stdout))
        for event in events:
            console.write("\n".join(pretty(event, paint)) + "\n")


def delete(name: Name, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False) -> None:
    """Stop a deployed Worker and delete its code and secrets. What its bindings hold stays."""
    client = _client()
    client.call("GET", f"{SCRIPTS}/{quote(name, safe='')}/settings")  # one that is not there needs no question
    if not yes and not console.is_terminal():
        raise UsageError(
            f"Deleting `{name}` wants a confirmation, and there is no terminal to ask on.",
            hint="Add --yes.",
            code="needs_confirmation",
        )
    if not yes and not console.confirm(f"Delete the Worker `{name}` with its secrets?"):
        raise typer.Exit(1)
    client.call("DELETE", f"{SCRIPTS}/{quote(name, safe='')}")
    if common().json:
        console.print_json({"deleted": name})
    else:
        console.success(f"Deleted the Worker `{name}`.")


def env() -> None:
    """Print the variables with which wrangler deploys onto this machine, for a shell to evaluate.

    eval "$(edgecli workers env)"
    """
    from edgecli.workers.account import ACCOUNT

    server = _server()
    variables = {
        "CLOUDFLARE_API_BASE_URL": f"{server.address}/client/v4",
        "CLOUDFLARE_API_TOKEN": server.token,
        "CLOUDFLARE_ACCOUNT_ID": ACCOUNT,
        # Without these wrangler asks the network for other things before it does what it was told.
        "WRANGLER_SEND_METRICS": "false",
        "WRANGLER_SEND_ERROR_REPORTS": "false",
        "WRANGLER_HIDE_BANNER": "true",
    }
    if common().json:
        console.print_json(variables)
    else:
        for name, value in variables.items():
            console.out(f"export {name}={shlex.quote(value)}")


def _server() -> ServerInfo:
    server = read_server(StatePaths(common().project().state_dir))
    if server is None:
        raise no_server()
    return server


def _client() -> Any:
    client = common().client()
    if not client.warm:
        raise no_server()
    return client


def no_server() -> StateError:
    """Return the error for a project without a server."""
    return StateError(
        "No server runs for this project.",
        hint="Start `edgecli dev`, or `edgecli serve`, in another terminal; `--cwd DIR` asks that of another project.",
        code="no_server",
    )
