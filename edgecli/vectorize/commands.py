"""`edgecli vectorize`: vector indexes, with wrangler's commands, flags and words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from edgecli import console
from edgecli.cli import EdgeTyper, common
from edgecli.errors import UsageError
from edgecli.vectorize.limits import index_not_found
from edgecli.vectorize.vector_option import VectorCommand, parse_vector

app = EdgeTyper(help="Create, inspect, query and delete vector indexes.")

INDEXES = "/client/v4/accounts/local/vectorize/v2/indexes"

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The index.")]


def _path(name: str, *rest: str) -> str:
    if "/" in name:  # servers decode a path before they take it apart
        raise index_not_found(name, [])
    return "/".join([INDEXES, quote(name, safe=""), *rest])


@app.command("create")
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
) -> None:
    """Create an index."""
    given = {"dimensions": dimensions, "metric": metric, "preset": preset}
    config = {key: value for key, value in given.items() if value is not None}
    client = common().client()
    if not common().json:
        console.note(f"🚧 Creating index: '{name}'")
    index = client.call("POST", INDEXES, json={"name": name, "description": description, "config": config})
    if common().json:
        console.print_json(index)
        return
    console.note(f"✅ Successfully created a new Vectorize index: '{name}'")
    _show_binding(name)


def _show_binding(name: str) -> None:
    project = common().project()
    path = project.config_path or Path("wrangler.toml")
    bound = [f"`{binding.binding}`" for binding in project.vectorize if binding.index_name == name]
    if bound:
        console.note(f"📋 `{path.name}` binds it as {', '.join(bound)} already.")
        return
    console.note(f"📋 To reach it from a Worker, add this binding to `{path.name}`:")
    binding = {"binding": "VECTORIZE", "index_name": name}
    if path.suffix == ".toml":
        console.out("[[vectorize]]")
        for key, value in binding.items():
            console.out(f'{key} = "{value}"')
    else:
        console.out(json.dumps({"vectorize": [binding]}, indent=2))


@app.command("list")
def list_indexes() -> None:
    """List the indexes of the project."""
    indexes = common().client().call("GET", INDEXES)
    if common().json:
        console.print_json(indexes)
    elif indexes:
        _show_indexes(indexes)
    else:
        console.warn("There is no Vectorize index yet; `edgecli vectorize create` creates one.")


@app.command("get")
def get(name: NameArgument) -> None:
    """Show one index."""
    index = common().client().call("GET", _path(name))
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


@app.command("info")
def info(name: NameArgument) -> None:
    """Show how many vectors an index holds and its last write."""
    found = common().client().call("GET", _path(name, "info"))
    if common().json:
        console.print_json(found)
        return
    columns = ["dimensions", "vectorCount", "processedUpToMutation", "processedUpToDatetime"]
    cells = ["" if found[column] is None else str(found[column]) for column in columns]
    console.table(columns, [cells], right=[0, 1])


@app.command("delete")
def delete(
    name: NameArgument, force: Annotated[bool, typer.Option("--force", "-y", help="Do not ask.")] = False
) -> None:
    """Delete an index and all vectors in it."""
    if not force and not console.is_terminal():
        raise UsageError(
            f"Deleting the index `{name}` wants a confirmation, and there is no terminal to ask on.",
            hint="Add --force.",
            code="needs_confirmation",
        )
    if not force and not console.confirm(f"OK to delete the index '{name}'?"):
        console.note("Nothing was deleted.")
        raise typer.Exit(1)
    if not common().json:
        console.note(f"Deleting Vectorize index {name}")
    result = common().client().call("DELETE", _path(name))
    if common().json:
        console.print_json(result)
    else:
        console.note(f"✅ Deleted index {name}")


@app.command("query", cls=VectorCommand)
def query(
    name: NameArgument,
    vector: Annotated[
        str | None,
        typer.Option("--vector", metavar="NUMBERS", help="The numbers, `0.1 0.2 0.3` or `[0.1, 0.2, 0.3]`."),
    ] = None,
    vector_id: Annotated[str | None, typer.Option("--vector-id", help="The id of a stored vector.")] = None,
    top_k: Annotated[int, typer.Option("--top-k", help="How many matches.")] = 5,
    return_values: Annotated[bool, typer.Option("--return-values", help="Show the matches' values.")] = False,
    return_metadata: Annotated[
        str, typer.Option("--return-metadata", help="all, indexed (strings cut to 64 bytes) or none.")
    ] = "none",
    namespace: Annotated[str | None, typer.Option("--namespace", help="Search in this namespace only.")] = None,
    filter_json: Annotated[
        str | None, typer.Option("--filter", help='Metadata filter, as JSON: \'{"year": {"$gte": 2020}}\'.')
    ] = None,
) -> None:
    """Find the vectors nearest to one that is given or stored."""
    if (vector is None) == (vector_id is None):
        raise UsageError("A query takes either --vector or --vector-id.", hint="Give exactly one of them.")
    body = {
        "vector": None if vector is None else parse_vector(vector),
        "vectorId": vector_id,
        "topK": top_k,
        "returnValues": return_values,
        "returnMetadata": return_metadata,
        "namespace": namespace,
        "filter": _parse_filter(filter_json),
    }
    if not common().json:
        console.note("📋 Searching for relevant vectors...")
    asked = {key: value for key, value in body.items() if value is not None}
    result = common().client().call("POST", _path(name, "query"), json=asked)
    if result["count"] == 0 and not common().json:
        console.warn("No vector matches the query.")
    else:
        console.print_json(result)


def _parse_filter(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError(
            f"The filter is no JSON: {error}.",
            hint="""Quote it for the shell, as in --filter '{"year": {"$gte": 2020}}'.""",
            code="invalid_filter",
        ) from error
