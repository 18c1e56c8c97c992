"""What form an answer must have: that of a schema, of calls of tools, or of either."""

from __future__ import annotations

import logging

from edgecli.ai.engines.generation import Constraint, GenerationRequest
from edgecli.ai.engines.llama_cpp.constraint import ConstraintCompiler, embed_schema
from edgecli.ai.engines.llama_cpp.gguf_model import GgufModel
from edgecli.ai.engines.llama_cpp.job import Matcher
from edgecli.ai.engines.llama_cpp.schema_parts import any_object
from edgecli.ai.engines.llama_cpp.tool_formats import ToolFormat
from edgecli.ai.engines.llama_cpp.tool_grammar import call_grammar, chosen_tools, structure_tokens
from edgecli.ai.engines.llama_cpp.tool_guard import tool_matcher
from edgecli.errors import EdgeError

log = logging.getLogger("edgecli.ai")


class Forms:
    """Makes the matchers of one model's answers. Safe from several threads."""

    def __init__(self, model: GgufModel, form: ToolFormat) -> None:
        self._model = model
        self._form = form
        self._compiler = ConstraintCompiler(model)

    def warm(self) -> None:
        """Read the vocabulary, so that no request has to wait for it. Never fails: a request would be told."""
        try:
            self._compiler.warm()
        except EdgeError as error:
            log.debug("%s", error.message)

    def matcher(self, request: GenerationRequest) -> Matcher | None:
        """Return what holds the answer to its form; None where it is free.

        Raises UsageError for a tool that does not exist or a schema that answers cannot be held to.
        """
        constraint = request.constraint
        tools = chosen_tools(request.tools, request.tool_choice)
        if not tools:
            return self._compiler.compile(constraint) if constraint is not None else None
        if constraint is None or constraint.kind == "regex" or request.tool_choice != "auto":
            parallel = request.parallel_tool_calls
            return tool_matcher(self._compiler, self._model, self._form, tools, request.tool_choice, parallel=parallel)
        return self._call_or_answer(request, constraint)

    def _call_or_answer(self, request: GenerationRequest, constraint: Constraint) -> Matcher:
        """Hold an answer to calls of tools or to a schema, as the model chooses with its first token."""
        tools = chosen_tools(request.tools, request.tool_choice)
        structure = structure_tokens(self._model, self._form)
        count = self._form.calls if request.parallel_tool_calls else 1
        start, *rules = call_grammar(self._form, tools, calls=count, opened=False, structure=structure).splitlines()
        schema = any_object() if constraint.kind == "json" else constraint.source
        answer = f"answer: {embed_schema(schema, 'the JSON Schema')}"
        calls = start.replace("start:", "calls:", 1)
        grammar = "\n".join(["start: calls | answer", calls, answer, *rules])
        return self._compiler.compile_grammar(grammar, "the tools and the JSON Schema")
