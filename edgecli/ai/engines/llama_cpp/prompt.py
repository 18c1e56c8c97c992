"""Make the tokens of a request's prompt."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, cast

from edgecli.ai.engines.chat_template import ChatTemplate
from edgecli.ai.engines.generation import GenerationRequest, Tool
from edgecli.ai.engines.llama_cpp.gguf_model import GgufModel
from edgecli.ai.engines.llama_cpp.reasoning import reasoning_marks
from edgecli.ai.engines.llama_cpp.tool_formats import tool_format
from edgecli.ai.engines.llama_cpp.tool_messages import prepare_messages, template_tools

# Private-use characters: no text that a person writes holds them in this form.
_MARK = re.compile("\ue5a1([0-9]+)\ue5a2")


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model is given."""

    tokens: list[int]
    warning: str | None = None
    """What had to be changed for the model's template."""
    thinks: bool = False
    """Whether it ends behind the opening of what the model thinks: see `reasoning.py`."""


class PromptMaker:
    """Turn conversations into tokens, with the template and vocabulary of one model."""

    def __init__(self, model: GgufModel) -> None:
        self._model = model
        self.form = tool_format(model.chat_template)
        """How the model writes calls of tools."""
        self.marks = reasoning_marks(model.chat_template)
        """How it marks what it thinks, if its template knows of that."""

    @cached_property
    def _template(self) -> ChatTemplate:
        """Compiled when it is first needed: a raw prompt needs none, whatever the model brings."""
        return ChatTemplate(self._model.chat_template, bos=self._model.bos, eos=self._model.eos)

    def make(self, request: GenerationRequest) -> Prompt:
        """Return the prompt of a request.

        What a message or the description of a tool says is text, even where it spells a token of structure such as
        `<|im_end|>`: a document cannot end its message and speak as the system. A raw prompt is the caller's own and
        is read with its structure. Raises UsageError if the template refuses the conversation, EngineError if it is
        no valid Jinja.
        """
        if request.raw_prompt is not None:
            return Prompt(self._model.tokenize(request.raw_prompt, special=True, begin=True))
        hidden: list[str] = []
        clean = partial(self._disarm, hidden=hidden)
        tools = [Tool(clean(tool.name), clean(tool.description), clean(tool.parameters)) for tool in request.tools]
        choice = clean(request.tool_choice)
        messages = prepare_messages(self.form, request.messages or (), tools, choice, clean=clean)
        rendered = self._template.render(messages, tools=template_tools(self.form, tools, choice))
        thinks = self.marks is not None and rendered.text.rstrip().endswith(self.marks.opening)
        return Prompt(self._tokenize_marked(rendered.text, hidden), rendered.warning, thinks)

    def _disarm(self, value: Any, hidden: list[str]) -> Any:
        """Replace each token of structure in all texts and names by a mark that passes through the template."""
        if isinstance(value, Mapping):
            items = cast("Mapping[str, Any]", value).items()
            return {self._disarm(key, hidden): self._disarm(each, hidden) for key, each in items}
        if isinstance(value, list):
            return [self._disarm(each, hidden) for each in cast("list[Any]", value)]
        if not isinstance(value, str) or not self._has_structure(value):
            return value

        def mark(match: re.Match[str]) -> str:
            hidden.append(match.group())
            return f"\ue5a1{len(hidden) - 1}\ue5a2"

        spelled = "|".join(re.escape(text) for text in self._model.special_texts)
        return re.sub(f"{spelled}|{_MARK.pattern}", mark, value)

    def _has_structure(self, content: str) -> bool:
        plain = self._model.tokenize(content, special=False)
        return self._model.tokenize(content, special=True) != plain or _MARK.search(content) is not None

    def _tokenize_marked(self, text: str, hidden: list[str]) -> list[int]:
        # A template writes the first token itself, or leaves it to the tokenizer: never twice.
        begin = not (self._model.bos and text.startswith(self._model.bos))
        tokens: list[int] = []
        position = 0
        for match in _MARK.finditer(text):
            tokens += self._model.tokenize(text[position : match.start()], special=True, begin=begin and not tokens)
            tokens += self._model.tokenize(hidden[int(match.group(1))], special=False)
            position = match.end()
        return tokens + self._model.tokenize(text[position:], special=True, begin=begin and not tokens)
