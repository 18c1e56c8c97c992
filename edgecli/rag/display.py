"""How ingest, query and ask look on a terminal and in a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from edgecli import console
from edgecli.errors import EdgeError

PREVIEW_CHARACTERS = 240
MOST_NOTES = 10


def follow_ingest(events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Show an ingest's progress and return its report."""
    report: dict[str, Any] | None = None
    last: Mapping[str, Any] | None = None
    try:
        with console.progress(*_ingest_columns()) as bar:
            task: Any = None
            for event in events:
                if event["event"] == "scan":
                    task = bar.add_task("Reading", total=event["to_do"], chunks="0 chunks", left="")
                elif event["event"] == "load":
                    bar.update(task, description="Loading the embedding model")
                elif event["event"] == "progress":
                    last = event
                    bar.update(
                        task,
                        description="Ingesting" if event["chunks"] else "Embedding the first passages",
                        completed=event["files"],
                        chunks=f"{console.counted(event['chunks'], 'chunk')}, {event['chunks_per_second']:.0f}/s",
                        left=_time_left(event["seconds_left"]),
                    )
                elif event["event"] == "done":
                    report = event["report"]
    except (KeyboardInterrupt, SystemExit):  # Ctrl-C and SIGTERM
        console.note(_kept(last))
        raise
    if report is None:
        raise EdgeError("The ingest ended without a report.", hint="Run it again: it goes on where it stopped.")
    return report


def _time_left(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"· {minutes}:{rest:02} left" if minutes < 60 else f"· {minutes // 60}:{minutes % 60:02} h left"


def _kept(last: Mapping[str, Any] | None) -> str:
    """Say what a run that was stopped leaves, as its last progress told."""
    if last is None or not last["files_kept"]:
        return "Stopped before the first files were in the index. The same command starts again."
    return (
        f"Stopped: {last['files_kept']} of {console.counted(last['files_total'], 'new or changed file')} are in the "
        f"index, {console.counted(last['chunks'], 'chunk')}. The same command goes on with the rest."
    )


def _ingest_columns() -> list[Any]:
    import sys

    if not sys.stderr.isatty():
        return []
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn

    return [
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("files · {task.fields[chunks]} {task.fields[left]}"),
    ]


def show_report(report: Mapping[str, Any]) -> None:
    """Print what an ingest did, its failed files last."""
    counts = [
        f"{report['added']} added",
        f"{report['updated']} updated",
        f"{report['unchanged']} unchanged",
        f"{report['deleted']} deleted",
    ]
    if report["empty"]:
        counts.append(f"{report['empty']} without text")
    failed, done = report["failed"], any(report[key] for key in ("added", "updated", "unchanged", "deleted", "empty"))
    if report["dry_run"]:
        for action, names in report["files"].items():
            for name in names:
                console.out(f"{action:8} {name}")
        if failed:
            counts.append(f"{len(failed)} would fail")
        console.note("Dry run, nothing was changed: " + ", ".join(counts) + ".")
    elif done or not failed:
        written = f"{console.counted(report['chunks'], 'chunk')} in {report['seconds']:.1f} s"
        console.success(f"`{report['index']}`: {', '.join(counts)}; {written}.")
    if not done and not failed:
        console.warn("No documents were found there. `.gitignore`, --glob and --exclude may leave them out.")
    for note in report["notes"][:MOST_NOTES]:
        console.note(note)
    if len(report["notes"]) > MOST_NOTES:
        console.note(f"… and {len(report['notes']) - MOST_NOTES} more such notes; --json has all.")
    for one in failed:
        console.warn(_failure(one["file"], one["error"]))
    if failed and done and not report["dry_run"]:
        console.warn(f"{console.counted(len(failed), 'file')} could not be read; everything else is in the index.")


def _failure(file: str, error: str) -> str:
    """Name the file once, by its whole path."""
    named = f"`{file.rsplit('/', 1)[-1]}` "
    return f"`{file}` {error.removeprefix(named)}" if error.startswith(named) else f"`{file}`: {error}"


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
