"""How a request is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

from pydantic import Field

from edgecli.ai.engines.generation import Constraint, GenerationRequest, Tool
from edgecli.ai.tasks.answer_form import read_format
from edgecli.ai.tasks.content import read_text
from edgecli.ai.tasks.conversation import Conversation
from edgecli.ai.tasks.text_generation import Stops
from edgecli.ai.tasks.text_request import Defaults
from edgecli.ai.tasks.tools import MAX_TOOLS, ToolName, named_choice, read_choice
from edgecli.ai.tasks.validation import TaskInput, bad_input, parse
from edgecli.ai.v1.messages.blocks import read_turn
from edgecli.ai.v1.sampling import Count, ModelId, Sampling

REFUSED = {
    "mcp_servers": "edgecli connects to no servers",
    "container": "edgecli runs no code",
}


class ToolInput(TaskInput):
    """A tool that the client runs."""

    name: ToolName
    description: str | None = None
    input_schema: dict[str, Any]


class Turn(TaskInput):
    """One message of a conversation."""

    role: Literal["user", "assistant", "system"]
    content: Any = None


class Counted(TaskInput):
    """What makes the prompt: all that counting its tokens needs."""

    model: ModelId
    messages: Annotated[list[Turn], Field(min_length=1)]
    system: Any = None
    tools: list[dict[str, Any]] = Field(default_factory=list[Any], max_length=MAX_TOOLS)
    tool_choice: dict[str, Any] | None = None


class MessageInput(Counted, Sampling):
    """The body of a request. `metadata` and what else a hosted service would do with it is ignored."""

    max_tokens: Count
    stop_sequences: Stops = Field(default_factory=list[str])
    thinking: dict[str, Any] | None = None
    """Whether the client wants to read what the model thinks; that it thinks is up to the model."""
    output_config: dict[str, Any] | None = None
    output_format: dict[str, Any] | None = None
    """The older place of `output_config.format`."""


@dataclass(frozen=True, slots=True)
class MessageCall:
    """A request that has been read."""

    model: str
    request: GenerationRequest
    stream: bool
    thinking: bool = False
    """Whether what the model thinks is told, in a block of its own; else it is left out."""


class _Tools(TaskInput):
    tools: list[ToolInput]


def read_input(body: Mapping[str, Any], defaults: Defaults) -> MessageCall:
    """Return the checked request. Raises UsageError, cf_code 5006, naming the field and its value."""
    for name, reason in REFUSED.items():
        if body.get(name):
            raise bad_input(f"'/{name}' is not taken: {reason}", hint=f"Leave `{name}` out.")
    checked = parse(MessageInput, body)
    request = GenerationRequest(
        **_prompt(checked),
        max_tokens=checked.max_tokens,
        temperature=defaults.temperature if checked.temperature is None else checked.temperature,
        top_p=checked.top_p,
        top_k=checked.top_k,
        min_p=checked.min_p,
        stop=tuple(checked.stop_sequences),
        constraint=_constraint(checked),
        split_reasoning=True,
    )
    wanted = (checked.thinking or {}).get("type") in {"enabled", "adaptive"}
    return MessageCall(checked.model, request, checked.stream, wanted)


def read_counted(body: Mapping[str, Any]) -> tuple[str, GenerationRequest]:
    """Return the model and the prompt whose tokens are to be counted. Raises UsageError as `read_input` does."""
    checked = parse(Counted, body)
    return checked.model, GenerationRequest(**_prompt(checked))


def _prompt(checked: Counted) -> dict[str, Any]:
    tools = _tools(checked.tools)
    return {
        "messages": _messages(checked),
        "tools": tools,
        "tool_choice": _choice(checked.tool_choice, tools),
        "parallel_tool_calls": not (checked.tool_choice or {}).get("disable_parallel_tool_use"),
    }


def _messages(checked: Counted) -> list[dict[str, Any]]:
    if checked.messages[-1].role == "assistant":
        raise bad_input(
            f"'/messages/{len(checked.messages) - 1}/role' is \"assistant\": edgecli cannot continue a turn that "
            "the client began; the conversation must end with a user message",
            hint="Ask for a form with `output_config.format` and a JSON Schema.",
        )
    conversation = Conversation()
    if checked.system:
        conversation.say("system", read_text(checked.system, "/system"))
    for number, turn in enumerate(checked.messages):
        read_turn(conversation, turn.role, turn.content, f"/messages/{number}/content")
    return conversation.messages


def _tools(given: Sequence[Mapping[str, Any]]) -> tuple[Tool, ...]:
    for number, tool in enumerate(given):
        if (kind := tool.get("type") or "custom") != "custom":
            raise bad_input(
                f"'/tools/{number}/type' is {kind!r}: edgecli runs no tools of its own",
                hint="Send tools with `name`, `description` and `input_schema`, which your own program runs.",
            )
    tools = parse(_Tools, {"tools": list(given)}).tools
    return tuple(Tool(tool.name, tool.description or "", tool.input_schema) for tool in tools)


def _choice(choice: Mapping[str, Any] | None, tools: Sequence[Tool]) -> str:
    if choice is None:
        return "auto"
    kind = choice.get("type")
    if kind == "tool":
        return named_choice(str(choice.get("name")), tools)
    if kind not in {"auto", "any", "none"}:
        raise bad_input(f"'/tool_choice/type' is {kind!r}: unknown", hint='It takes "auto", "any", "tool" and "none".')
    return read_choice("required" if kind == "any" else kind, tools)


def _constraint(checked: MessageInput) -> Constraint | None:
    form = cast("Any", (checked.output_config or {}).get("format")) or checked.output_format
    return read_format(form, "/output_config/format")
