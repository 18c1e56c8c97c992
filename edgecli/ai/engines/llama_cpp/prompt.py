"""Make the tokens of a request's prompt."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from edgecli.ai.engines.chat_template import ChatTemplate
from edgecli.ai.engines.generation import GenerationRequest
from edgecli.ai.engines.llama_cpp.gguf_model import GgufModel

# Private-use characters: no text that a person writes holds them in this form.
_MARK = re.compile("\ue5a1([0-9]+)\ue5a2")


class PromptMaker:
    """Turn conversations into tokens, with the template and vocabulary of one model."""

    def __init__(self, model: GgufModel) -> None:
        self._model = model
        self._template = ChatTemplate(model.chat_template, bos=model.bos, eos=model.eos)

    def tokens(self, request: GenerationRequest) -> list[int]:
        """Return the prompt's tokens.

        What a message says is text, even where it spells a token of structure such as `<|im_end|>`: a
        document cannot end its message and speak as the system. A raw prompt is the caller's own and is read
        with its structure. Raises UsageError if the template refuses the conversation.
        """
        if request.raw_prompt is not None:
            return self._model.tokenize(request.raw_prompt, special=True, begin=True)
        hidden: list[str] = []
        messages = [self._disarm(message, hidden) for message in request.messages or ()]
        return self._tokenize_marked(self._template.render(messages), hidden)

    def _disarm(self, message: Mapping[str, Any], hidden: list[str]) -> dict[str, Any]:
        """Replace each token of structure in the content by a mark that passes through the template."""
        content = message.get("content")
        if not isinstance(content, str) or not self._has_structure(content):
            return dict(message)

        def mark(match: re.Match[str]) -> str:
            hidden.append(match.group())
            return f"\ue5a1{len(hidden) - 1}\ue5a2"

        spelled = "|".join(re.escape(text) for text in self._model.special_texts)
        return {**message, "content": re.sub(f"{spelled}|{_MARK.pattern}", mark, content)}

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
