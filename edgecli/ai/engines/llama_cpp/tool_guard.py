"""Let an answer be free text until it calls a tool, and hold the call to its form."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from edgecli.ai.engines.generation import Tool
from edgecli.ai.engines.llama_cpp.constraint import ConstraintCompiler, Logits, TokenMatcher
from edgecli.ai.engines.llama_cpp.gguf_model import GgufModel
from edgecli.ai.engines.llama_cpp.tool_formats import ToolFormat
from edgecli.ai.engines.llama_cpp.tool_grammar import call_grammar, chosen_tools, structure_tokens

_LONGEST_LEAD = 256  # bytes in which an answer that begins with `{` must name a tool


class ToolGuard:
    """What `TokenMatcher` is, for `tool_choice` auto: restricts nothing before a call is opened."""

    def __init__(
        self,
        compiler: ConstraintCompiler,
        model: GgufModel,
        form: ToolFormat,
        whole: TokenMatcher,
        names: Sequence[str],
        structure: Mapping[int, bytes],
    ) -> None:
        """`whole` matches what comes behind an opening; it is copied."""
        self._compiler = compiler
        self._model = model
        self._form = form
        self._whole = whole
        self._structure = structure
        self._opening = form.opening.encode()
        known = "|".join(re.escape(name) for name in names)
        # JSON that an answer consists of is not yet a call: only the name of a tool makes it one.
        self._lead = re.compile(rf'\s*(\{{\s*"name"\s*:\s*"(?:{known})")'.encode()) if form.leading else None
        self._names = names
        self._seen = b""
        self._matcher: TokenMatcher | None = None

    @property
    def ended(self) -> bool:
        """Whether the calls are complete and nothing but the end may come."""
        return self._matcher is not None and self._matcher.ended

    def restrict(self, logits: Logits) -> None:
        """Set the logits, `(vocabulary,)`, of tokens that would break an open call to -inf, in place."""
        if self._matcher is not None:
            self._matcher.restrict(logits)

    def accept(self, token: int) -> None:
        """Take the token that came."""
        if self._matcher is not None:
            self._matcher.accept(token)
            return
        self._seen += self._structure.get(token) or self._model.piece(token)
        rest = self._after_opening()
        if rest is not None:
            matcher = self._whole.copy()
            # A token may reach beyond the opening; where that does not fit, the text is no call.
            if not rest or matcher.try_accept(self._compiler.tokens_of(rest)):
                self._matcher = matcher

    def copy(self) -> ToolGuard:
        """Return a guard at the same place that goes its own way."""
        other = ToolGuard(self._compiler, self._model, self._form, self._whole, self._names, self._structure)
        other._lead, other._seen = self._lead, self._seen
        other._matcher = self._matcher.copy() if self._matcher is not None else None
        return other

    def _after_opening(self) -> bytes | None:
        """Return what came after the opening of a call, or None if there was none; forget what cannot matter."""
        if self._lead is not None:
            if (found := self._lead.match(self._seen)) is not None:
                return self._seen[found.start(1) :]
            begun = self._seen.lstrip()
            if len(self._seen) > _LONGEST_LEAD or (begun and not begun.startswith(b"{")):
                self._lead = None
        at = self._seen.find(self._opening)
        if at >= 0:
            rest = self._seen[at + len(self._opening) :]
            self._seen = rest
            self._lead = None
            return rest
        if self._lead is None:
            self._seen = self._seen[-(len(self._opening) - 1) :]
        return None


def tool_matcher(
    compiler: ConstraintCompiler,
    model: GgufModel,
    form: ToolFormat,
    tools: Sequence[Tool],
    choice: str,
    *,
    parallel: bool = True,
) -> TokenMatcher | ToolGuard | None:
    """Return what holds the answer to calls of tools; None if no tool may be called.

    `choice` is as in `GenerationRequest.tool_choice`; without `parallel` one call is all. Raises UsageError: cf_code
    5006 for a tool that does not exist, code `schema_unsupported` for parameters that arguments cannot be held to.
    """
    allowed = chosen_tools(tools, choice)
    if not allowed:
        return None
    structure = structure_tokens(model, form)
    calls = 1 if choice.startswith("=") or not parallel else form.calls
    grammar = call_grammar(form, allowed, calls=calls, opened=choice == "auto", structure=structure)
    whole = compiler.compile_grammar(grammar, "the tools")
    if choice != "auto":
        return whole
    return ToolGuard(compiler, model, form, whole, [tool.name for tool in allowed], structure)
