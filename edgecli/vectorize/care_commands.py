"""`edgecli vectorize verify`, `compact`, `export`, `import`, `migrate`: what Cloudflare does out of sight."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from edgecli import console
from edgecli.cli import common
from edgecli.errors import EdgeError, UsageError
from edgecli.space import full_disk
from edgecli.vectorize.calls import CARE, INDEXES, NameArgument, call, care_path, path, say
from edgecli.vectorize.limits import MAX_BATCH
from edgecli.vectorize.upload import upload
from edgecli.vectorize.vector_file import VectorFile

PLACES = ("server", "local")


def verify(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The index; all of them without one.", show_default=False)
    ] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Repair what can be.")] = False,
) -> None:
    """Check that indexes hold what was written; exit with 1 if problems remain."""
    found = call("POST", f"{CARE}/verify", json={"index": name, "repair": repair})
    if common().json:
        console.print_json(found)
    else:
        _show_verified(found)
    if not found["ok"]:
        again = f" {shlex.quote(name)}" if name else ""
        say(
            "Some problems could not be repaired."
            if repair
            else f"`edgecli vectorize verify{again} --repair` repairs what can be."
        )
        raise typer.Exit(1)


def _show_verified(found: dict[str, Any]) -> None:
    indexes = found["indexes"]
    if not indexes:
        console.note("There is no index to verify.")
        return
    rows = [[each["name"], f"{each['vectors']:,}", _state(each["problems"])] for each in indexes]
    console.table(["index", "vectors", "state"], rows, right=[1])
    for index in indexes:
        for problem in index["problems"]:
            line = f"`{index['name']}`: {problem['what']} ({problem['where']})"
            if problem["repaired"]:
                console.success(f"{line}, repaired")
            else:
                console.warn(f"{line}.")


def _state(problems: list[dict[str, Any]]) -> str:
    left = sum(not each["repaired"] for each in problems)
    if left:
        return console.counted(left, "problem")
    return "repaired" if problems else "ok"


def compact(name: NameArgument) -> None:
    """Write an index anew, so that the space of what was deleted is given back."""
    done = call("POST", care_path(name, "compact"), json={})
    if common().json:
        console.print_json(done)
        return
    before, after = (console.human_bytes(done[key]) for key in ("bytesBefore", "bytesAfter"))
    kept = console.counted(done["vectors"], "vector")
    console.success(f"`{name}`: {kept}. All indexes took {before} of the disk and take {after} now.")


def migrate(
    name: NameArgument,
    to: Annotated[str, typer.Option("--to", metavar="PLACE", help="server or local.", show_default=False)],
) -> None:
    """Move an index to the Chroma server of the configuration, or from there to this machine."""
    if to not in PLACES:
        raise UsageError(f"`{to}` is no place for an index.", hint="Give --to server or --to local.")
    done = call("POST", care_path(name, "migrate"), json={"to": to})
    if common().json:
        console.print_json(done)
    else:
        moved = console.counted(done["vectors"], "vector")
        console.success(f"`{name}`: {moved} moved from {done['from']} to {done['to']}.")


def export(
    name: NameArgument,
    file: Annotated[
        str, typer.Option("--file", metavar="FILE", help="Write there; `-` is standard output.", show_default=False)
    ] = "-",
) -> None:
    """Write an index and its vectors as lines of JSON, for `import`; nothing is lost on the way."""
    lines = common().client().lines("GET", care_path(name, "export"))
    if file == "-":
        for line in lines:
            console.write_json_line(line)
        return
    header = next(lines)  # the index exists: only now is a file made
    count = _write_file(Path(file), header, lines)
    if common().json:
        console.print_json({"index": name, "count": count, "file": file})
    else:
        console.success(f"`{name}`: {console.counted(count, 'vector')} in `{file}`.")


def _write_file(path: Path, header: bytes, lines: Iterator[bytes]) -> int:
    """Write the lines to a file that appears when it is whole, and return how many follow the header."""
    regular = path.is_file() or not path.exists()
    part = path.with_name(f".{path.name}.{os.getpid()}.part") if regular else path
    count = 0
    try:
        with part.open("wb") as out:
            out.write(header + b"\n")
            for line in lines:
                out.write(line + b"\n")
                count += 1
            out.flush()
            if regular:
                os.fsync(out.fileno())
        if regular:
            part.replace(path)
    except OSError as error:
        raise full_disk(error, path.parent) or EdgeError(
            f"Cannot write `{path}`: {error.strerror or error}.",
            hint="Check the folder and its permissions.",
            code="output_failed",
        ) from error
    finally:
        if regular:
            part.unlink(missing_ok=True)
    return count


def import_(
    file: Annotated[str, typer.Option("--file", metavar="FILE", help="What `export` wrote; `-` is standard input.")],
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="The index to make; its old name without one.", show_default=False),
    ] = None,
    into: Annotated[
        bool, typer.Option("--into", help="Add to an index that holds vectors already; same ids are replaced.")
    ] = False,
) -> None:
    """Make an index from what `export` wrote: its configuration, metadata indexes and vectors."""
    option = f" {shlex.quote(name)}" if name else ""
    with VectorFile.open(file, f"edgecli vectorize import{option} --file -") as source:
        header = source.header()
        target = name or str(header.get("name"))
        _prepare(target, header, into=into)
        source.command = f"edgecli vectorize upsert {shlex.quote(target)} --file -"
        count = upload(target, source, "upsert", MAX_BATCH)
        _check_whole(source, header, count)
    if common().json:
        console.print_json({"index": target, "count": count})
    else:
        console.success(f"`{target}`: {console.counted(count, 'vector')} imported from {source.shown}.")


def _check_whole(source: VectorFile, header: dict[str, Any], count: int) -> None:
    """Raise EdgeError if the export says that it has more vectors: a file may be cut at the end of a line."""
    if header.get("vectorCount", count) != count:
        raise EdgeError(
            f"{source.shown} holds {count:,} of the {header['vectorCount']:,} vectors of its index.",
            hint="The file was cut. What it holds was imported.",
            code="incomplete_export",
        )


def _prepare(name: str, header: dict[str, Any], *, into: bool) -> None:
    """See that the index exists, is of the right size, and is empty unless more may come into it."""
    config = header["config"]
    existing = {index["name"]: index for index in call("GET", INDEXES)}.get(name)
    if existing is None:
        body = {"name": name, "description": header.get("description") or "", "config": config}
        call("POST", INDEXES, json=body)
    else:
        _check_fits(existing, config, into=into)
    for each in header.get("metadataIndexes") or []:
        body = {"propertyName": each["propertyName"], "indexType": each["indexType"]}
        call("POST", path(name, "metadata_index", "create"), json=body)


def _check_fits(existing: dict[str, Any], config: dict[str, Any], *, into: bool) -> None:
    name, own = existing["name"], existing["config"]
    held = call("GET", path(name, "info"))["vectorCount"]
    if held and not into:
        raise UsageError(
            f"The index `{name}` holds {console.counted(held, 'vector')} already.",
            hint="Give another NAME, or --into to add to it; vectors with the same ids are replaced.",
            code="index_not_empty",
        )
    if own["dimensions"] != config.get("dimensions"):
        raise UsageError(
            f"The index `{name}` has {own['dimensions']} dimensions, the export {config.get('dimensions')}.",
            hint="Give another NAME.",
            code="wrong_dimensions",
        )
    if own["metric"] != config.get("metric"):
        console.warn(
            f"`{name}` keeps its metric {own['metric']}; the export was made of one with {config.get('metric')}."
        )
