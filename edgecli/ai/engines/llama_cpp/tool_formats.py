"""How models write calls of tools, recognised by their chat templates.

Sources: the templates that the model's makers publish (Qwen2.5, Hermes 2 Pro, Llama 3.1 and 3.2, Mistral Nemo,
Ministral 3).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ToolFormat:
    """One way of writing calls."""

    name: Literal["hermes", "llama", "mistral", "generic"]
    native: bool
    """Whether the template takes `tools`, `tool_calls` and `tool` messages; else they are written into the text."""
    opening: str
    """What comes before a call, or before the list of them."""
    closing: str = ""
    """What comes after each call."""
    named: str = ""
    """What comes between the bare name of a tool and its arguments; else both are in one JSON object."""
    listed: bool = False
    """Whether the calls are one JSON array."""
    leading: bool = False
    """Whether a call may also begin the answer without `opening`."""
    key: str = "arguments"
    """What the model names the arguments."""
    calls: int = 8
    """How many calls an answer may have."""


HERMES = ToolFormat("hermes", native=True, opening="<tool_call>", closing="</tool_call>")
LLAMA = ToolFormat("llama", native=True, opening="<|python_tag|>", leading=True, key="parameters", calls=1)
MISTRAL = ToolFormat("mistral", native=True, opening="[TOOL_CALLS]", listed=True)
MISTRAL_NAMED = ToolFormat("mistral", native=True, opening="[TOOL_CALLS]", named="[ARGS]")
# One call: models that have not been trained on tools, the small ones above all, repeat a call for as long as they may.
GENERIC = ToolFormat("generic", native=False, opening="<tool_call>", closing="</tool_call>", calls=1)

# Qwen3-Coder writes `<function=NAME><parameter=KEY>` inside Hermes's tags, GLM `<arg_key>`; Mistral Small 3.2 writes
# `[TOOL_CALLS]NAME[CALL_ID]ID[ARGS]{…}`, Apriel `<tool_calls>[…]</tool_calls>`, MiniMax `<invoke name=…>`.
_OTHERS = re.compile(r"<function=|<arg_key>|\[CALL_ID\]|<tool_calls>|<invoke ")


def tool_format(template_source: str | None) -> ToolFormat:
    """Return how the model with this chat template writes calls.

    A template that takes tools in a form that is not known here is not given any: its model is told in the system
    message to use the generic form, as is one that has never seen tools.
    """
    source = template_source or ""
    if not re.search(r"\btools\b", source) or _OTHERS.search(source):
        return GENERIC
    if HERMES.opening in source and "arguments" in source:
        return HERMES
    if MISTRAL.opening in source:
        return MISTRAL_NAMED if MISTRAL_NAMED.named in source else MISTRAL
    return LLAMA if '"parameters": dictionary of argument' in source else GENERIC
