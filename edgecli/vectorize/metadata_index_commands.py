"""`edgecli vectorize create-metadata-index`, `list-metadata-index`, `delete-metadata-index`."""

from __future__ import annotations

from typing import Annotated

import typer

from edgecli import console
from edgecli.cli import common
from edgecli.errors import UsageError
from edgecli.vectorize.calls import NameArgument, call, path, say

TYPES = ("string", "number", "boolean")

PropertyOption = Annotated[
    str, typer.Option("--property-name", metavar="PROPERTY", help="The property; `a.b` is `b` in `a`.")
]


def create_metadata_index(
    name: NameArgument,
    property_name: PropertyOption,
    type_: Annotated[str, typer.Option("--type", metavar="TYPE", help="string, number or boolean.")],
) -> None:
    """Declare a metadata property that filters may ask for, of the vectors written from now on."""
    if type_ not in TYPES:
        raise UsageError(f"`{type_}` is no type of a metadata index.", hint=f"Choose {', '.join(TYPES)}.")
    say("📋 Creating metadata index...")
    body = {"propertyName": property_name, "indexType": type_}
    result = call("POST", path(name, "metadata_index", "create"), json=body)
    if common().json:
        console.print_json(result)
    _say_enqueued("creation", result)


def list_metadata_index(name: NameArgument) -> None:
    """List the metadata properties that filters may ask for."""
    say("📋 Fetching metadata indexes...")
    found = call("GET", path(name, "metadata_index", "list"))["metadataIndexes"]
    if common().json:
        console.print_json(found)
    elif found:
        console.table(["propertyName", "type"], [[each["propertyName"], each["indexType"]] for each in found])
    else:
        console.warn(
            f"`{name}` has no metadata index; "
            f"`edgecli vectorize create-metadata-index {name} --property-name P --type string` creates one."
        )


def delete_metadata_index(name: NameArgument, property_name: PropertyOption) -> None:
    """Take back the declaration of a metadata property."""
    say("📋 Deleting metadata index...")
    result = call("POST", path(name, "metadata_index", "delete"), json={"propertyName": property_name})
    if common().json:
        console.print_json(result)
    _say_enqueued("deletion", result)


def _say_enqueued(what: str, result: dict[str, str]) -> None:
    say(
        f"✅ Successfully enqueued metadata index {what} request. "
        f"Mutation changeset identifier: {result['mutationId']}."
    )
