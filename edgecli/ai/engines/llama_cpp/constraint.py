"""Hold an answer to a form, token by token, with llguidance.

JSON comes on one line, with one space after each `:` and `,` and no other whitespace. Models have seen JSON so in
their training (it is what `json.dumps` writes, and what chat templates write of tools and their calls), and where no
whitespace can be chosen, none can be repeated for ever, as small models like to do. Strings hold characters as they
are, never as `\\uXXXX`: Chinese stays readable, and no half of a surrogate pair can come.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgecli.ai.engines.generation import Constraint
from edgecli.ai.engines.llama_cpp.constraint_tokens import make_tokenizer
from edgecli.ai.engines.llama_cpp.gguf_model import GgufModel
from edgecli.ai.engines.llama_cpp.json_schema import PATTERN_SIZE, prepare_schema, unsupported
from edgecli.ai.engines.llama_cpp.regex_size import regex_size
from edgecli.ai.engines.llama_cpp.schema_parts import any_object
from edgecli.errors import UsageError

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

Logits: TypeAlias = NDArray[np.float32]

JSON_STYLE: dict[str, Any] = {
    "item_separator": ", ",
    "key_separator": ": ",
    "whitespace_flexible": False,
    "json_allowed_escapes": 'nrbtf\\"',
}
"""llguidance's `x-guidance` key at the top of a schema."""

_KEPT = 64
_PROBED_TOKENS = 4
_FEW = 512


class TokenMatcher:
    """Where one answer stands in its form. Belongs to one thread at a time."""

    def __init__(self, matcher: LLMatcher, *, vocabulary: int, endings: NDArray[np.intp]) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._endings = endings
        self._mask = np.zeros((vocabulary + 31) // 32, dtype=np.int32)
        self._bits = self._mask.view(np.uint8)
        self._address = self._mask.ctypes.data

    @property
    def ended(self) -> bool:
        """Whether the answer is complete and nothing but its end may come."""
        return self._matcher.is_stopped()

    def restrict(self, logits: Logits) -> None:
        """Set the logits, `(vocabulary,)`, of tokens that may not come to -inf, in place.

        Tokens that end an answer may come where it may end. Raises UsageError, code `constraint_failed`, if the form
        needs more work here than is allowed for one token.
        """
        matcher = self._matcher
        if matcher.is_stopped():
            self._check()
            allowed = self._endings
        else:
            matcher.unsafe_compute_mask_ptr(self._address, self._mask.nbytes)
            if matcher.is_error():
                self._check()
            bits = np.unpackbits(self._bits, count=self._vocabulary, bitorder="little").view(np.bool_)
            if np.count_nonzero(bits) > _FEW:
                np.copyto(logits, -np.inf, where=~bits)
                return
            allowed = np.flatnonzero(bits)
        kept = logits[allowed]
        logits.fill(-np.inf)
        logits[allowed] = kept

    def accept(self, token: int) -> None:
        """Take the token that came. Raises UsageError, code `constraint_failed`, if it was not allowed."""
        if not self._matcher.consume_token(token):
            self._check()

    def try_accept(self, tokens: list[int]) -> bool:
        """Take tokens if all of them are allowed; after False the matcher is of no use any more."""
        return self._matcher.consume_tokens(tokens)

    def copy(self) -> TokenMatcher:
        """Return a matcher at the same place that goes its own way."""
        return TokenMatcher(self._matcher.deep_copy(), vocabulary=self._vocabulary, endings=self._endings)

    def _check(self) -> None:
        if self._matcher.is_error():
            raise UsageError(
                f"AiError: JSON Mode couldn't be met: {_first_line(self._matcher.get_error())}",
                hint="Use a simpler schema or pattern.",
                code="constraint_failed",
            )


class ConstraintCompiler:
    """Makes matchers for the vocabulary of one model. Safe from several threads."""

    def __init__(self, model: GgufModel) -> None:
        """Nothing is read yet: the first matcher, or `warm`, takes a second or more (see `make_tokenizer`)."""
        self._model = model
        self._tokenizer: LLTokenizer | None = None
        self._endings: NDArray[np.intp] = np.empty(0, dtype=np.intp)
        self._lock = threading.RLock()
        self._kept: OrderedDict[str, TokenMatcher] = OrderedDict()

    def warm(self) -> None:
        """Read the vocabulary, if it has not been."""
        with self._lock:
            if self._tokenizer is None:
                self._tokenizer = make_tokenizer(self._model)
                self._endings = np.array(self._tokenizer.eos_tokens, dtype=np.intp)

    def compile(self, constraint: Constraint) -> TokenMatcher:
        """Return a matcher for answers of the form `constraint`.

        Raises UsageError, code `schema_unsupported`, that names what the form asks for and cannot have.
        """
        if constraint.kind == "json":
            return self._matcher(_schema_grammar(any_object()), "the form of the answer")
        if constraint.kind == "json_schema":
            subject = "the JSON Schema"
            return self._matcher(_schema_grammar(prepare_schema(constraint.source, subject)), subject)
        subject = "the regular expression"
        return self._matcher(_regex_grammar(constraint.source, subject), subject)

    def compile_grammar(self, lark: str, subject: str) -> TokenMatcher:
        """Return a matcher for a grammar in llguidance's Lark syntax, made by edgecli itself.

        Its JSON Schemas come from `embed_schema`. Raises UsageError as `compile` does, naming `subject`.
        """
        return self._matcher(_llguidance().LLMatcher.grammar_from_lark(lark), subject)

    def tokens_of(self, text: bytes) -> list[int]:
        """Return tokens that spell `text`."""
        self.warm()
        assert self._tokenizer is not None
        return self._tokenizer.tokenize_bytes(text)

    def _matcher(self, grammar: str, subject: str) -> TokenMatcher:
        with self._lock:
            if (kept := self._kept.get(grammar)) is not None:
                self._kept.move_to_end(grammar)
                return kept.copy()
        self.warm()
        fresh = self._compile(grammar, subject)
        with self._lock:
            self._kept[grammar] = fresh
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            return fresh.copy()

    def _compile(self, grammar: str, subject: str) -> TokenMatcher:
        library = _llguidance()
        assert self._tokenizer is not None
        limits = library.LLParserLimits(verbose_errors=False)
        made = library.LLMatcher(self._tokenizer, grammar, log_level=0, limits=limits)
        if problem := made.get_error() or _probe(made.deep_copy()):
            said = _first_line(problem)
            raise unsupported(
                f"{subject} asks for what answers cannot be held to: "
                f"{'nothing fits it' if said == 'NoExtensionBias' else said}",
                hint="Ask for less, or say it with other keywords.",
            )
        return TokenMatcher(made, vocabulary=self._model.vocabulary_size, endings=self._endings)


def embed_schema(schema: Any, subject: str) -> str:
    """Return a JSON Schema as a part of a Lark grammar. Raises UsageError as `prepare_schema` does."""
    return "%json " + json.dumps(prepare_schema(schema, subject) | {"x-guidance": JSON_STYLE})


def _schema_grammar(prepared: dict[str, Any]) -> str:
    return _llguidance().LLMatcher.grammar_from_json_schema(json.dumps(prepared), overrides=JSON_STYLE)


def _regex_grammar(source: Any, subject: str) -> str:
    if not isinstance(source, str):
        raise unsupported(f"{subject} is no text", hint="Send the pattern as a string.")
    # The whole answer has to match, so that anchors at the ends say nothing new; llguidance has none.
    pattern = source.removeprefix("^")
    if pattern.endswith("$") and not pattern.endswith("\\$"):
        pattern = pattern[:-1]
    if regex_size(pattern) > PATTERN_SIZE:
        raise unsupported(
            f"{subject} is longer than {PATTERN_SIZE} characters with its repetitions written out",
            hint="Use smaller numbers in `{…}`.",
        )
    library = _llguidance()
    # As in JSON Schema, `\\d` and `\\w` are ASCII; `\\s` is any whitespace.
    return library.LLMatcher.grammar_from_regex(library.regex_to_lark(f"(?:{pattern})", "dw"))


def _probe(matcher: LLMatcher) -> str:
    """Walk some tokens into a form and return what goes wrong, or an empty string: limits show at the first masks."""
    for _ in range(_PROBED_TOKENS):
        if matcher.is_stopped():
            break
        bits = np.unpackbits(np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8), bitorder="little")
        if matcher.is_error() or not matcher.consume_token(int(bits.argmax())):
            break
    return matcher.get_error()


def _first_line(problem: str) -> str:
    lines = [line.strip() for line in problem.strip().splitlines() if line.strip()]
    said = next((line for line in lines if line.startswith("error:")), lines[0] if lines else "no reason given")
    return said.removeprefix("error:").strip()[:200]


def _llguidance() -> Any:
    import llguidance

    return llguidance
