"""Text embeddings: what goes in and what comes out, as Workers AI has it.

Every model takes `text`. What else some take says their form on the wire: `contexts` is a query and what it is
compared with, `queries` are questions and documents that the model embeds differently.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NotRequired

from pydantic import BeforeValidator, Field
from typing_extensions import TypedDict

from edgecli.ai.tasks.validation import TaskInput, bad_input, listed, parse, taken_by
from edgecli.errors import UsageError

if TYPE_CHECKING:
    from edgecli.ai.engines.embedding import Vectors
    from edgecli.models.schema import ModelSpec

MAX_TEXTS = 100
OTHER_FORMS = ("contexts", "query", "queries", "documents", "instruction")
"""Fields that only some models take: to ignore them would answer another question."""

Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[list[Text], BeforeValidator(listed), Field(min_length=1, max_length=MAX_TEXTS)]


class TextEmbeddingsInput(TaskInput):
    """Inputs of an embedding model."""

    forms: ClassVar[tuple[tuple[str, ...], ...]] = (("text",),)
    """The fields of each form of inputs; exactly one form is sent, with at least one of its fields."""

    text: Texts | None = None
    """One text or several."""
    pooling: Literal["mean", "cls"] | None = None
    keep_alive: str | float | None = None
    """edgecli's own: how long the model stays loaded after this, in seconds or as `5m`; -1 is for ever."""

    @property
    def whole(self) -> bool:
        """Whether a text that is longer than the model's context is refused, not cut."""
        return False

    def texts(self, spec: ModelSpec) -> list[str]:
        """Return what is to be embedded by the model that runs."""
        del spec
        return self.text or []

    def result(self, vectors: Vectors, pooling: str) -> dict[str, Any]:
        """Return the vectors as `result` carries them; they stay an array until they become JSON."""
        return {"shape": list(vectors.shape), "data": vectors, "pooling": pooling}


class Context(TaskInput):
    """A text that a query is compared with."""

    text: Text


class ContextsInput(TextEmbeddingsInput):
    """Inputs of bge-m3: texts, or contexts with or without a query."""

    forms = (("text",), ("contexts",))

    query: Text | None = None
    """Compared with each context; without it the contexts are embedded."""
    contexts: Annotated[list[Context], Field(min_length=1, max_length=MAX_TEXTS)] | None = None
    truncate_inputs: bool = False
    """Cut a text that is too long; else it is refused."""

    @property
    def whole(self) -> bool:
        return not self.truncate_inputs

    def texts(self, spec: ModelSpec) -> list[str]:
        if self.contexts is None:
            return super().texts(spec)
        query = [] if self.query is None else [spec.query_prefix + self.query]
        return query + [spec.passage_prefix + each.text for each in self.contexts]

    def result(self, vectors: Vectors, pooling: str) -> dict[str, Any]:
        if self.contexts is None:
            return super().result(vectors, pooling)
        if self.query is None:
            return {"response": vectors, "shape": list(vectors.shape), "pooling": pooling}
        return {"response": _scores(vectors)}


class QueriesInput(TextEmbeddingsInput):
    """Inputs of qwen3-embedding: texts, or queries and documents, whose vectors come in this order."""

    forms = (("text",), ("queries", "documents"))

    queries: Texts | None = None
    documents: Texts | None = None
    instruction: Text | None = None
    """What the queries are for; without it, the model's own: to search."""

    def texts(self, spec: ModelSpec) -> list[str]:
        if self.text is not None:
            return self.text
        prefix = instructed(spec.query_prefix, self.instruction)
        queries = [prefix + each for each in self.queries or ()]
        return queries + [spec.passage_prefix + each for each in self.documents or ()]


def instructed(prefix: str, instruction: str | None) -> str:
    """Return a model's prefix of queries with another instruction in it; one that has none stays as it is.

    The form is `Instruct: <what for>` and a line end, as the models of Qwen3 and E5 were trained.
    """
    before, mark, rest = prefix.partition("Instruct: ")
    _, end, after = rest.partition("\n")
    return f"{before}{mark}{instruction}{end}{after}" if instruction is not None and end else prefix


def _scores(vectors: Vectors) -> list[dict[str, Any]]:
    """Return how near the first vector is to each of the others, the nearest first."""
    import numpy as np

    units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    cosines = units[1:] @ units[0]
    return [{"id": int(place), "score": float(cosines[place])} for place in np.argsort(-cosines, kind="stable")]


class TextEmbeddingsResult(TypedDict):
    """What an embedding model answers."""

    shape: list[int]
    """How many vectors, and how many dimensions."""
    data: list[list[float]]
    pooling: str


class Score(TypedDict):
    """How near a context is to the query."""

    id: int
    """Its place among the contexts."""
    score: float
    """A cosine, -1 to 1."""


class ContextsResult(TypedDict):
    """What is answered to contexts: scores where there is a query, else vectors."""

    response: list[Score] | list[list[float]]
    shape: NotRequired[list[int]]
    pooling: NotRequired[str]


def input_type(capabilities: Collection[str]) -> type[TextEmbeddingsInput]:
    """Return the inputs that a model with these capabilities takes."""
    if "contexts" in capabilities:
        return ContextsInput
    return QueriesInput if "queries" in capabilities else TextEmbeddingsInput


def read_input(inputs: Mapping[str, Any], capabilities: Collection[str] = ()) -> TextEmbeddingsInput:
    """Return the checked inputs. Raises UsageError, cf_code 5006, naming the field and its value."""
    kind = input_type(capabilities)
    given = {name for name, value in inputs.items() if value is not None}
    if unknown := [name for name in OTHER_FORMS if name in given and name not in kind.model_fields]:
        raise bad_input(f"'/{unknown[0]}' is not taken by this model", hint=taken_by(kind))
    found = [[name for name in form if name in given] for form in kind.forms]
    sent = [names[0] for names in found if names]
    if len(sent) > 1:
        both = " and ".join(f"'/{name}'" for name in sent)
        raise bad_input(f"oneOf at '/' not met, 2 matches: {both} are mutually exclusive", hint=taken_by(kind))
    if not sent:
        missing = ", ".join(f"required properties at '/' are '{name}'" for form in kind.forms for name in form)
        said = missing if len(kind.forms) == 1 else f"oneOf at '/' not met, 0 matches: {missing}"
        raise bad_input(said, hint=taken_by(kind))
    return parse(kind, inputs)


def check_lengths(lengths: Sequence[int], most: int) -> None:
    """Raise UsageError, cf_code 3030, if a text has more tokens than the model reads."""
    if (longest := max(lengths)) > most:
        raise UsageError(
            f"AiError: Max context reached {longest} tokens but model supports only {most}.",
            hint="Send shorter texts, or `truncate_inputs: true` to have them cut.",
            code="context_exceeded",
            cf_code=3030,
        )
