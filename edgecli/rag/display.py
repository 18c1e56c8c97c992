"""How ingest, query and ask look on a terminal and in a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from edgecli import console
from edgecli.errors import EdgeError

PREVIEW_CHARACTERS = 240


def follow_ingest(events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Show an ingest's progress and return its report."""
    report: dict[str, Any] | None = None
    with console.progress(*_ingest_columns()) as bar:
        task: Any = None
        for event in events:
            if event["event"] == "scan":
                task = bar.add_task("Reading", total=event["to_do"], chunks=0, rate=0.0)
            elif event["event"] == "progress":
                bar.update(
                    task,
                    completed=event["files"],
                    chunks=event["chunks"],
                    rate=event["chunks_per_second"],
                    description="Ingesting",
                )
            elif event["event"] == "done":
                report = event["report"]
    if report is None:
        raise EdgeError("The ingest ended without a report.", hint="Run it again: it goes on where it stopped.")
    return report


def _ingest_columns() -> list[Any]:
    import sys

    if not sys.stderr.isatty():
        return []
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeRemainingColumn

    return [
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("files · {task.fields[chunks]} chunks · {task.fields[rate]}/s ·"),
        TimeRemainingColumn(),
    ]


def show_report(report: Mapping[str, Any]) -> None:
    """Print what an ingest did, its failed files last."""
    counts = [
        f"{report['added']} added",
        f"{report['updated']} updated",
        f"{report['unchanged']} unchanged",
        f"{report['deleted']} deleted",
    ]
    if report["dry_run"]:
        for action, names in report["files"].items():
            for name in names:
                console.out(f"{action:8} {name}")
        console.note("Dry run, nothing was changed: " + ", ".join(counts) + ".")
        return
    console.success(
        f"`{report['index']}`: {', '.join(counts)}; {report['chunks']} chunks in {report['seconds']:.1f} s."
    )
    if not any(report[key] for key in ("added", "updated", "unchanged", "deleted", "failed")):
        console.warn("No documents were found there. `.gitignore`, --glob and --exclude may leave them out.")
    for failed in report["failed"]:
        console.warn(f"{failed['file']}: {failed['error']}")
    if report["failed"]:
        count = len(report["failed"])
        console.warn(f"{count} file{'s' if count > 1 else ''} could not be read; everything else is in the index.")


def show_hits(result: Mapping[str, Any], *, verbose: bool) -> None:
    """Print the passages that were found, best first."""
    if not result["hits"]:
        console.note(f"Nothing found in `{result['index']}`.")
        return
    for number, hit in enumerate(result["hits"], start=1):
        place = " › ".join(part for part in (hit["file"], hit["heading"].replace(" > ", " › ")) if part) or hit["id"]
        scores = f"{hit['score']:.4f}"
        if verbose:
            scores += "".join(
                f"  {name} {hit[key]:.4f}"
                for name, key in (("vector", "vector_score"), ("keyword", "keyword_score"))
                if hit[key] is not None
            )
        console.emphasised(f"{number}. {place}", f"  {scores}")
        console.out(_indented(_preview(hit["text"])))
    if verbose:
        console.note(f"{result['mode']} search in {result['timings']['total']:.3f} s")


def _preview(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= PREVIEW_CHARACTERS else flat[: PREVIEW_CHARACTERS - 1].rstrip() + "…"


def _indented(text: str) -> str:
    import shutil
    import sys
    import textwrap

    if not sys.stdout.isatty():
        return f"   {text}"
    width = min(shutil.get_terminal_size().columns, 110)
    return textwrap.fill(text, width, initial_indent="   ", subsequent_indent="   ")


def follow_answer(events: Iterable[Mapping[str, Any]], verbose: int) -> None:
    """Print an answer as it comes, then the sources that it cites."""
    done: Mapping[str, Any] | None = None
    last = ""
    for event in events:
        if event.get("event") == "done":
            done = event
        elif "response" in event:
            last = event["response"] or last
            console.write(event["response"])
    if done is None:
        raise EdgeError("The answer ended early.", hint="Ask again; `edgecli doctor` checks the models.")
    if not last.endswith("\n"):
        console.out()
    _show_sources(done)
    _show_doubts(done, verbose=verbose > 0)
    if verbose:
        usage, timings = done["usage"], done["timings"]
        console.note(
            f"{done['model']}: {usage.get('prompt_tokens', 0)} + {usage.get('completion_tokens', 0)} tokens, "
            f"{timings['retrieve']:.2f} s to find, {timings['generate']:.2f} s to write"
        )
    elif done["usage"].get("total_tokens"):
        console.note(f"Model: {done['model']}")


def _show_sources(done: Mapping[str, Any]) -> None:
    cited = [source for source in done["sources"] if source["n"] in done["cited"]]
    if not cited:
        return
    console.out()
    for source in cited:
        place = " › ".join(part for part in (source["file"], source["heading"].replace(" > ", " › ")) if part)
        console.out(f"[{source['n']}] {place}")


def _show_doubts(done: Mapping[str, Any], *, verbose: bool) -> None:
    if done["method"] == "quoted":
        console.note("The model said nothing that the documents support, so they are quoted.")
    elif done["method"] == "generated" and not done["grounded"]:
        console.warn("this answer could not be checked against the documents word by word.")
    if done["unsupported"] and (verbose or done["method"] == "generated"):
        count = len(done["unsupported"])
        console.note(f"Left out, not supported by the documents: {count} sentence{'s' if count > 1 else ''}.")
    if verbose:
        for statement in done["unsupported"]:
            console.note(f"  {_preview(statement)}")
    for dropped in done["dropped"]:
        console.note(f"Left out, too long for the context: {dropped['file']} ({dropped['tokens']} tokens).")
