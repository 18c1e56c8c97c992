"""What clients read out of the answers of `ai/run`, whichever form a model has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def text_of_event(event: Mapping[str, Any]) -> str:
    """Return the text that an event of a stream adds."""
    if "type" in event:
        return event["delta"] if event["type"] == "response.output_text.delta" else ""
    choices = event.get("choices")
    if choices:
        return str(choices[0]["delta"].get("content") or "")
    # A piece that looks like a number may come as one, as Workers AI sends it.
    response = event.get("response")
    return "" if response is None else str(response)


def calls_of_event(event: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the parts of calls of tools that an event of a stream adds; a whole call has no `index`."""
    if "type" in event:
        return _called([event["item"]]) if event["type"] == "response.output_item.done" else []
    choices = event.get("choices")
    holder = choices[0]["delta"] if choices else event
    return holder.get("tool_calls") or []


def add_calls(calls: list[dict[str, Any]], parts: list[dict[str, Any]]) -> None:
    """Put the parts of calls together: each `{"name", "arguments"}`, the arguments as JSON text."""
    for part in parts:
        index = part.get("index", len(calls))
        while len(calls) <= index:
            calls.append({"name": "", "arguments": ""})
        call, function = calls[index], part["function"]
        call["name"] += function.get("name") or ""
        call["arguments"] += function.get("arguments") or ""


def answer_of(result: Mapping[str, Any]) -> Any:
    """Return what a finished answer says: its text, its object in JSON mode, or the calls of tools it asks for."""
    if result.get("object") == "response":
        messages = [item for item in result["output"] if item["type"] == "message"]
        parts = [part for item in messages for part in item["content"]]
        text = "".join(part["text"] for part in parts)
        return text or _called(result["output"]) or text
    choices = result.get("choices")
    holder = choices[0]["message"] if choices else result
    said = holder.get("content") if choices else holder.get("response")
    calls = holder.get("tool_calls") or []
    return calls if calls and not said else said


def usage_of(said: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the usage that an answer or the last event of a stream has, `prompt_tokens` and `completion_tokens`."""
    response = said.get("response")
    usage = (response if "type" in said and isinstance(response, dict) else said).get("usage")
    if usage and "input_tokens" in usage:
        return {"prompt_tokens": usage["input_tokens"], "completion_tokens": usage["output_tokens"]}
    return usage or None


def was_cut(said: Mapping[str, Any]) -> bool:
    """Tell whether an answer, or the one that this event of a stream ends, was cut at its longest."""
    response = said.get("response") if "type" in said else said
    if isinstance(response, dict) and response.get("status") == "incomplete":
        return True
    choices = said.get("choices")
    return (choices[0] if choices else said).get("finish_reason") == "length"


def _called(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the calls of tools among the items of a response, in the form of chat completions."""
    return [
        {"id": item["call_id"], "type": "function", "function": {key: item[key] for key in ("name", "arguments")}}
        for item in items
        if item["type"] == "function_call"
    ]
