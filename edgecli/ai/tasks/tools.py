"""Tools that a model may call: their definitions, and which of them it has to call."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field

from edgecli.ai.engines.generation import Tool
from edgecli.ai.tasks.validation import TaskInput, bad_input

MAX_TOOLS = 128
"""Of one request, as on OpenAI's API."""

ToolName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.-]{1,128}$")]


class Function(TaskInput):
    """What a tool does and takes."""

    name: ToolName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    """JSON Schema of the arguments; none takes no arguments."""

    def to_tool(self) -> Tool:
        """Return the tool as engines take it."""
        return Tool(self.name, self.description or "", self.parameters or {"type": "object", "properties": {}})


class FunctionTool(TaskInput):
    """OpenAI's form of a tool."""

    type: Literal["function"]
    function: Function


def _wrapped(value: Any) -> Any:
    """Return a flat definition, `{name, description, parameters}`, in OpenAI's form."""
    if not isinstance(value, dict):
        return value
    entry = cast("dict[str, Any]", value)
    if "function" in entry or "name" not in entry:
        return entry
    return {"type": entry.get("type", "function"), "function": {key: entry[key] for key in entry if key != "type"}}


EitherTool = Annotated[FunctionTool, BeforeValidator(_wrapped)]
"""A tool in OpenAI's form or flat, as Workers AI and the Responses API have it."""

Tools = Annotated[list[EitherTool], Field(max_length=MAX_TOOLS)]


def read_choice(choice: Any, tools: Sequence[Tool]) -> str:
    """Return a `tool_choice` as engines take it: `auto`, `none`, `required`, or `=NAME`.

    Takes a word, OpenAI's `{"type": "function", "function": {"name"}}` and the Responses API's
    `{"type": "function", "name"}`. Raises UsageError, cf_code 5006, for another one and for a tool that is not
    among `tools`.
    """
    if choice is None:
        return "auto"
    if isinstance(choice, str) and choice in {"auto", "none", "required"}:
        return _needs_tools(choice, tools)
    name = _named(choice)
    if name is None:
        raise bad_input(
            f"'/tool_choice' is {json.dumps(choice, default=str)[:80]}: unknown",
            hint='It takes "auto", "none", "required" and {"type": "function", "function": {"name": "…"}}.',
        )
    return named_choice(name, tools)


def _named(choice: Any) -> str | None:
    if not isinstance(choice, dict):
        return None
    entry = cast("Mapping[str, Any]", choice)
    if entry.get("type", "function") != "function":
        return None
    inner = entry.get("function", entry)
    name = cast("Mapping[str, Any]", inner).get("name") if isinstance(inner, dict) else None
    return name if isinstance(name, str) else None


def named_choice(name: str, tools: Sequence[Tool]) -> str:
    """Return the choice of the tool of this name. Raises UsageError, cf_code 5006, if there is none."""
    known = [tool.name for tool in tools]
    if name not in known:
        raise bad_input(
            f"'/tool_choice' names `{name}`, which is not among '/tools'",
            hint=f"The tools are: {', '.join(f'`{each}`' for each in known) or 'none'}.",
        )
    return f"={name}"


def _needs_tools(choice: str, tools: Sequence[Tool]) -> str:
    if choice == "required" and not tools:
        raise bad_input("'/tool_choice' is \"required\", but '/tools' is empty", hint="Send the tools along.")
    return choice


def read_arguments(text: str, place: str) -> dict[str, Any]:
    """Return the arguments of a call that a client sends back, as templates take them.

    Raises UsageError, cf_code 5006, if they are no JSON object.
    """
    try:
        arguments = json.loads(text or "{}")
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        shown = text if len(text) <= 80 else text[:79] + "…"
        raise bad_input(
            f"'{place}' is {shown!r}: not the text of a JSON object",
            hint="A call that `max_tokens` cut short cannot be sent back; leave it out.",
        )
    return cast("dict[str, Any]", arguments)
