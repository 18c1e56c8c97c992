"""How models look on a terminal and in a pipe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edgecli import console
from edgecli.console import human_bytes

Event = dict[str, Any]


def show_list(models: list[dict[str, Any]]) -> None:
    """Print one line a model."""
    if not models:
        console.note("No such models. `edgecli models list` shows all.")
        return
    rows = [[_named(each), each["task"], _size(each), _here(each)] for each in models]
    console.table(["model", "task", "size", "here"], rows, right=[2])


def show_model(model: dict[str, Any]) -> None:
    """Print a model's fields, those that it has."""
    rows = [
        ("id", model["id"]),
        ("stand-in", model["stand_in"]),
        ("task", model["task"]),
        ("engine", model["engine"]),
        ("description", model["description"]),
        ("repository", model["repository"]),
        ("licence", model["licence"]),
        ("context", f"{model['context']} tokens" if model["context"] else None),
        ("dimensions", model["dimensions"]),
        ("pooling", model["pooling"]),
        ("can", ", ".join(model["capabilities"])),
        ("neurons", ", ".join(f"{unit} {price:g}" for unit, price in model["neurons"].items())),
        *(("source", file["source"]) for file in model["files"]),
        ("defined in", model["origin"]),
        ("size", _size(model)),
        ("here", _here(model)),
        ("path", model["path"]),
        ("pulled", model["pulled_at"]),
    ]
    for name, value in rows:
        if value:
            console.out(f"{name:<12} {value}")
    if model["problem"]:
        console.warn(model["problem"])


def show_verified(outcomes: list[dict[str, Any]]) -> None:
    """Print what each model's files turned out to be."""
    if not outcomes:
        console.note("No models are installed.")
    for outcome in outcomes:
        console.out(
            f"{outcome['id']}: {'ok' if outcome['ok'] else 'damaged'}, {console.counted(outcome['files'], 'file')}"
        )
        for each in outcome["problems"]:
            console.warn(f"`{each['file']}` is {each['problem']}: expected the SHA-256 {each['expected']}.")
        if not outcome["ok"]:
            console.note(f"`edgecli models pull {outcome['id']}` repairs it.")


def show_removed(removed: dict[str, Any]) -> None:
    """Say what was deleted."""
    console.success(f"Removed {removed['id']}, {human_bytes(removed['freed'])} freed.")


def show_path(found: dict[str, Any]) -> None:
    """Print a folder, fit for `$(…)`."""
    console.out(found["path"])


def print_events(events: Iterator[Event]) -> dict[str, Any]:
    """Print each step as a line of JSON and return the summary."""
    pulled: dict[str, str] = {}
    for event in events:
        console.print_ndjson(event)
        if _ends(event):
            pulled[event["model"]] = event["phase"]
    return {"models": [{"id": model, "phase": phase} for model, phase in pulled.items()]}


def follow_pull(events: Iterator[Event]) -> None:
    """Draw a bar a file while a pull runs, and say at the end of each model what came of it."""
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with console.progress(*columns) as bars:
        tasks: dict[tuple[str, str], int] = {}
        announced: set[tuple[str, str, str]] = set()
        for event in events:
            _tell(event, announced)
            key = (event["phase"], event["file"])
            if event["phase"] not in {"download", "unpack", "verify"}:
                continue
            if key not in tasks:
                tasks[key] = int(bars.add_task(f"{event['phase']} {_short(event['file'])}", total=event["total"]))
            bars.update(tasks[key], completed=event["done"], total=event["total"])  # pyright: ignore[reportArgumentType]


def _tell(event: Event, announced: set[tuple[str, str, str]]) -> None:
    key = (event["model"], event["phase"], event["file"])
    if key in announced:
        return
    announced.add(key)
    if event["phase"] == "wait":
        console.note(f"Waiting for {event['file'] or event['model']}: {event['text']}.")
    elif event["phase"] == "skip":
        console.warn(event["text"])
    elif event["phase"] == "convert":
        console.note(f"Writing {event['file']} of {event['model']}, once.")
    elif event["phase"] == "done":
        console.success(f"{event['model']}, {human_bytes(event['done'])}")
    elif _ends(event):
        console.success(f"{event['model']} is here already, {human_bytes(event['done'])}")


def _ends(event: Event) -> bool:
    """Tell whether an event is the last of its model: `present` is also said of a single file."""
    return event["phase"] == "done" or (event["phase"] == "present" and not event["file"])


def _named(model: dict[str, Any]) -> str:
    return f"{model['id']} (stand-in: {model['stand_in']})" if model["stand_in"] else model["id"]


def _size(model: dict[str, Any]) -> str:
    return human_bytes(model["size"]) if model["size"] else ""


def _here(model: dict[str, Any]) -> str:
    if model["problem"]:
        return "damaged"
    if model["installed"]:
        return "yes"
    return "no" if model["open_weights"] else "no open weights"


def _short(source: str) -> str:
    return source if len(source) <= 40 else "…" + source[-39:]
