"""The table of bindings: what `env` holds, what answers behind each name, and what is missing."""

from __future__ import annotations

import asyncio
import json
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from edgecli.ai.choice import expected_device
from edgecli.errors import EdgeError, NotFoundError
from edgecli.workers.spec import Binding, bindings_of, unanswered

if TYPE_CHECKING:
    from edgecli.config.project import Project
    from edgecli.runtime import Runtime

HEADINGS = ("Binding", "Resource", "Where")
_LONGEST_VALUE = 14
_NARROWEST = 24
"""Cells that the last column needs beside the others."""
_FRIENDLY = {
    "ai": "AI",
    "vectorize": "Vectorize Index",
    "kv": "KV Namespace",
    "r2": "R2 Bucket",
    "d1": "D1 Database",
    "browser": "Browser Run",
}


class Row(NamedTuple):
    """One binding."""

    name: str
    """`env.VECTORS (docs)`"""
    resource: str
    where: list[str]
    """One line each."""
    missing: str | None = None
    """What the Worker will miss, with the command that brings it."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as `--json` prints it."""
        return self._asdict()


async def rows(project: Project, runtime: Runtime) -> list[Row]:
    """Return the bindings, variables and secrets of a project's Worker."""
    bindings = bindings_of(project)
    found = await asyncio.gather(*(_binding(each, project, runtime) for each in bindings))
    others = [
        Row(f"env.{name}", title, ["not available"], f"`env.{name}` ({title}): edgecli does not answer this binding.")
        for name, title in unanswered(project.raw, bindings).items()
    ]
    variables = [
        Row(f"env.{name} ({_shortened(value)})", "Environment Variable", ["local"])
        for name, value in project.vars.items()
    ]
    secrets = [Row(f"env.{name} (hidden)", "Secret", ["local"]) for name in project.secrets]
    return [*found, *others, *variables, *secrets]


def _shortened(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


async def _binding(binding: Binding, project: Project, runtime: Runtime) -> Row:
    databases = {each.binding: each.database_name for each in project.d1_databases}  # wrangler shows names, not ids
    shown = databases.get(binding.name) or binding.resource
    name = f"env.{binding.name}" + (f" ({shown})" if shown else "")
    resource = _FRIENDLY[binding.type]
    if binding.type == "ai":
        lines, missing = await _models(project, runtime)
        return Row(name, resource, lines, missing)
    if binding.type == "vectorize":
        return Row(name, resource, *await _index(binding.resource, runtime))
    if binding.type == "browser":
        return Row(name, resource, ["not available"], f"`env.{binding.name}`: edgecli has no browser for Workers yet.")
    return Row(name, resource, ["local"])


async def _models(project: Project, runtime: Runtime) -> tuple[list[str], str | None]:
    settings = project.settings
    named = dict.fromkeys([settings.generation_model, settings.embedding_model, *settings.models])
    lines: list[str] = []
    missing: list[str] = []
    for model in named:
        try:
            view = await runtime.models.show(model)
        except EdgeError as error:
            lines.append(f"{model}: {error.message}")
            continue
        runs = view.stand_in or view.id
        if len(named) > 2 and runs in named and view.stand_in is None and _stands_in(runs, settings.models):
            continue  # it has its line where it stands in
        device = runtime.ai.describe(model)["device"] or await asyncio.to_thread(expected_device, view.engine, settings)
        state = view.engine + (f" on {device}" if device else "") + ("" if view.installed else ", not pulled")
        lines += [model, f"  → {view.stand_in}, {state}"] if view.stand_in else [f"{model}, {state}"]
        if not view.installed and runs not in missing:
            missing.append(runs)
    return lines, f"Not on this machine yet: `edgecli models pull {' '.join(missing)}`." if missing else None


def _stands_in(model: str, models: dict[str, dict[str, Any]]) -> bool:
    return any(each.get("use") == model for each in models.values())


async def _index(name: str, runtime: Runtime) -> tuple[list[str], str | None]:
    try:
        index, info = await runtime.vectorize.get(name), await runtime.vectorize.info(name)
    except NotFoundError:
        command = f"edgecli vectorize create {name} --dimensions {await _dimensions(runtime)} --metric cosine"
        return ["not created"], f"The index `{name}` does not exist: `{command}`."
    except EdgeError as error:
        return ["damaged"], f"The index `{name}`: {error.message} {error.hint or ''}".rstrip()
    vectors = f"{info.vector_count:,} vector{'' if info.vector_count == 1 else 's'}"
    return [f"{index.config.dimensions} dimensions, {index.config.metric}, {vectors}"], None


async def _dimensions(runtime: Runtime) -> str:
    """Return the dimensions of the project's embedding model."""
    try:
        return str((await runtime.models.show(runtime.settings.embedding_model)).dimensions or "N")
    except EdgeError:
        return "N"


def drawn(table: Sequence[Row], width: int) -> Iterator[str]:
    """Yield the lines of a table that is at most `width` cells wide.

    Where the last column has no room it goes below each row, and `local`, which says little, goes away; a narrow table
    has all cells below each other.
    """
    from rich.cells import cell_len

    first, second = (max(cell_len(text) for text in column) for column in _columns(table))
    rest = width - first - second - 4
    longest = max(cell_len(line) for row in table for line in row.where)
    word = max(cell_len(word) for row in table for line in row.where for word in line.split())
    if rest < min(longest, max(word + 4, _NARROWEST)):
        beside = first + 2 + second <= width
        if beside:
            yield _line((*HEADINGS[:2], ""), first, second)
        for row in table:
            yield from [_line((row.name, row.resource, ""), first, second)] if beside else _wrapped(row.name, width)
            below = [line for line in row.where if line != "local"] if beside else [row.resource, *row.where]
            for line in below:
                yield from (f"  {piece}" for piece in _wrapped(line, width - 2))
        return
    yield _line(HEADINGS, first, second)
    for row in table:
        wrapped = [piece for line in row.where for piece in _wrapped(line, rest)]
        yield _line((row.name, row.resource, wrapped[0]), first, second)
        yield from (_line(("", "", piece), first, second) for piece in wrapped[1:])


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(width, 12), subsequent_indent="  ", break_on_hyphens=False) or [""]


def _columns(table: Sequence[Row]) -> tuple[list[str], list[str]]:
    return [HEADINGS[0], *(row.name for row in table)], [HEADINGS[1], *(row.resource for row in table)]


def _line(cells: tuple[str, str, str], first: int, second: int) -> str:
    from rich.cells import cell_len

    def padded(text: str, width: int) -> str:
        return text + " " * (width - cell_len(text))

    return f"{padded(cells[0], first)}  {padded(cells[1], second)}  {cells[2]}".rstrip()
