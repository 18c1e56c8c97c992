"""How models, their answers and the catalog look on a terminal and in a pipe."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from edgecli import console
from edgecli.ai.wire import add_calls, answer_of, calls_of_event, text_of_event, usage_of, was_cut


class Timer:
    """When the call began and when its first text came."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.first: float | None = None

    def mark(self) -> None:
        self.first = self.first or time.perf_counter()

    def speed(self, tokens: int) -> str:
        now = time.perf_counter()
        if self.first is None or tokens < 2:
            return f"{now - self.began:.2f} s"
        rate = (tokens - 1) / max(now - self.first, 1e-9)
        return f"first after {self.first - self.began:.2f} s, then {rate:.1f} tokens/s"


def follow_answer(
    events: Iterator[dict[str, Any]], timer: Timer, *, as_json: bool
) -> tuple[dict[str, Any] | None, bool]:
    """Print an answer as it comes, then the calls of tools it asks for; return its usage, and whether it was cut."""
    usage: dict[str, Any] | None = None
    calls: list[dict[str, Any]] = []
    cut, last = False, "\n"
    try:
        for event in events:
            timer.mark()
            usage = usage_of(event) or usage
            cut = cut or was_cut(event)
            if as_json:
                console.print_ndjson(event)
                continue
            tell_of_changes(event)
            add_calls(calls, calls_of_event(event))
            if text := text_of_event(event):
                console.write(text)
                last = text
    finally:  # an error or Ctrl-C begins on a line of its own
        if not last.endswith("\n"):
            console.write("\n")
    for call in calls:
        console.print_ndjson({"name": call["name"], "arguments": _parsed(call["arguments"])})
    return usage, cut


def tell_of_cut(usage: dict[str, Any], context: int | None) -> None:
    """Warn that an answer was cut, and by what: `max_tokens`, or the end of the context."""
    made = usage["completion_tokens"]
    if context is not None and usage["prompt_tokens"] + made >= context:
        console.warn(f"The answer was cut at {made} tokens: the context of {context} tokens is full.")
    else:
        console.warn(f"The answer was cut at {made} tokens; `--max-tokens {2 * made}` lets it go on.")


def tell_of_changes(said: dict[str, Any]) -> None:
    """Warn where a prompt was cut or changed."""
    if cut := said.get("truncated"):
        console.warn(
            f"The prompt was too long: {cut['tokens']} tokens were left out ({cut['strategy']}), "
            f"{cut['messages']} messages whole."
        )
    for message in said.get("messages") or ():
        console.warn(message["message"])


def show_answer(result: Any, *, generates: bool) -> None:
    """Print a finished answer: text as it is, everything else as JSON."""
    said = answer_of(result) if generates else result
    if isinstance(said, str):
        console.out(said)
    else:
        console.print_json(said)


def show_run(facts: dict[str, Any], usage: dict[str, Any] | None, timer: Timer) -> None:
    """Say on stderr what ran where, and how fast."""
    console.note(f"model   {facts['name']}")
    console.note(f"engine  {facts['engine']} on {facts['device']}")
    if facts.get("layers"):
        console.note(f"layers  {facts['layers']['gpu']} of {facts['layers']['total']} on a GPU")
    console.note(f"context {facts['context']} tokens")
    if usage:
        made = usage.get("completion_tokens", 0)
        console.note(f"tokens  {usage['prompt_tokens']} in, {made} out: {timer.speed(made)}")


def show_models(items: list[dict[str, Any]]) -> None:
    """Print one line a model: what it does, how much it reads, and what Cloudflare charges."""
    if not items:
        console.note("No such models. `edgecli ai models` lists all.")
        return
    rows = [
        [
            item["name"],
            item["task"]["name"],
            _property(item, "context_window"),
            _price(item, "input"),
            _price(item, "output"),
            ", ".join(each["property_id"] for each in item["properties"] if each["value"] == "true"),
        ]
        for item in items
    ]
    console.table(["model", "task", "context", "$/M in", "$/M out", "can"], rows, right=[2, 3, 4])


def show_tasks(tasks: list[dict[str, Any]]) -> None:
    """Print one line a task."""
    console.table(["task", "what it does"], [[each["name"], each["description"]] for each in tasks])


def _property(item: dict[str, Any], name: str) -> str:
    return next((str(each["value"]) for each in item["properties"] if each["property_id"] == name), "")


def _price(item: dict[str, Any], kind: str) -> str:
    prices: Any = next((each["value"] for each in item["properties"] if each["property_id"] == "price"), [])
    return next((f"{each['price']:.3f}" for each in prices if each["unit"] == f"per M {kind} tokens"), "")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text or "{}")
    except ValueError:  # cut by max_tokens
        return text
