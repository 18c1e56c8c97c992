"""`edgecli models`: list, search, pull, show, verify, remove, path."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from edgecli import console
from edgecli.cli import EdgeTyper, common
from edgecli.errors import ExitCode, UsageError
from edgecli.models import display
from edgecli.models.loaded_commands import load, unload

app = EdgeTyper(help="List, pull, verify and remove model files.")

ModelArgument = Annotated[str, typer.Argument(help="A model id, as `@cf/baai/bge-m3`.", show_default=False)]
ModelsArgument = Annotated[list[str] | None, typer.Argument(help="Model ids.", show_default=False)]
TaskOption = Annotated[str | None, typer.Option("--task", help="Only this task, as text-embeddings.")]
InstalledOption = Annotated[bool, typer.Option("--installed", help="Only what is on this machine.")]
OfflineOption = Annotated[bool, typer.Option("--offline", help="Use no network; local files only.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command("list")
def list_models(task: TaskOption = None, installed: InstalledOption = False) -> None:
    """List the models that have a name, and which of them are on this machine."""
    models = _call("GET", "/edge/models", params={"task": task, "installed": "true" if installed else None})
    _show(models, display.show_list)


@app.command()
def search(words: Annotated[list[str], typer.Argument(help="Words of the id, task or description.")]) -> None:
    """Find models by words."""
    if not " ".join(words).strip():
        raise UsageError("There are no words to search for.", hint="`edgecli models list` shows all models.")
    _show(_call("GET", "/edge/models/search", params={"q": " ".join(words)}), display.show_list)


@app.command()
def show(model: ModelArgument) -> None:
    """Show all that is known of a model: where its files come from, its limits, its price."""
    _show(_call("GET", "/edge/models/show", params={"model": model}), display.show_model)


@app.command()
def pull(models: ModelsArgument = None, offline: OfflineOption = False) -> None:
    """Download models, verify them, and keep them for all projects.

    Without ids: the models that the project's configuration names. A download that was cut goes on where it was.
    """
    body = {"models": models or None, "offline": offline}
    events = common().client(project=False).events("POST", "/edge/models/pull", json=body)
    if common().json:
        console.print_ndjson(display.print_events(events))
    else:
        display.follow_pull(events)


@app.command()
def verify(models: ModelsArgument = None) -> None:
    """Hash installed models again and compare; without ids, all of them."""
    outcomes: list[dict[str, Any]] = _call("POST", "/edge/models/verify", json={"models": models or None})
    _show(outcomes, display.show_verified)
    if not all(outcome["ok"] for outcome in outcomes):
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def remove(model: ModelArgument, yes: YesOption = False) -> None:
    """Delete a model's files; what other models hold stays."""
    if not yes:
        if not console.is_terminal():
            raise UsageError(
                f"Removing `{model}` wants a confirmation, and there is no terminal to ask on.",
                hint="Add --yes.",
                code="needs_confirmation",
            )
        if not console.confirm(f"Delete the files of {model}?"):
            console.note("Nothing was removed.")
            raise typer.Exit(ExitCode.FAILED)
    _show(_call("POST", "/edge/models/remove", json={"model": model}), display.show_removed)


@app.command()
def path(model: ModelArgument) -> None:
    """Print the folder of an installed model."""
    _show(_call("GET", "/edge/models/path", params={"model": model}), display.show_path)


app.command("load")(load)
app.command("unload")(unload)


def _call(method: str, target: str, **request: Any) -> Any:
    return common().client(project=False).call(method, target, **request)


def _show(result: Any, draw: Any) -> None:
    if common().json:
        console.print_json(result)
    else:
        draw(result)
