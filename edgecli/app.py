"""The root of the command line. Each entry is imported when it is called, so that `--help` stays quick."""

from __future__ import annotations

import sys

import typer

from edgecli import __version__
from edgecli.cli import EdgeGroup, EdgeTyper, Late, run


class RootGroup(EdgeGroup):
    late = {  # noqa: RUF012 - a constant of this class
        "init": Late("edgecli.scaffold.commands:init", "Start a project from a template."),
        "models": Late("edgecli.models.commands:app", "List, pull, verify and remove model files."),
        "vectorize": Late("edgecli.vectorize.commands:app", "Create, inspect, query and delete vector indexes."),
        "ingest": Late("edgecli.rag.commands:ingest", "Bring a folder of documents into an index."),
        "query": Late("edgecli.rag.commands:query", "Search an index: vector, keyword or both."),
        "rag": Late("edgecli.rag.commands:app", "Answer questions from an index, with checked citations."),
        "chat": Late("edgecli.chat.commands:chat", "Talk to a model, with an index behind it if you like."),
        "ai": Late("edgecli.ai.commands:app", "Run a model."),
        "serve": Late("edgecli.server.commands:serve", "Serve the API on this machine, with warm models."),
        "config": Late("edgecli.config.commands:app", "Check and show the configuration."),
        "doctor": Late("edgecli.doctor.commands:doctor", "Say what works on this machine and what does not."),
    }


app = EdgeTyper(
    cls=RootGroup,
    help="Cloudflare's AI platform on your own machine: models, vector indexes, documents and answers.",
)


def _print_version(value: bool) -> None:
    if value:
        sys.stdout.write(f"edgecli {__version__}\n" if sys.stdout.isatty() else f"{__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    del version


def main() -> None:
    """Run the command line and end the process with its exit code."""
    sys.exit(run(app))
