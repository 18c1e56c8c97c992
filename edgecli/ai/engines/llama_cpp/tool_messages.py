"""Bring tools, calls and their results into a conversation, in the form that a model's template takes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from edgecli.ai.engines.generation import Tool
from edgecli.ai.engines.llama_cpp.tool_formats import ToolFormat
from edgecli.errors import UsageError

Message = dict[str, Any]

_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_INSTRUCTIONS = """# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{tools}
</tools>

For each function call, return a json object with function name and arguments within {opening}{closing} XML tags:
{opening}
{{"name": <function-name>, "arguments": <args-json-object>}}
{closing}"""


def template_tools(form: ToolFormat, tools: Sequence[Tool], choice: str) -> list[dict[str, Any]] | None:
    """Return the tools as the template takes them, OpenAI's form; None if it is to see none."""
    return [_described(tool) for tool in tools] if form.native and tools and choice != "none" else None


def instructions(form: ToolFormat, tools: Sequence[Tool], choice: str) -> str:
    """Return what the system message has to say of tools to a model whose template does not; may be empty."""
    if form.native or not tools or choice == "none":
        return ""
    listed = "\n".join(json.dumps(_described(tool), ensure_ascii=False) for tool in tools)
    text = _INSTRUCTIONS.format(tools=listed, opening=form.opening, closing=form.closing)
    if choice == "required":
        return f"{text}\n\nAnswer with a function call."
    return f"{text}\n\nAnswer with a call of the function {choice[1:]}." if choice.startswith("=") else text


def prepare_messages(
    form: ToolFormat,
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Tool],
    choice: str,
    *,
    clean: Callable[[Message], Message] = lambda message: message,
) -> list[Message]:
    """Return the conversation with calls and results as the model's template takes them.

    Calls may come flat or in OpenAI's form; results are matched to calls by `tool_call_id`, and without one by
    their order. `clean` sees each message before anything is written into it, and its calls as objects: JSON may hide
    what a text says. Raises UsageError, cf_code 5006, for a call without a name.
    """
    normal = [clean(message) for message in _normalise(messages)]
    if not form.native:
        return _with_instructions(_as_text(form, normal), instructions(form, tools, choice))
    if form.calls == 1:
        normal = _one_call_each(normal)
    if form.name == "mistral":
        normal = [_with_short_ids(message) for message in normal]
    return normal


def _described(tool: Tool) -> dict[str, Any]:
    parameters = tool.parameters or {"type": "object", "properties": {}}
    function = {"name": tool.name, "description": tool.description, "parameters": dict(parameters)}
    return {"type": "function", "function": function}


def _normalise(messages: Sequence[Mapping[str, Any]]) -> list[Message]:
    """Give each call an id and its arguments as an object, and each result the id and name of its call."""
    out: list[Message] = []
    names: dict[str, str] = {}
    waiting: list[str] = []  # ids of calls that have no result yet
    for index, message in enumerate(messages):
        role = message["role"]
        copy = {key: value for key, value in message.items() if key not in ("tool_calls", "tool_call_id", "name")}
        copy["content"] = "" if message.get("content") is None else message["content"]
        if role == "assistant" and message.get("tool_calls"):
            calls = [
                _call(call, f"/messages/{index}/tool_calls/{number}", f"call_{index}_{number}")
                for number, call in enumerate(message["tool_calls"])
            ]
            copy["tool_calls"] = calls
            waiting = [call["id"] for call in calls]
            names |= {call["id"]: call["function"]["name"] for call in calls}
        elif role == "tool":
            identity = message.get("tool_call_id") or (waiting[0] if waiting else f"call_{index}")
            waiting = [each for each in waiting if each != identity]
            copy |= {"tool_call_id": identity, "name": message.get("name") or names.get(identity, "")}
        elif message.get("name"):
            copy["name"] = message["name"]
        out.append(copy)
    return out


def _call(call: Any, place: str, identity: str) -> dict[str, Any]:
    call = cast("Mapping[str, Any]", call) if isinstance(call, Mapping) else {}
    function: Any = call.get("function", call)
    name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(name, str) or not name:
        raise UsageError(
            f"AiError: Bad input: Error: required properties at '{place}' are 'name'.",
            hint='A call is `{"name": …, "arguments": {…}}`, or the same in `function`.',
            code="bad_input",
        )
    arguments = function.get("arguments", function.get("parameters"))
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except (ValueError, RecursionError):
            arguments = {"": arguments}  # the model wrote it and may see it again
    function = {"name": name, "arguments": {} if arguments is None else arguments}
    return {"id": call.get("id") or identity, "type": "function", "function": function}


def _as_text(form: ToolFormat, messages: Sequence[Message]) -> list[Message]:
    """Write calls into the assistant's messages and results into the user's, as Hermes and Qwen have them.

    Results of several calls are one message: most templates want user and assistant to take turns.
    """
    out: list[Message] = []
    before = ""
    for message in messages:
        role, content = message["role"], message["content"]
        if role == "tool":
            result = f"<tool_response>\n{_text(content)}\n</tool_response>"
            if before == "tool":
                out[-1]["content"] += f"\n{result}"
            else:
                out.append({"role": "user", "content": result})
        elif "tool_calls" in message:
            calls = [json.dumps(call["function"], ensure_ascii=False) for call in message["tool_calls"]]
            texts = [_text(content)] if content else []
            texts += [f"{form.opening}\n{call}\n{form.closing}" for call in calls]
            out.append({"role": role, "content": "\n".join(texts)})
        else:
            out.append(message)
        before = role
    return out


def _with_instructions(messages: list[Message], text: str) -> list[Message]:
    if not text:
        return messages
    if messages and messages[0]["role"] == "system":
        first = {**messages[0], "content": f"{_text(messages[0]['content'])}\n\n{text}".lstrip()}
        return [first, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]


def _one_call_each(messages: Sequence[Message]) -> list[Message]:
    """Let each call of several stand alone, its result behind it."""
    results = {message["tool_call_id"]: message for message in messages if message["role"] == "tool"}
    out: list[Message] = []
    placed: set[str] = set()
    for message in messages:
        calls = message.get("tool_calls", [])
        if message["role"] == "tool":
            if message["tool_call_id"] not in placed:
                out.append(message)
            continue
        if not calls:
            out.append(message)
            continue
        if message["content"]:
            out.append({"role": "assistant", "content": message["content"]})
        for call in calls:
            out.append({**message, "content": "", "tool_calls": [call]})
            if (result := results.get(call["id"])) is not None and call["id"] not in placed:
                out.append(result)
                placed.add(call["id"])
    return out


def _with_short_ids(message: Message) -> Message:
    """Mistral's templates take ids of nine letters and digits only."""
    if "tool_calls" in message:
        calls = [{**call, "id": _short(call["id"])} for call in message["tool_calls"]]
        return {**message, "tool_calls": calls}
    return {**message, "tool_call_id": _short(message["tool_call_id"])} if message["role"] == "tool" else message


def _short(identity: str) -> str:
    if re.fullmatch(r"[0-9A-Za-z]{9}", identity):
        return identity
    number = int.from_bytes(hashlib.sha256(identity.encode()).digest())
    return "".join(_LETTERS[number // 62**place % 62] for place in range(9))


def _text(content: Any) -> str:
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
