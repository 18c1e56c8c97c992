"""The outline of the command line: its commands, the options that all of them take, and the root's help.

Plain data and text, so that showing it imports nothing.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # as in `typing`, which takes longer to import than the help to show
if TYPE_CHECKING:
    from typing import TextIO

TITLE = "Cloudflare's AI platform on your own machine: models, vector indexes, documents and answers."

# Name -> where it lives (a Typer app or a function) and its line in the help, in the order of a first session.
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("edgecli.scaffold.commands:init", "Start a project from a template."),
    "dev": ("edgecli.dev.commands:dev", "Run the project's Worker with its bindings; reload it when it changes."),
    "models": ("edgecli.models.commands:app", "List, pull, verify and remove model files."),
    "vectorize": ("edgecli.vectorize.commands:app", "Create, fill, query, keep and delete vector indexes."),
    "ingest": ("edgecli.rag.commands:ingest", "Bring a folder of documents into an index."),
    "query": ("edgecli.rag.commands:query", "Search an index: vector, keyword or both."),
    "rag": ("edgecli.rag.commands:app", "Answer questions from an index, with checked citations."),
    "chat": ("edgecli.chat.commands:chat", "Talk to a model, with an index behind it if you like."),
    "ai": ("edgecli.ai.commands:app", "Run models; list those of Workers AI, their tasks and schemas."),
    "serve": ("edgecli.server.commands:serve", "Serve the API and the Worker on this machine, with warm models."),
    "tail": ("edgecli.workers.tail_command:tail", "Follow the requests and console lines of the running Worker."),
    "workers": ("edgecli.workers.commands:app", "List and delete what wrangler deployed here; install workerd."),
    "ps": ("edgecli.models.loaded_commands:ps", "Show the models that the server has loaded."),
    "types": ("edgecli.workers.types_commands:types", "Write types for the Worker's env."),
    "check": (
        "edgecli.workers.check_commands:check",
        "Check that configuration, code and models fit together, for CI.",
    ),
    "secret": ("edgecli.workers.secret_commands:app", "Set, list and delete the Worker's secrets on this machine."),
    "deploy": (
        "edgecli.workers.deploy_commands:deploy",
        "Say what the cloud would get; write a unit or Containerfile.",
    ),
    "config": ("edgecli.config.commands:app", "Check and show the configuration."),
    "doctor": ("edgecli.doctor.commands:doctor", "Say what works on this machine and what does not."),
}

# What similar tools call it -> what it is called here.
FAMILIAR = {
    "generate": "ai run",
    "list": "models list",
    "ls": "models list",
    "pull": "models pull",
    "run": "ai run",
    "stop": "models unload",
}

# Flags, metavar, help: what every command takes, before or after its name.
COMMON_OPTIONS: tuple[tuple[str, str, str], ...] = (
    ("--cwd", "DIR", "Run as if started in DIR."),
    ("--config, -c", "FILE", "Read this wrangler.toml or wrangler.jsonc."),
    ("--env, -e", "NAME", "Use the settings of this environment."),
    ("--json", "", "Print the API's result as JSON on stdout."),
    ("--verbose, -v", "", "Say more on stderr."),
    ("--debug", "", "Show traces of errors."),
)


def root_help(*, colour: bool) -> str:
    """Return the help of `edgecli` itself."""
    bold, name, end = ("\033[1m", "\033[36m", "\033[0m") if colour else ("", "", "")
    options = [(f"{flags} {metavar}".rstrip(), text) for flags, metavar, text in COMMON_OPTIONS]
    options += [("--version", "Print the version."), ("--help, -h", "Show this help, or that of a command.")]
    lines = [TITLE, "", f"{bold}Usage:{end} edgecli [OPTIONS] COMMAND [ARGS]...", "", f"{bold}Commands:{end}"]
    lines += [f"  {name}{command:<20}{end}{text}" for command, (_, text) in COMMANDS.items()]
    lines += ["", f"{bold}Options, before or after a command:{end}"]
    lines += [f"  {name}{flags:<20}{end}{text}" for flags, text in options]
    lines += ["", "A first session: `edgecli init my-app --template rag`, then follow what it prints.", ""]
    return "\n".join(lines)


def wants_colour(stream: TextIO | None = None) -> bool:
    """Tell whether a stream, stdout if none is given, is a terminal that takes colour."""
    import os

    return (stream or sys.stdout).isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
