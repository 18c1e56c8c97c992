"""What goes into ingest, query and ask, and what comes out."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgecli.errors import UsageError

Mode = Literal["hybrid", "vector", "keyword"]
Method = Literal["generated", "quoted", "none"]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class IngestRequest(_Request):
    """Bring a file or a folder into an index."""

    path: str
    index: str | None = None
    glob: list[str] = Field(default_factory=list)
    exclude: list[str] = Field(default_factory=list)
    dry_run: bool = False


class QueryRequest(_Request):
    """Search an index."""

    query: str
    index: str | None = None
    top_k: int | None = Field(default=None, ge=1, le=100)
    mode: Mode | None = None
    filter: dict[str, Any] | None = None
    spread: bool = True
    """Prefer passages of different files (hybrid only), so that one long file does not fill the results."""


class Turn(_Request):
    """One earlier message of a conversation."""

    role: Literal["user", "assistant"]
    content: str


class AskRequest(_Request):
    """Answer a question from an index."""

    question: str
    index: str | None = None
    top_k: int | None = Field(default=None, ge=1, le=50)
    mode: Mode | None = None
    filter: dict[str, Any] | None = None
    model: str | None = None
    system_prompt: str | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=5)
    seed: int | None = None
    history: list[Turn] = Field(default_factory=list[Turn])
    stream: bool = False


class Hit(BaseModel):
    """One passage that was found."""

    id: str
    score: float
    """Fused rank score (hybrid), similarity by the index's metric (vector) or BM25 (keyword); more is better
    except for the metrics whose scores ascend."""
    file: str
    heading: str
    text: str
    start: int | None = None
    end: int | None = None
    vector_score: float | None = None
    similarity: float | None = None
    """Cosine similarity, whatever the index's metric."""
    keyword_score: float | None = None
    metadata: dict[str, Any] = Field(default_factory=dict[str, Any])


class QueryResult(BaseModel):
    """The passages found for a query, best first."""

    query: str
    index: str
    mode: Mode
    embedding_model: str
    count: int
    hits: list[Hit]
    timings: dict[str, float]
    """Seconds: `embed`, `search`, `total`."""


class Source(BaseModel):
    """A passage that was shown to the model, with the number by which the answer cites it."""

    n: int
    id: str
    file: str
    heading: str
    score: float
    text: str


class Dropped(BaseModel):
    """A passage that was found but did not fit into the context's token budget."""

    id: str
    file: str
    heading: str
    tokens: int


class Answer(BaseModel):
    """An answer whose citations have been checked."""

    answer: str
    method: Method
    """`generated`: the model's words, as far as the sources support them; `quoted`: sentences of the sources, because
    the model said nothing that they support; `none`: the index holds nothing about the question."""
    sources: list[Source]
    cited: list[int]
    grounded: bool
    """Whether every statement of the answer is supported by a source that it cites."""
    unsupported: list[str]
    """What the model said and no source supports: left out of the answer."""
    dropped: list[Dropped]
    model: str
    usage: dict[str, Any]
    timings: dict[str, float]


class FailedFile(BaseModel):
    file: str
    error: str
    code: str


class IngestReport(BaseModel):
    """What a run of ingest did, or, with dry_run, would do."""

    index: str
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    empty: int = 0
    """New or changed files without any text: they can be read, and hold nothing to find."""
    failed: list[FailedFile] = Field(default_factory=list[FailedFile])
    chunks: int = 0
    """Chunks written by this run."""
    seconds: float = 0.0
    dry_run: bool = False
    files: dict[str, list[str]] = Field(default_factory=dict[str, list[str]])
    """With dry_run: the names behind the counts."""
    notes: list[str] = Field(default_factory=list[str])
    """What else there is to know, a sentence each."""


def parse(kind: type[BaseModel], body: Any) -> Any:
    """Check a request's body against its model.

    Raises UsageError that names the field and the value at fault.
    """
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise UsageError(
            f"Bad request: `{where}`: {first['msg']} (got {str(first.get('input'))[:80]!r}).",
            hint="Its fields: " + ", ".join(kind.model_fields) + ".",
            code="bad_request",
        ) from error
