"""What the commands share: their paths of the API, their arguments, and the note on its first version."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from edgecli import console
from edgecli.cli import common
from edgecli.vectorize.limits import index_not_found

INDEXES = "/client/v4/accounts/local/vectorize/v2/indexes"
CARE = "/edge/vectorize"

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The index.", show_default=False)]
V1Option = Annotated[bool, typer.Option("--deprecated-v1", help="wrangler's option; it changes nothing here.")]


def path(name: str, *rest: str, root: str = INDEXES) -> str:
    """Return the path of an index, or of what `rest` names of it."""
    if "/" in name:  # servers decode a path before they take it apart
        raise index_not_found(name, [])
    return "/".join([root, quote(name, safe=""), *rest])


def care_path(name: str, what: str) -> str:
    """Return the path of a call that only edgecli has."""
    return path(name, what, root=f"{CARE}/indexes")


def call(method: str, target: str, **options: Any) -> Any:
    """Make one call of the API and return its result."""
    return common().client().call(method, target, **options)


def say(text: str) -> None:
    """Print one of wrangler's lines, unless the caller wants JSON only."""
    if not common().json:
        console.note(text)


def note_v1(given: bool) -> None:
    """Tell who asks for the first version of the API that commands use the second."""
    if given:
        console.note(
            "`--deprecated-v1` changes nothing: an index is the same by both versions of the API, and this uses v2."
        )
