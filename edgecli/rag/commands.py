"""`edgecli ingest`, `edgecli query` and `edgecli rag ask`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgecli import console
from edgecli.cli import EdgeTyper, common
from edgecli.errors import ExitCode, UsageError
from edgecli.rag import display

app = EdgeTyper(help="Answer questions from an index, with checked citations.")

IndexOption = Annotated[
    str | None, typer.Option("--index", "-i", help="Index or binding; may be left out where the project has one.")
]
TopKOption = Annotated[int | None, typer.Option("--top-k", "-k", min=1, max=100, help="How many passages.")]
ModeOption = Annotated[str | None, typer.Option("--mode", "-m", help="hybrid (the default), vector or keyword.")]
FilterOption = Annotated[
    str | None, typer.Option("--filter", "-f", help='Metadata filter, as JSON: \'{"file": "docs/refunds.md"}\'.')
]


def ingest(
    path: Annotated[str, typer.Argument(help="A folder of documents, or one file; one that is gone is taken out.")],
    index: IndexOption = None,
    glob: Annotated[
        list[str] | None, typer.Option("--glob", help="Judge only files that match (as in .gitignore); repeatable.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option("--exclude", help="Leave out files that match; repeatable.")
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Say what would be done, and do nothing. Files that are too large, binary or unreadable are named; "
            "what only reading them whole shows (a damaged PDF, one without text) is not.",
        ),
    ] = False,
) -> None:
    """Bring a folder of documents into an index.

    Afterwards the index holds exactly the files that are there: unchanged ones are skipped, changed ones replaced,
    deleted and moved ones removed. Run it as often as you like: a run that was stopped goes on where it was.

    Links are followed to files within the folder, not to folders and not out of it.
    """
    body = {
        "path": str(Path(path).expanduser().absolute()),
        "index": index,
        "glob": glob or [],
        "exclude": exclude or [],
        "dry_run": dry_run,
    }
    report = display.follow_ingest(common().client().events("POST", "/edge/ingest", json=body))
    if common().json:
        hidden = {"files"} if not dry_run else set[str]()
        console.print_json({key: value for key, value in report.items() if key not in hidden})
    else:
        display.show_report(report)
    if report["failed"]:
        raise typer.Exit(ExitCode.FAILED)


def query(
    text: Annotated[str, typer.Argument(metavar="QUERY", help="What to look for.")],
    index: IndexOption = None,
    top_k: TopKOption = None,
    mode: ModeOption = None,
    filter_json: FilterOption = None,
) -> None:
    """Search an index: vector, keyword or both."""
    body = {"query": text, "index": index, "top_k": top_k, "mode": _mode(mode), "filter": _filter(filter_json)}
    result = common().client().call("POST", "/edge/query", json=body)
    if common().json:
        console.print_json(result)
    else:
        display.show_hits(result, verbose=common().verbose > 0)


@app.command("ask")
def ask(
    question: Annotated[str, typer.Argument(help="The question, in words.")],
    index: IndexOption = None,
    top_k: TopKOption = None,
    mode: ModeOption = None,
    filter_json: FilterOption = None,
    model: Annotated[str | None, typer.Option("--model", help="Model that writes the answer.")] = None,
    system_prompt: Annotated[str | None, typer.Option("--system-prompt", help="Instructions to the model.")] = None,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", min=1, help="Longest answer.")] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", min=0, max=5, help="0 (the default) always answers the same.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the sampler.")] = None,
) -> None:
    """Answer a question from the documents of an index, naming the sources.

    Each citation is checked against the passages that were found; statements that no passage supports are reported.
    """
    body: dict[str, Any] = {
        "question": question,
        "index": index,
        "top_k": top_k,
        "mode": _mode(mode),
        "filter": _filter(filter_json),
        "model": model,
        "system_prompt": system_prompt,
        "max_tokens": max_tokens,
        "temperature": temperature,
        "seed": seed,
    }
    client = common().client()
    if common().json:
        console.print_json(client.call("POST", "/edge/ask", json=body))
        return
    display.follow_answer(client.events("POST", "/edge/ask", json=body | {"stream": True}), common().verbose)


def _mode(mode: str | None) -> str | None:
    if mode not in (None, "hybrid", "vector", "keyword"):
        raise UsageError(f"There is no search mode `{mode}`.", hint="The modes are hybrid, vector and keyword.")
    return mode


def _filter(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    import json

    hint = 'A filter is a JSON object, such as \'{"file": "docs/refunds.md"}\' or \'{"year": {"$gte": 2024}}\'.'
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UsageError(
            f"The filter is not valid JSON: {error}: {text[:80]!r}.", hint=hint, code="bad_filter"
        ) from error
    if not isinstance(value, dict):
        raise UsageError(f"The filter must be a JSON object, not {text[:80]!r}.", hint=hint, code="bad_filter")
    return value
