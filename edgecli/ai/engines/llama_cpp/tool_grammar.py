"""The grammar of calls: which tools, with what arguments, in a model's own way of writing them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from edgecli.ai.engines.generation import Tool
from edgecli.ai.engines.llama_cpp.constraint import embed_schema
from edgecli.ai.engines.llama_cpp.gguf_model import GgufModel
from edgecli.ai.engines.llama_cpp.tool_formats import ToolFormat
from edgecli.errors import UsageError, nearest

NEWLINE = "\n"
TOOLS = 128
"""Tools of one request, as OpenAI has it."""


def chosen_tools(tools: Sequence[Tool], choice: str) -> Sequence[Tool]:
    """Return the tools that may be called. Raises UsageError, cf_code 5006, if the choice names none of them."""
    names = [tool.name for tool in tools]
    if len(names) > TOOLS:
        raise _wrong("/tools", f"holds {len(names)} tools; a request may have {TOOLS}", hint="Send fewer tools.")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise _wrong("/tools", f"holds two tools named `{twice}`", hint="Give each tool a name of its own.")
    if empty := [index for index, name in enumerate(names) if not name.strip()]:
        raise _wrong(f"/tools/{empty[0]}", "has no name", hint="Name it, with letters, digits, `_` and `-`.")
    if choice in ("auto", "none"):
        return tools if choice == "auto" else ()
    if not tools:
        raise _wrong("/tool_choice", "wants a tool to be called, and there are none", hint="Send `tools`.")
    if not choice.startswith("="):
        return tools
    wanted = [tool for tool in tools if tool.name == choice[1:]]
    if not wanted:
        close = nearest(choice[1:], names, count=1)
        hint = f"Did you mean `{close[0]}`?" if close else "Name one of them."
        known = ", ".join(f"`{name}`" for name in names)
        raise _wrong("/tool_choice", f"names the tool `{choice[1:]}`; the tools are {known}", hint=hint)
    return wanted


def _wrong(place: str, problem: str, *, hint: str) -> UsageError:
    return UsageError(f"AiError: Bad input: Error: '{place}' {problem}.", hint=hint, code="bad_input", cf_code=5006)


def structure_tokens(model: GgufModel, form: ToolFormat) -> dict[int, bytes]:
    """Return the tokens that mark calls and have no text of their own (`GgufModel.piece`), with their texts."""
    return model.silent_marks(form.opening, form.closing, form.named)


def call_grammar(
    form: ToolFormat, tools: Sequence[Tool], *, calls: int, opened: bool, structure: Mapping[int, bytes]
) -> str:
    """Return the grammar of one to `calls` calls of `tools`, in llguidance's Lark.

    `opened` begins behind the first `form.opening`, or with the `{` of a call without one, and bears the whitespace
    that a model may have written there. Raises UsageError, code `schema_unsupported`, that names the tool whose
    parameters arguments cannot be held to.
    """
    marks = {text.decode(): f"<[{token}]>" for token, text in structure.items()}

    def mark(text: str, before: str = "", after: str = "") -> str:
        if text in marks:
            return " ".join(part for part in (_quoted(before), marks[text], _quoted(after)) if part)
        return _quoted(before + text + after)

    def more(group: str) -> str:
        return f"({group}){{0,{calls - 1}}}" if calls > 1 else ""

    if form.listed:
        again = more('", " call')
        start = f'{"SPACE?" if opened else mark(form.opening)} "[" call {again} "]"'
    elif form.closing:
        close = mark(form.closing, before=NEWLINE)
        opening = mark(form.opening, after=NEWLINE)
        again = more(f"{mark(form.opening, before=NEWLINE, after=NEWLINE)} call {close}")
        start = f"{'SPACE?' if opened else opening} call {close} {again}"
    elif form.named:
        start = f"{'SPACE?' if opened else mark(form.opening)} call {more(f'{mark(form.opening)} call')}"
    else:
        start = "SPACE? call" if opened else "call"
    lines = [f"start: {start}", "call: " + " | ".join(f"call_{index}" for index in range(len(tools)))]
    for index, tool in enumerate(tools):
        schema = embed_schema(_parameters(tool), f"the schema of tool `{tool.name}`")
        if form.named:
            named = mark(form.named, before=tool.name)
            lines += [f"call_{index}: {named} arguments_{index}", f"arguments_{index}: {schema}"]
            continue
        name = json.dumps(tool.name, ensure_ascii=False)
        arguments = _quoted(f'{name}, "{form.key}": ')
        if opened and form.leading:
            head = f'"{{" SPACE? "\\"name\\"" SPACE? ":" SPACE? {arguments}'
        else:
            head = _quoted(f'{{"name": {name}, "{form.key}": ')
        lines += [f'call_{index}: {head} arguments_{index} "}}"', f"arguments_{index}: {schema}"]
    return "\n".join([*lines, r"SPACE: /[ \n]{1,8}/"])


def _parameters(tool: Tool) -> object:
    """Return the schema of the arguments: always an object, and an empty one where the tool takes none."""
    parameters = dict(tool.parameters)
    if not any(key in parameters for key in ("type", "$ref", "anyOf", "oneOf", "allOf", "enum", "const")):
        parameters["type"] = "object"
    silent = ("properties", "additionalProperties", "patternProperties", "required", "$ref", "anyOf", "oneOf", "allOf")
    if parameters.get("type") == "object" and not any(parameters.get(key) for key in silent):
        parameters["additionalProperties"] = False
    return parameters


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if text else ""
