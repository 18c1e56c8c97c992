"""Render a conversation with the model's own Jinja template.

The names and filters that templates expect are those of transformers' `apply_chat_template`. A template comes
with the model file and is not trusted: it runs in Jinja's sandbox.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgecli.errors import EngineError, UsageError

PLAIN_TEMPLATE = "{% for message in messages %}{{ message.content }}\n\n{% endfor %}"
"""For base models, which have no template: they continue the text of the messages."""

# transformers marks what the model itself says, for training; it changes nothing of the text.
_GENERATION = re.compile(r"\{%([-+]?)\s*(end)?generation\s*(-?)%\}")

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation as text for the model."""

    text: str
    warning: str | None = None
    """What had to be changed, where the template refused the conversation as it was."""


class ChatTemplate:
    """A compiled chat template."""

    def __init__(self, source: str | None, *, bos: str = "", eos: str = "") -> None:
        """Compile the template; None is a base model's.

        Raises EngineError if it is no valid Jinja.
        """
        from jinja2 import TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _to_json
        self._constants: dict[str, Any] = {
            "bos_token": bos,
            "eos_token": eos,
            "add_generation_prompt": True,
        }
        self._constants |= {"raise_exception": _refuse, "strftime_now": _now}
        try:
            self._template = environment.from_string(_GENERATION.sub(_as_condition, source or PLAIN_TEMPLATE))
        except (TemplateError, RecursionError, SyntaxError, ValueError) as error:  # Jinja writes Python
            line = getattr(error, "lineno", None)
            raise EngineError(
                f"The model's chat template is not valid Jinja: {f'line {line}: ' if line else ''}"
                f"{getattr(error, 'message', None) or error}",
                hint='Send `"raw": true` with a prompt in the form that the model expects.',
                code="template_invalid",
            ) from error

    def render(self, messages: Sequence[Message], *, tools: Sequence[Mapping[str, Any]] | None = None) -> Rendered:
        """Return the prompt for `messages`; `tools`, in OpenAI's form, are for a template that knows some.

        A conversation that the template refuses is repaired once, with a warning: its system messages go into
        the first user message, and neighbours of one role become one message. Raises UsageError if that is
        refused too.
        """
        text, refusal = self._try(messages, tools)
        if text is not None:
            return Rendered(text)
        text, still = self._try(repair(messages), tools)
        if text is not None:
            return Rendered(text, f"The chat template refused the conversation ({refusal}); edgecli merged messages.")
        raise UsageError(
            f"AiError: Bad input: Error: the model's chat template refuses '/messages': {still}",
            hint="Let user and assistant take turns, beginning with user.",
            code="messages_refused",
        )

    def _try(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] | None) -> tuple[str | None, str]:
        from jinja2 import TemplateError

        try:
            names = {**self._constants, "tools": tools, "messages": [dict(message) for message in messages]}
            return self._template.render(names), ""
        except (
            TemplateError,
            ArithmeticError,
            AttributeError,
            LookupError,
            RecursionError,
            TypeError,
            ValueError,
        ) as error:
            return None, str(error) or type(error).__name__


def repair(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return the conversation without system messages and without neighbours of one role, no text lost."""
    instructions = [_text(message) for message in messages if message["role"] == "system"]
    merged: list[dict[str, Any]] = []
    for message in messages:
        if message["role"] == "system":
            continue
        if merged and merged[-1]["role"] == message["role"] and not (_calls(message) or _calls(merged[-1])):
            merged[-1]["content"] = _join([_text(merged[-1]), _text(message)])
        else:
            merged.append(dict(message))
    if instructions:
        first = next((message for message in merged if message["role"] == "user"), None)
        if first is None:
            merged.insert(0, {"role": "user", "content": _join(instructions)})
        else:
            first["content"] = _join([*instructions, _text(first)])
    return merged


def _calls(message: Message) -> bool:
    return message["role"] == "tool" or bool(message.get("tool_calls"))


def _text(message: Message) -> str:
    return str(message.get("content") or "")


def _join(parts: Sequence[str]) -> str:
    return "\n\n".join(part for part in parts if part)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    # Jinja's own filter escapes `<` and `'` for HTML, which models have not seen in training.
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _as_condition(tag: re.Match[str]) -> str:
    return f"{{%{tag[1]} {'endif' if tag[2] else 'if true'} {tag[3]}%}}"


def _now(form: str) -> str:
    return datetime.datetime.now().astimezone().strftime(form)


def _refuse(message: str) -> None:
    from jinja2 import TemplateError

    raise TemplateError(message)
