"""`edgecli ps`, `edgecli models load` and `unload`: what the running server has in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from edgecli import console
from edgecli.cli import common
from edgecli.console import human_bytes
from edgecli.errors import StateError

Model = Annotated[str, typer.Argument(help="A model id, as `@cf/meta/llama-3.2-1b-instruct`.", show_default=False)]
KeepAlive = Annotated[
    str | None, typer.Option("--keep-alive", help="Stay so long after the last use: 90s, 5m, 1h; -1 is for ever.")
]

HEADINGS = ("model", "engine", "device", "context", "memory", "busy", "stays")


def ps() -> None:
    """Show the models that the running server has loaded, where they run, and how busy they are."""
    client = common().client()
    models: list[dict[str, Any]] = client.call("GET", "/edge/ai/loaded") if client.warm else []
    if common().json:
        console.print_json(models)
    elif not client.warm:
        console.note("No server runs for this project. `edgecli serve` starts one and keeps models loaded.")
    elif not models:
        console.note("No model is loaded. The first request loads one, or `edgecli models load <id>`.")
    else:
        console.table(HEADINGS, rows_of(models), right=[3, 4])


def load(model: Model, keep_alive: KeepAlive = None) -> None:
    """Load a model into the running server now."""
    facts = _call("/edge/ai/load", {"model": model, "keep_alive": keep_alive})
    if common().json:
        console.print_json(facts)
    else:
        # Without a time to stay, it has left again.
        stays = f"stays {_time(facts['seconds_left'])}" if facts.get("seconds_left") != 0 else "leaves at once"
        console.success(f"{facts['name']} is loaded: {_device(facts)}, {stays}.")


def unload(model: Model) -> None:
    """Unload a model from the running server; its memory is given back. Requests that use it end with an error."""
    outcome = _call("/edge/ai/unload", {"model": model})
    if common().json:
        console.print_json(outcome)
    elif outcome["unloaded"]:
        console.success(f"{model} is unloaded.")
    else:
        console.note(f"{model} was not loaded.")


def _call(path: str, body: dict[str, Any]) -> Any:
    client = common().client()
    if not client.warm:
        raise StateError(
            "No server runs for this project: a model would be gone with this command.",
            hint="Start one with `edgecli serve`, in another terminal.",
            code="no_server",
        )
    return client.call("POST", path, json=body)


def rows_of(models: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return the loaded models as rows below `HEADINGS`."""
    return [
        [
            each["name"],
            each["engine"],
            _device(each),
            f"{each['context']}" if each.get("context") else "",
            human_bytes(each["memory"]) if each.get("memory") else "",
            _busy(each),
            _time(each.get("seconds_left")),
        ]
        for each in models
    ]


def _device(facts: Mapping[str, Any]) -> str:
    layers = facts.get("layers")
    if not layers or not layers["gpu"] or layers["gpu"] == layers["total"]:
        return str(facts["device"])
    return f"{facts['device']} {layers['gpu']}/{layers['total']} layers, cpu the rest"


def _busy(facts: Mapping[str, Any]) -> str:
    activity = facts.get("activity")
    if activity is None:
        return f"{facts['users']} calls" if facts.get("users") else "idle"
    waiting = f", {activity['waiting']} wait" if activity["waiting"] else ""
    return f"{activity['running']}/{facts['slots']} slots{waiting}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "for ever"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
