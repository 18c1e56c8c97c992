"""`edgecli vectorize create`, `list`, `get`, `info`, `delete`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from edgecli import console
from edgecli.cli import common
from edgecli.errors import UsageError
from edgecli.vectorize.calls import INDEXES, NameArgument, V1Option, call, note_v1, path, say

_BINDING = "VECTORIZE"
_IDENTIFIER = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")


def create(
    name: NameArgument,
    dimensions: Annotated[
        int | None,
        typer.Option("--dimensions", help="How many numbers a vector has: that of the embedding model."),
    ] = None,
    metric: Annotated[str | None, typer.Option("--metric", help="cosine, euclidean or dot-product.")] = None,
    preset: Annotated[
        str | None, typer.Option("--preset", help="An embedding model that stands for dimensions and metric.")
    ] = None,
    description: Annotated[str, typer.Option("--description", help="What the index is for.")] = "",
    update_config: Annotated[
        bool | None,
        typer.Option("--update-config/--no-update-config", help="Write the binding into the configuration."),
    ] = None,
    binding: Annotated[
        str | None, typer.Option("--binding", help="The binding's name in the Worker; implies --update-config.")
    ] = None,
    use_remote: Annotated[
        bool, typer.Option("--use-remote/--no-use-remote", help="Bind it with `remote = true`, for `wrangler dev`.")
    ] = False,
    deprecated_v1: V1Option = False,
) -> None:
    """Create an index."""
    note_v1(deprecated_v1)
    write = update_config if update_config is not None else binding is not None
    bound = _binding(name, binding, use_remote)
    given = {"dimensions": dimensions, "metric": metric, "preset": preset}
    config = {key: value for key, value in given.items() if value is not None}
    client = common().client()
    say(f"🚧 Creating index: '{name}'")
    index = client.call("POST", INDEXES, json={"name": name, "description": description, "config": config})
    if common().json:
        console.print_json(index)
    else:
        console.note(f"✅ Successfully created a new Vectorize index: '{name}'")
    _bind(name, bound, write=write)


def _binding(name: str, binding: str | None, use_remote: bool) -> dict[str, Any]:
    """Return the binding of a new index, under a name that is free. Raises UsageError if the one given is not."""
    from edgecli.config.names import names_taken

    taken = names_taken(common().project().raw)
    if binding is not None and (binding in taken or not _IDENTIFIER.fullmatch(binding)):
        raise UsageError(
            f"`{binding}` is taken by another binding or variable."
            if binding in taken
            else f"`{binding}` is no name for a binding.",
            hint="Choose another one, in letters, digits and `_`, like --binding DOCS_INDEX.",
            code="invalid_binding",
        )
    free = _BINDING if _BINDING not in taken else re.sub(r"\W", "_", name, flags=re.ASCII).upper()
    remote = {"remote": True} if use_remote else {}
    return {"binding": binding or free, "index_name": name} | remote


def _bind(name: str, binding: dict[str, Any], *, write: bool) -> None:
    from edgecli.config.edit import add_binding, snippet

    project = common().project()
    file = project.config_path or Path("wrangler.toml")
    bound = [f"`{each.binding}`" for each in project.vectorize if each.index_name == name]
    if bound:
        say(f"📋 `{file.name}` binds it as {', '.join(bound)} already.")
    elif write:
        add_binding(file, "vectorize", binding, project.env)
        say(f"📋 `{file.name}` binds it as `{binding['binding']}` now.")
    elif not common().json:
        console.note(f"📋 To reach it from a Worker, add this binding to `{file.name}` (--update-config does it):")
        console.out(snippet(file, "vectorize", binding, project.env))


def list_indexes(deprecated_v1: V1Option = False) -> None:
    """List the indexes of the project."""
    note_v1(deprecated_v1)
    indexes = call("GET", INDEXES)
    if common().json:
        console.print_json(indexes)
    elif indexes:
        _show_indexes(indexes)
    else:
        console.warn("There is no Vectorize index yet; `edgecli vectorize create` creates one.")


def get(name: NameArgument, deprecated_v1: V1Option = False) -> None:
    """Show one index."""
    note_v1(deprecated_v1)
    index = call("GET", path(name))
    if common().json:
        console.print_json(index)
    else:
        _show_indexes([index])


def _show_indexes(indexes: list[dict[str, Any]]) -> None:
    console.table(
        ["name", "dimensions", "metric", "description", "created", "modified"],
        [
            [
                index["name"],
                str(index["config"]["dimensions"]),
                index["config"]["metric"],
                index["description"],
                index["created_on"],
                index["modified_on"],
            ]
            for index in indexes
        ],
        right=[1],
    )


def info(name: NameArgument) -> None:
    """Show how many vectors an index holds and its last write."""
    found = call("GET", path(name, "info"))
    if common().json:
        console.print_json(found)
        return
    columns = ["dimensions", "vectorCount", "processedUpToMutation", "processedUpToDatetime"]
    cells = ["" if found[column] is None else str(found[column]) for column in columns]
    console.table(columns, [cells], right=[0, 1])


def delete(
    name: NameArgument,
    force: Annotated[bool, typer.Option("--force", "-y", help="Do not ask.")] = False,
    deprecated_v1: V1Option = False,
) -> None:
    """Delete an index and all vectors in it."""
    note_v1(deprecated_v1)
    if not force and not console.is_terminal():
        raise UsageError(
            f"Deleting the index `{name}` wants a confirmation, and there is no terminal to ask on.",
            hint="Add --force.",
            code="needs_confirmation",
        )
    if not force and not console.confirm(f"OK to delete the index '{name}'?"):
        console.note("Nothing was deleted.")
        raise typer.Exit(1)
    say(f"Deleting Vectorize index {name}")
    result = call("DELETE", path(name))
    if common().json:
        console.print_json(result)
    else:
        console.note(f"✅ Deleted index {name}")
