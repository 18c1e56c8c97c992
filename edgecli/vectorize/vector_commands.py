"""`edgecli vectorize insert`, `upsert`, `query`, `get-vectors`, `delete-vectors`, `list-vectors`."""

from __future__ import annotations

import json
import shlex
from typing import Annotated, Any

import typer

from edgecli import console
from edgecli.cli import common
from edgecli.errors import UsageError
from edgecli.vectorize.calls import NameArgument, V1Option, call, note_v1, path, say
from edgecli.vectorize.limits import MAX_BATCH
from edgecli.vectorize.upload import NOUNS, Verb, upload
from edgecli.vectorize.vector_file import VectorFile
from edgecli.vectorize.wrangler_options import parse_vector

FileOption = Annotated[
    str, typer.Option("--file", metavar="FILE", help="One vector a line, as JSON; `-` reads standard input.")
]
BatchOption = Annotated[
    int, typer.Option("--batch-size", metavar="ROWS", help=f"Vectors to send at once, at most {MAX_BATCH}.")
]
IdsOption = Annotated[list[str], typer.Option("--ids", metavar="IDS", help="The ids, like `--ids a b c`.")]


def insert(
    name: NameArgument, file: FileOption, batch_size: BatchOption = 1000, deprecated_v1: V1Option = False
) -> None:
    """Write the vectors of a file; those whose ids are stored are left as they are."""
    note_v1(deprecated_v1)
    _write(name, file, batch_size, "insert")


def upsert(name: NameArgument, file: FileOption, batch_size: BatchOption = MAX_BATCH) -> None:
    """Write the vectors of a file; those whose ids are stored are replaced."""
    _write(name, file, batch_size, "upsert")


def _write(name: str, file: str, batch_size: int, verb: Verb) -> None:
    if not 1 <= batch_size <= MAX_BATCH:
        raise UsageError(
            f"--batch-size is 1 to {MAX_BATCH}, not {batch_size}.",
            hint=f"Cloudflare takes up to {MAX_BATCH} vectors in one request. A file may hold any number of them.",
            code="invalid_batch_size",
        )
    with VectorFile.open(file, f"edgecli vectorize {verb} {shlex.quote(name)} --file -") as vectors:
        vectors.check_is_plain()
        count = upload(name, vectors, verb, batch_size)
    if common().json:
        console.print_json({"index": name, "count": count})
    say(f"✅ Successfully enqueued {count} vectors into index '{name}' for {NOUNS[verb]}.")


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
    say("📋 Searching for relevant vectors...")
    asked = {key: value for key, value in body.items() if value is not None}
    result = call("POST", path(name, "query"), json=asked)
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


def get_vectors(name: NameArgument, ids: IdsOption) -> None:
    """Show stored vectors with their values and metadata."""
    say("📋 Fetching vectors...")
    found = call("POST", path(name, "get_by_ids"), json={"ids": ids})
    missing = set(ids) - {vector["id"] for vector in found}
    if found or common().json:
        console.print_json(found)
    if missing:
        console.warn(f"`{name}` does not hold {_listed([each for each in dict.fromkeys(ids) if each in missing])}.")


def _listed(ids: list[str]) -> str:
    shown = ", ".join(f"`{each}`" for each in ids[:5])
    return shown if len(ids) <= 5 else f"{shown} and {len(ids) - 5} more"


def delete_vectors(name: NameArgument, ids: IdsOption) -> None:
    """Delete vectors; ids that are not stored are ignored."""
    say("📋 Deleting vectors...")
    result = call("POST", path(name, "delete_by_ids"), json={"ids": ids})
    if common().json:
        console.print_json(result)
    say(
        f"✅ Successfully enqueued {len(ids)} vectors into index '{name}' for deletion. "
        f"Mutation changeset identifier: {result['mutationId']}."
    )


def list_vectors(
    name: NameArgument,
    count: Annotated[int | None, typer.Option("--count", help="Ids of one page, 1 to 1000.")] = None,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Where the page before has ended.")] = None,
) -> None:
    """List the ids of the stored vectors, page by page."""
    say(f"📋 Listing vectors in index '{name}'...")
    page = call("GET", path(name, "list"), params={"count": count, "cursor": cursor})
    if common().json:
        console.print_json(page)
        return
    if not page["vectors"]:
        console.warn("No vectors found in this index.")
        return
    rows = [[str(number), vector["id"]] for number, vector in enumerate(page["vectors"], start=1)]
    console.table(["#", "Vector ID"], rows, right=[0])
    console.note(f"Showing {page['count']} of {page['totalCount']} total vectors")
    if page["isTruncated"] and page.get("nextCursor"):
        size = f" --count {count}" if count else ""
        console.note("💡 To get the next page, run:")
        console.note(f"   edgecli vectorize list-vectors {shlex.quote(name)}{size} --cursor {page['nextCursor']}")
