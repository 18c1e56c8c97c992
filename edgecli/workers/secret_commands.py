"""`edgecli secret put`, `bulk`, `list`, `delete`: the Worker's secrets on this machine, in `.dev.vars`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from edgecli import console
from edgecli.cli import EdgeTyper, common
from edgecli.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from edgecli.config.project import Project

app = EdgeTyper(help="Set, list and delete the Worker's secrets on this machine: they lie in .dev.vars.")

KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="The name in the Worker's `env`.", show_default=False)]
_LONGEST_IN_THE_CLOUD = 5 * 1024
"""Bytes."""


@app.command("put")
def put(
    key: KeyArgument,
    value: Annotated[
        str | None,
        typer.Option("--value", metavar="-", help="Only `-`, standard input: a value here would stay in the history."),
    ] = None,
) -> None:
    """Set a secret; its value is asked for, or read from standard input."""
    from edgecli.config.dotenv_edit import set_variable

    _check_name(key)
    project = common().project()
    text = _read_value(key, value)
    path = _file(project)
    lost = _hidden_by(path, project, {key})
    replaced = set_variable(path, key, text)
    if common().json:
        console.print_json({"name": key, "type": "secret_text", "file": str(path), "replaced": replaced})
    else:
        console.success(f"{'Replaced' if replaced else 'Set'} `{key}` in `{path.name}`.")
    _warn(project, path, {key: text}, lost)


@app.command("bulk")
def bulk(
    file: Annotated[
        str, typer.Argument(metavar="FILE|-", help="A JSON object or lines KEY=VALUE; `-` is standard input.")
    ],
) -> None:
    """Set many secrets at once, all or none. In JSON, null deletes a secret."""
    from edgecli.config.dotenv_edit import change_variables

    project = common().project()
    changes = _read_bulk(file)
    path = _file(project)
    lost = _hidden_by(path, project, changes)
    change_variables(path, changes)
    given = {name: text for name, text in changes.items() if text is not None}
    deleted = [name for name in changes if name not in given]
    if common().json:
        console.print_json({"set": list(given), "deleted": deleted, "file": str(path)})
    else:
        done = [f"Set {console.counted(len(given), 'secret')}"] if given or not deleted else []
        done += [f"deleted {len(deleted)}"] if deleted else []
        said = ", ".join(done)
        console.success(f"{said[0].upper()}{said[1:]} in `{path.name}`.")
    _warn(project, path, given, lost)


def _read_bulk(file: str) -> dict[str, str | None]:
    """Return the secrets of a file as `wrangler secret bulk` takes it. Raises UsageError."""
    import json

    from edgecli.config.dotenv import parse_dotenv

    shown = "standard input" if file == "-" else f"`{file}`"
    try:
        text = (sys.stdin.buffer.read() if file == "-" else (common().cwd / file).read_bytes()).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no file {shown}.", code="no_such_file") from error
    except OSError as error:
        raise UsageError(f"{shown} cannot be read: {error.strerror}.", code="bad_secrets") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{shown} is not UTF-8: {error}.", hint="Save it as UTF-8.", code="bad_secrets") from error
    try:
        given: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        if text.lstrip().startswith("{"):  # with lines that a .env file may hold as well
            raise UsageError(
                f"{shown} is no JSON: {error}.", hint="Names and values stand in double quotes.", code="bad_secrets"
            ) from error
        given = {name: variable.value for name, variable in parse_dotenv(text).items()}
    if not isinstance(given, dict) or not given:
        raise UsageError(
            f"{shown} holds no secrets.",
            hint='It takes a JSON object, {"KEY": "value"}, or lines KEY=VALUE.',
            code="bad_secrets",
        )
    secrets = cast("dict[str, Any]", given)
    for name, value in secrets.items():
        _check_name(name)
        if not isinstance(value, str | None):
            raise UsageError(
                f"The value of `{name}` is no string.",
                hint="Put it into quotes; null deletes a secret.",
                code="bad_secrets",
            )
    return secrets


def _check_name(key: str) -> None:
    from edgecli.config.dotenv_edit import NAME

    if not NAME.fullmatch(key):
        raise UsageError(
            f"`{key}` is no name for a secret.", hint="Take letters, digits and `_`, like API_TOKEN.", code="bad_name"
        )


def _hidden_by(path: Path, project: Project, names: Collection[str]) -> list[str]:
    """Return the secrets that a file which is new hides: `.dev.vars` takes the place of `.env` files."""
    if path.exists():
        return []
    return sorted(name for name in project.secrets if name not in names and name not in os.environ)


def _warn(project: Project, path: Path, given: Mapping[str, str], lost: Sequence[str]) -> None:
    if lost and path.exists():
        names = ", ".join(f"`{name}`" for name in lost)
        console.warn(f"`{path.name}` is new and takes the place of the file that set {names}: put them there too.")
    required = project.raw.get("secrets", {}).get("required")
    for name, text in given.items():
        if (size := len(text.encode())) > _LONGEST_IN_THE_CLOUD:
            console.warn(f"The value of `{name}` has {size} bytes; Cloudflare takes up to {_LONGEST_IN_THE_CLOUD}.")
        if required is not None and name not in required and name not in project.raw.get("vars", {}):
            console.warn(f"The Worker will not see `{name}`: `[secrets] required` does not name it.")
    if _is_ignored(path) is False:
        console.warn(f"git does not ignore `{path.name}`. Add a line `.dev.vars*` to .gitignore.")


@app.command("list")
def list_secrets() -> None:
    """List the names of the secrets that the Worker gets here, and no values."""
    project = common().project()
    names = sorted(project.secrets)
    if common().json:
        console.print_json([{"name": name, "type": "secret_text"} for name in names])
        return
    for name in names:
        console.out(name)
    if not names:
        console.note("There is no secret. `edgecli secret put KEY` sets one.")


@app.command("delete")
def delete(key: KeyArgument, force: Annotated[bool, typer.Option("--force", "-y", help="Do not ask.")] = False) -> None:
    """Delete a secret."""
    from edgecli.config.dotenv_edit import delete_variable

    path = _file(common().project())
    if not force and not console.confirm(f"Delete the secret `{key}` from `{path.name}`?", default=True):
        console.note("Nothing was deleted.")
        raise typer.Exit(1)
    delete_variable(path, key)
    if common().json:
        console.print_json({"name": key, "file": str(path)})
    else:
        console.success(f"Deleted `{key}` from `{path.name}`.")


def _file(project: Project) -> Path:
    return project.root / (f".dev.vars.{project.env}" if project.env else ".dev.vars")


def _read_value(key: str, option: str | None) -> str:
    if option not in (None, "-"):
        raise UsageError(
            "A secret on the command line stays in the shell's history and in the list of processes.",
            hint=f"Leave --value out to be asked, or pipe it: `edgecli secret put {key} < file`.",
            code="secret_on_command_line",
        )
    if option is None and console.is_terminal():
        value = typer.prompt(f"Value of {key}", hide_input=True, default="", show_default=False, err=True)
    else:
        try:
            value = sys.stdin.buffer.read().decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise UsageError(f"The value is not UTF-8: {error}.", hint="Encode it, as base64 for example.") from error
    if not value:
        raise UsageError(f"The value of `{key}` is empty.", hint="Type or pipe a value.", code="empty_secret")
    return value


def _is_ignored(path: Path) -> bool | None:
    """Tell whether git ignores the file; None where there is no git or no repository."""
    git = shutil.which("git")
    if git is None:
        return None
    done = subprocess.run(
        [git, "check-ignore", "--quiet", path.name], cwd=path.parent, capture_output=True, check=False
    )
    return {0: True, 1: False}.get(done.returncode)
