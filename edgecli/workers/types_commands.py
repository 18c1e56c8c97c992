"""`edgecli types`."""

from __future__ import annotations

import keyword
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgecli import console
from edgecli.cli import common
from edgecli.errors import EdgeError, StateError, UsageError

if TYPE_CHECKING:
    from edgecli.workers.env_types import Language


def types(
    path: Annotated[
        str | None,
        typer.Argument(
            help="The file; default: `worker-configuration.d.ts`, or `env_types.py` beside a Python main module.",
            show_default=False,
        ),
    ] = None,
    interface: Annotated[str, typer.Option("--env-interface", help="The name of the type.")] = "Env",
    strict_vars: Annotated[
        bool, typer.Option("--strict-vars/--no-strict-vars", help="A variable's type is its value.")
    ] = True,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if the file is out of date.")
    ] = False,
) -> None:
    """Write types for the Worker's `env`, from the configuration: in Python, or in TypeScript."""
    from edgecli.state import write_atomically
    from edgecli.workers import env_types

    if not interface.isidentifier() or keyword.iskeyword(interface):
        raise UsageError(f"`{interface}` is no name for a type.", hint="For example: --env-interface Env.")
    project = common().project()
    language = _language(path, project.main)
    target = common().cwd / path if path else env_types.default_path(project, language)
    text = env_types.render(project, language, interface=interface, strict_vars=strict_vars)
    changes = list(env_types.differences(target, text))
    if common().json:
        members = [{"name": each.name, "kind": each.kind} for each in env_types.members(project)]
        body = {"path": str(target), "language": language, "up_to_date": not changes, "members": members}
        console.print_json(body if check else body | {"text": text})
    if check:
        if changes:
            if not common().json:
                console.note("\n".join(changes))
            raise EdgeError(
                f"`{_shown(target)}` is out of date.",
                hint="Run `edgecli types` and commit it.",
                code="types_out_of_date",
            )
        console.success(f"`{_shown(target)}` is up to date.")
        return
    if changes:
        try:
            write_atomically(target, text, mode=0o644)
        except OSError as error:
            raise StateError(
                f"Cannot write `{_shown(target)}`: {error.strerror}.",
                hint="Name a file in a folder that is there: `edgecli types FILE`.",
                code="unwritable",
            ) from error
    console.success(f"{'Wrote' if changes else 'Nothing to change in'} `{_shown(target)}`.")


def _language(path: str | None, main: str | None) -> Language:
    name = path or main
    if name is None:
        raise UsageError(
            "The configuration names no `main`, which tells Python from TypeScript.",
            hint="Name the file: `edgecli types worker-configuration.d.ts` or `edgecli types env_types.py`.",
            code="no_main",
        )
    if path is not None and not path.endswith((".py", ".pyi", ".ts")):
        raise UsageError(f"`{path}` is neither a Python nor a TypeScript file.", hint="End it with .d.ts or .py.")
    return "python" if name.endswith((".py", ".pyi")) else "typescript"


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(common().cwd))
    except ValueError:
        return str(path)
