"""`edgecli init`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgecli import console
from edgecli.cli import common
from edgecli.errors import UsageError

if TYPE_CHECKING:
    from edgecli.scaffold.service import ScaffoldResult
    from edgecli.scaffold.templates import Template

DEFAULT_TEMPLATE = "rag"


def init(
    name: Annotated[
        str | None,
        typer.Argument(help="The new folder, which also names the project; `.` is this one."),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(
            "--template",
            "-t",
            help=f"The template; default `{DEFAULT_TEMPLATE}`; `./folder`, `gh:owner/repo/folder#tag`, a git URL.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing, take the defaults.")] = False,
    listing: Annotated[bool, typer.Option("--list", help="List the templates and stop.")] = False,
    git: Annotated[bool, typer.Option("--git", help="Make a git repository of it, with a first commit.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be written.")] = False,
) -> None:
    """Start a project from a template. Never writes over a file."""
    from edgecli.scaffold import names, remote, repository, service

    if listing:
        _print_templates(service.list_templates())
        return
    if git:
        repository.check_git()
    asking = console.is_terminal() and not yes and not common().json
    if asking and name is None:
        name = console.ask("Folder of the new project", names.free_name(common().cwd))
    if asking and template is None:
        template = _choose(service.list_templates())
    folder = (names.FALLBACK_NAME if name is None else name).strip()
    if not folder:
        raise UsageError("The name is empty.", hint="For example: `edgecli init my-app`.", code="bad_name")
    target = common().cwd / folder
    project_name = names.derive_project_name(target.resolve().name)
    chosen = template or DEFAULT_TEMPLATE
    if remote.is_elsewhere(chosen):
        with remote.opened(chosen, common().cwd) as found:
            result = service.create(found, target, project_name, git=git, dry_run=dry_run)
    else:
        result = service.create(chosen, target, project_name, git=git, dry_run=dry_run)
    _print_result(result, folder)
    if git and not dry_run:
        made = repository.start(result.path, result.files, result.template)
        console.note("Made a git repository with a first commit." if made else "It lies in a git repository already.")


def _choose(templates: list[Template]) -> str:
    """Let the user choose with the arrow keys or a number."""
    from prompt_toolkit.shortcuts import choice

    width = max(len(each.name) for each in templates)
    options = [(each.name, f"{each.name:{width}}  {each.title}") for each in templates]
    return choice("Template:", options=options, default=DEFAULT_TEMPLATE)


def _print_templates(templates: list[Template]) -> None:
    if common().json:
        console.print_json(
            [{"name": each.name, "title": each.title, "description": each.description} for each in templates]
        )
        return
    console.table(["template", "what it is"], [[each.name, each.title] for each in templates])


def _print_result(result: ScaffoldResult, folder: str) -> None:
    if common().json:
        console.print_json(result.to_dict())
        return
    if result.name != result.path.name:
        console.note(f"The project is named `{result.name}`: Workers take only a-z, 0-9, `-` and `_`.")
    if result.dry_run:
        for file in result.files:
            console.out(str(Path(folder) / file))
        console.note(f"{len(result.files)} files would be written to `{result.path}`.")
        return
    console.success(f"Wrote {len(result.files)} files to `{result.path}`.")
    here = result.path == common().cwd
    steps = [*([] if here else [f"cd {shlex.quote(folder)}"]), *result.next_steps]
    if not steps:
        return
    console.out("Next:")
    for number, step in enumerate(steps, start=1):
        console.out(f"  {number}. {step}")
