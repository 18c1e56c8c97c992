"""How a request is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import Field

from edgecli.ai.engines.generation import GenerationRequest, Tool
from edgecli.ai.tasks.answer_form import read_format
from edgecli.ai.tasks.text_generation import Whole
from edgecli.ai.tasks.text_request import Defaults
from edgecli.ai.tasks.tools import Tools, read_choice
from edgecli.ai.tasks.validation import TaskInput, bad_input, mismatch, parse
from edgecli.ai.v1.responses.items import read_items
from edgecli.ai.v1.sampling import Count, Sampling

if TYPE_CHECKING:
    from edgecli.ai.v1.responses.memory import ResponseMemory

REFUSED = {
    "background": "an answer is given at once, or as a stream",
    "conversation": "edgecli keeps no conversations: send `previous_response_id`",
    "prompt": "edgecli keeps no prompt templates: send `input` and `instructions`",
}
LOGPROBS = "message.output_text.logprobs"


class Text(TaskInput):
    """What form the answer must have."""

    format: dict[str, Any] | None = None
    verbosity: Any = None


class ResponseInput(Sampling):
    """The body of a request. What a hosted service would do with it (`store`, `metadata`, …) comes back unused."""

    input: Any = None
    instructions: str | None = None
    previous_response_id: str | None = None
    max_output_tokens: Count | None = None
    top_logprobs: Annotated[int, Whole, Field(ge=0, le=20)] | None = None
    include: list[str] = Field(default_factory=list[str])
    tools: list[dict[str, Any]] = Field(default_factory=list[Any])
    tool_choice: Any = None
    parallel_tool_calls: bool = True
    text: Text = Field(default_factory=Text)
    truncation: Literal["auto", "disabled"] = "disabled"
    store: bool = True
    """Whether a later request may name this one as `previous_response_id`."""
    metadata: dict[str, Any] = Field(default_factory=dict[str, Any])


class _Tools(TaskInput):
    tools: Tools


@dataclass(frozen=True, slots=True)
class ResponseCall:
    """A request that has been read."""

    request: GenerationRequest
    body: ResponseInput
    conversation: tuple[dict[str, Any], ...]
    """The messages that a following request continues: all but `instructions`, which do not carry over."""

    @property
    def logprobs(self) -> bool:
        return self.request.logprobs is not None


def read_input(body: Mapping[str, Any], defaults: Defaults, memory: ResponseMemory) -> ResponseCall:
    """Return the checked request. Raises UsageError, cf_code 5006, naming the field and its value."""
    for name, reason in REFUSED.items():
        if body.get(name):
            raise bad_input(f"'/{name}' is not taken: {reason}", hint=f"Leave `{name}` out.")
    checked = parse(ResponseInput, body)
    earlier = () if checked.previous_response_id is None else memory.conversation(checked.previous_response_id)
    conversation = read_items(_items(checked.input), earlier)
    tools = _tools(checked.tools)
    tools, choice = _choice(checked.tool_choice, tools)
    wants_logprobs = LOGPROBS in checked.include or checked.top_logprobs is not None
    instructions = [{"role": "system", "content": checked.instructions}] if checked.instructions else []
    request = GenerationRequest(
        messages=[*instructions, *conversation],
        max_tokens=checked.max_output_tokens or defaults.max_tokens,
        temperature=defaults.temperature if checked.temperature is None else checked.temperature,
        top_p=checked.top_p,
        top_k=checked.top_k,
        min_p=checked.min_p,
        logprobs=(checked.top_logprobs or 0) if wants_logprobs else None,
        constraint=read_format(checked.text.format, "/text/format"),
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=checked.parallel_tool_calls,
        split_reasoning=True,
        truncate="head" if checked.truncation == "auto" else None,
    )
    return ResponseCall(request, checked, tuple(conversation))


def _items(given: Any) -> list[Any]:
    if isinstance(given, str) and given:
        return [{"role": "user", "content": given}]
    if isinstance(given, list) and given:
        return cast("list[Any]", given)
    if given is None:
        raise bad_input("required properties at '/' are 'input'")
    if given in ("", []):
        raise bad_input("'/input' is empty", hint="Send a text, or a list of items.")
    raise bad_input(mismatch("/input", "string', 'array", given))


def _tools(given: Sequence[Mapping[str, Any]]) -> tuple[Tool, ...]:
    for number, tool in enumerate(given):
        if tool.get("type", "function") != "function":
            raise bad_input(
                f"'/tools/{number}/type' is \"{tool.get('type')}\": edgecli runs no tools of its own",
                hint='Send tools of the type "function", which your own program runs.',
            )
    return tuple(tool.function.to_tool() for tool in parse(_Tools, {"tools": list(given)}).tools)


def _choice(choice: Any, tools: tuple[Tool, ...]) -> tuple[tuple[Tool, ...], str]:
    """Return the tools that may be called, and the choice among them."""
    if not isinstance(choice, dict):
        return tools, read_choice(choice, tools)
    entry = cast("dict[str, Any]", choice)
    if entry.get("type") != "allowed_tools":
        return tools, read_choice(entry, tools)
    names = {cast("dict[str, Any]", each).get("name") for each in entry.get("tools", ()) if isinstance(each, dict)}
    allowed = tuple(tool for tool in tools if tool.name in names)
    return allowed, read_choice(entry.get("mode", "auto"), allowed)
