"""`edgecli chat`: talk to a model, with an index behind it if you like."""

from __future__ import annotations

from typing import Annotated

import typer

from edgecli import console
from edgecli.cli import common, finite


def chat(
    index: Annotated[
        str | None,
        typer.Option("--index", "-i", metavar="NAME", help="Answer from this index, with its sources."),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", metavar="ID", help="Model that answers.")] = None,
    system: Annotated[
        str | None, typer.Option("--system", "-s", metavar="TEXT", help="Instructions to the model.")
    ] = None,
    top_k: Annotated[int | None, typer.Option("--top-k", "-k", min=1, max=50, help="How many passages.")] = None,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", min=1, help="Longest answer, in tokens.")] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            "--temperature", "-t", min=0, max=5, callback=finite, help="Randomness; 0 answers always the same."
        ),
    ] = None,
) -> None:
    """Talk to a model, with an index behind it if you like.

    On a terminal: Markdown as it comes, a history, and commands (`/help`). In a pipe: each line that comes in
    is a message, and answers alone go out; with `--json`, one object a line.
    """
    from edgecli.chat.start import start_chat

    shared = common()
    needs_project = index is not None
    start_chat(
        shared.client(project=needs_project),
        shared.project(required=needs_project),
        index=index,
        model=model,
        system=system,
        top_k=top_k,
        max_tokens=max_tokens,
        temperature=temperature,
        as_json=shared.json,
        terminal=console.is_terminal() and not shared.json,
    )
