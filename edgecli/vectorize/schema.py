"""What goes into and comes out of Vectorize, in the shapes of its REST API v2."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StrictFloat
from pydantic.alias_generators import to_camel

Metric = Literal["cosine", "euclidean", "dot-product"]
METRICS: tuple[str, ...] = get_args(Metric)
ReturnMetadata = Literal["none", "indexed", "all"]
MetadataIndexType = Literal["string", "number", "boolean"]


class Wire(BaseModel):
    """A value with camel-case keys on the wire; both spellings are read."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    def to_wire(self) -> dict[str, Any]:
        """Return the value as the API writes it; keys without a value are left out."""
        return self.model_dump(by_alias=True, exclude_none=True)


class IndexConfig(BaseModel):
    """What is fixed at an index's creation."""

    dimensions: int
    metric: Metric


class Index(BaseModel):
    """An index, as `create`, `get` and `list` show it."""

    name: str
    description: str = ""
    config: IndexConfig
    created_on: str
    modified_on: str


class NewIndexConfig(BaseModel):
    """Dimensions and metric, or the preset that stands for both."""

    dimensions: int | None = None
    metric: Metric | None = None
    preset: str | None = None


class NewIndex(BaseModel):
    """The request that creates an index."""

    name: str
    description: str = ""
    config: NewIndexConfig


class IndexInfo(Wire):
    """What an index holds, and the last write that is visible in it."""

    dimensions: int
    vector_count: int
    processed_up_to_datetime: str | None = None
    processed_up_to_mutation: str | None = None

    def to_wire(self) -> dict[str, Any]:
        """Return all keys; those of an index without writes are null."""
        return self.model_dump(by_alias=True)


class Vector(Wire):
    """A stored vector."""

    id: str
    values: list[float]
    namespace: str | None = None
    metadata: dict[str, Any] | None = None

    def to_wire(self) -> dict[str, Any]:
        """Return the vector without a copy of its values: there may be millions of numbers in an answer."""
        return {key: value for key, value in vars(self).items() if value is not None}


class MutationResult(Wire):
    """The receipt of a write; `messages` say what of it was left out."""

    mutation_id: str
    messages: list[str] = Field(default=[], exclude=True)


class NewMetadataIndex(Wire):
    """The request that lets filters name a property."""

    property_name: str
    index_type: MetadataIndexType


class MetadataIndexName(Wire):
    """The request that deletes the index of a property."""

    property_name: str


class MetadataIndexList(Wire):
    """The properties that filters may name."""

    metadata_indexes: list[NewMetadataIndex]


class ListedVector(Wire):
    """A vector in a list."""

    id: str


class VectorPage(Wire):
    """Some of an index's ids, and the cursor that leads to the next ones."""

    count: int
    total_count: int
    is_truncated: bool
    next_cursor: str | None = None
    cursor_expiration_timestamp: str | None = None
    vectors: list[ListedVector]


class QueryRequest(Wire):
    """A search: by `vector` or by the id of a stored one."""

    vector: list[StrictFloat] | None = None
    vector_id: str | None = None
    top_k: int = 5
    return_values: bool = False
    return_metadata: ReturnMetadata = "none"
    namespace: str | None = None
    filter: dict[str, Any] | None = None


class Match(Wire):
    """A stored vector that a query found."""

    id: str
    score: float
    values: list[float] | None = None
    namespace: str | None = None
    metadata: dict[str, Any] | None = None


class QueryResult(Wire):
    """What a query found, best first."""

    count: int
    matches: list[Match]


class IdsRequest(BaseModel):
    """The ids of vectors to read or to delete."""

    ids: list[str] = Field(max_length=5000)


PRESETS: dict[str, IndexConfig] = {
    "@cf/baai/bge-small-en-v1.5": IndexConfig(dimensions=384, metric="cosine"),
    "@cf/baai/bge-base-en-v1.5": IndexConfig(dimensions=768, metric="cosine"),
    "@cf/baai/bge-large-en-v1.5": IndexConfig(dimensions=1024, metric="cosine"),
    "openai/text-embedding-ada-002": IndexConfig(dimensions=1536, metric="cosine"),
    "cohere/embed-multilingual-v2.0": IndexConfig(dimensions=768, metric="cosine"),
}
"""The embedding models whose dimensions `--preset` knows; the metric of each is taken to be cosine."""
