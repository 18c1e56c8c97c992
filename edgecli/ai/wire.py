"""What clients read out of the answers of `ai/run`, whichever form a model has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def text_of_event(event: Mapping[str, Any]) -> str:
    """Return the text that an event of a stream adds."""
    choices = event.get("choices")
    if choices:
        return str(choices[0]["delta"].get("content") or "")
    # A piece that looks like a number may come as one, as Workers AI sends it.
    response = event.get("response")
    return "" if response is None else str(response)


def calls_of_event(event: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the parts of calls of tools that an event of a stream adds."""
    choices = event.get("choices")
    holder = choices[0]["delta"] if choices else event
    return holder.get("tool_calls") or []


def add_calls(calls: list[dict[str, Any]], parts: list[dict[str, Any]]) -> None:
    """Put the parts of calls together: each `{"name", "arguments"}`, the arguments as JSON text."""
    for part in parts:
        while len(calls) <= part["index"]:
            calls.append({"name": "", "arguments": ""})
        call, function = calls[part["index"]], part["function"]
        call["name"] += function.get("name") or ""
        call["arguments"] += function.get("arguments") or ""


def answer_of(result: Mapping[str, Any]) -> Any:
    """Return what a finished answer says: its text, its object in JSON mode, or the calls of tools it asks for."""
    choices = result.get("choices")
    holder = choices[0]["message"] if choices else result
    said = holder.get("content") if choices else holder.get("response")
    calls = holder.get("tool_calls") or []
    return calls if calls and not said else said
