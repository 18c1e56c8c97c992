"""What `[edgecli]` may hold. These classes are the one table of settings: their fields carry the default, the
allowed values and the line of help, and everything else about a setting is derived from them.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, NamedTuple


def _setting(
    default: Any,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    secret: bool = False,
    duration: bool = False,
) -> Any:
    facts = {
        "help": help,
        "minimum": minimum,
        "maximum": maximum,
        "choices": choices,
        "secret": secret,
        "duration": duration,
    }
    return field(default=default, metadata=facts)


_DURATION = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h)\s*")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(duration: str) -> float:
    """Return a duration, `500ms`, `2s`, `1.5m` or `1h`, in seconds. Raises ValueError if it is none."""
    found = _DURATION.fullmatch(duration)
    if found is None:
        raise ValueError(f"`{duration}` is no duration")
    return float(found.group(1)) * _UNITS[found.group(2)]


@dataclass(frozen=True, slots=True)
class EmbeddingSettings:
    """How texts become vectors."""

    engine: Literal["auto", "onnx", "sentence_transformers"] = _setting(
        "auto",
        "auto takes sentence_transformers where a GPU is, onnx elsewhere.",
        choices=("auto", "onnx", "sentence_transformers"),
    )
    batch_tokens: int = _setting(4096, "Tokens of one batch, padding included.", minimum=1, maximum=1_000_000)
    device: str = _setting("auto", "Where sentence_transformers runs: auto, cpu, cuda, cuda:1, mps.")


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    """How text is generated."""

    context: int = _setting(
        0,
        "Tokens of prompt and answer together; 0 is the model's own, at most 8192.",
        minimum=0,
        maximum=10_000_000,
    )
    slots: int = _setting(8, "Requests that run at once.", minimum=1, maximum=120)
    queue: int = _setting(64, "Requests that may wait; more are refused with 429.", minimum=0, maximum=100_000)
    cells: int = _setting(
        0,
        "Tokens of the KV cache, of all requests together; 0 is what memory allows.",
        minimum=0,
        maximum=100_000_000,
    )
    kv_type: Literal["f16", "q8_0"] = _setting(
        "f16", "Precision of the KV cache; q8_0 takes half the memory.", choices=("f16", "q8_0")
    )
    timeout: float = _setting(600.0, "Seconds that a request may take; 0 is any.", minimum=0, maximum=1_000_000)
    gpu_layers: int = _setting(
        -1, "Layers of the model to put on the GPU; -1 is all that it takes.", minimum=-1, maximum=10_000
    )
    threads: int = _setting(0, "Threads of the generation engine; 0 is edgecli.threads.", minimum=0, maximum=1024)
    max_tokens: int = _setting(
        256, "Longest answer in tokens, where a call does not say.", minimum=1, maximum=10_000_000
    )
    temperature: float = _setting(
        0.6, "Randomness of the answer, where a call does not say; 0 is none.", minimum=0, maximum=5
    )


@dataclass(frozen=True, slots=True)
class IngestSettings:
    """How documents are read and cut."""

    chunk_tokens: int = _setting(200, "Longest chunk, in tokens of the embedding model.", minimum=8, maximum=100_000)
    chunk_overlap: int = _setting(40, "Tokens that a chunk repeats from the one before it.", minimum=0, maximum=100_000)
    max_file_mb: int = _setting(100, "Larger files are reported and left out.", minimum=1, maximum=100_000)
    exclude: tuple[str, ...] = _setting((), 'Patterns of files to leave out, for example "drafts/**".')
    gitignore: bool = _setting(True, "Leave out what .gitignore files name.")


@dataclass(frozen=True, slots=True)
class RagSettings:
    """How documents are searched and questions answered."""

    mode: Literal["hybrid", "vector", "keyword"] = _setting(
        "hybrid",
        "hybrid fuses vector and keyword search.",
        choices=("hybrid", "vector", "keyword"),
    )
    top_k: int = _setting(5, "Chunks to find for a question.", minimum=1, maximum=100)
    context_tokens: int = _setting(
        1200, "Tokens of the prompt that found chunks may take.", minimum=16, maximum=10_000_000
    )
    max_tokens: int = _setting(256, "Longest answer in tokens.", minimum=1, maximum=10_000_000)
    system_prompt: str = _setting("", "Instructions to the model in place of the built-in ones.")


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where `edgecli serve` listens."""

    host: str = _setting("127.0.0.1", "Address to listen on; one that others can reach needs a token.")
    port: int = _setting(8787, "Port to listen on; 0 is any that is free.", minimum=0, maximum=65_535)
    token: str = _setting("", "Bearer token that each request must carry; empty is none.", secret=True)
    log: Literal["none", "text", "json"] = _setting(
        "text", "What serve says of each request on stderr.", choices=("none", "text", "json")
    )
    log_bodies: bool = _setting(False, "Log the beginning of what clients send, prompts and documents, too.")


@dataclass(frozen=True, slots=True)
class VectorizeSettings:
    """How vector indexes behave."""

    max_dimensions: int = _setting(
        1536, "Largest dimensions of an index; Cloudflare's limit is the default.", minimum=1, maximum=65_536
    )
    dot_product_sign: Literal["negative", "positive"] = _setting(
        "negative",
        "Sign of the scores of a dot-product index.",
        choices=("negative", "positive"),
    )
    strict_metadata_indexes: bool = _setting(
        False, "Filters see only properties with a metadata index, as in the cloud; otherwise all."
    )
    simulate_delay: str = _setting(
        "0s", 'How late writes become visible, "2s" or "500ms", as in the cloud; 0s is at once.', duration=True
    )
    url: str = _setting("", "Chroma server that holds the indexes, http://host:8000; empty is the project itself.")
    token: str = _setting("", "Token for the Chroma server; empty is none.", secret=True)
    tenant: str = _setting("default_tenant", "Tenant on the Chroma server.")
    database: str = _setting("default_database", "Database on the Chroma server.")


@dataclass(frozen=True, slots=True)
class WorkersSettings:
    """What Workers may do."""

    request_timeout: float = _setting(
        300.0, "Seconds that a Worker may take to begin its answer; then 504.", minimum=0.1, maximum=86_400
    )
    stall_timeout: float = _setting(
        30.0, "Seconds that a Worker may compute without a pause; then its process is ended.", minimum=0.1, maximum=3600
    )
    memory: int = _setting(
        1024, "MiB that a Worker's process may use; beyond, it is ended.", minimum=64, maximum=1_000_000
    )
    outbound: Literal["allow", "deny"] = _setting(
        "allow",
        "Whether fetch() in a Worker reaches the network; this server answers for the AI Gateway either way.",
        choices=("allow", "deny"),
    )


def _no_models() -> dict[str, dict[str, Any]]:
    return {}


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a project, complete: what no one has set has its default."""

    generation_model: str = _setting("@edge/smollm2-135m-instruct", "Model that answers where none is named.")
    embedding_model: str = _setting("@edge/all-minilm-l6-v2", "Model that embeds where none is named.")
    offline: bool = _setting(False, "Never use the network.")
    state_dir: str = _setting(".edgecli", "Folder of indexes and logs, relative to this file.")
    threads: int = _setting(0, "Processor threads to use; 0 is all cores.", minimum=0, maximum=1024)
    keep_alive: float = _setting(
        1800.0, "Seconds that a model stays loaded after its last use; -1 is for ever.", minimum=-1, maximum=100_000_000
    )
    models: dict[str, dict[str, Any]] = field(default_factory=_no_models)
    """Own models and stand-ins by id, as the configuration writes them."""
    embeddings: EmbeddingSettings = field(default_factory=EmbeddingSettings)
    generation: GenerationSettings = field(default_factory=GenerationSettings)
    ingest: IngestSettings = field(default_factory=IngestSettings)
    rag: RagSettings = field(default_factory=RagSettings)
    server: ServerSettings = field(default_factory=ServerSettings)
    vectorize: VectorizeSettings = field(default_factory=VectorizeSettings)
    workers: WorkersSettings = field(default_factory=WorkersSettings)


class Setting(NamedTuple):
    """One row of the table of settings."""

    path: tuple[str, ...]
    """Below `[edgecli]`, `("rag", "top_k")`."""
    default: Any
    help: str
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]
    secret: bool
    duration: bool

    @property
    def key(self) -> str:
        """The full key, `edgecli.rag.top_k`."""
        return ".".join(("edgecli", *self.path))

    @property
    def variable(self) -> str:
        """The environment variable that overrides it, `EDGECLI_RAG_TOP_K`."""
        return "_".join(("EDGECLI", *self.path)).upper()


@cache
def all_settings() -> tuple[Setting, ...]:
    """Return every setting, in the order of the example file."""
    return tuple(_walk(Settings, ()))


def _walk(table: type[Any], above: tuple[str, ...]) -> Iterator[Setting]:
    for entry in dataclasses.fields(table):
        path = (*above, entry.name)
        if "help" in entry.metadata:
            yield Setting(path, entry.default, **entry.metadata)
        elif entry.name != "models":
            yield from _walk(entry.default_factory, path)  # pyright: ignore[reportArgumentType]


def build_settings(values: dict[tuple[str, ...], Any], models: dict[str, dict[str, Any]]) -> Settings:
    """Return the settings with `values`, by path, in place of the defaults."""
    top: dict[str, Any] = {"models": models}
    tables: dict[str, dict[str, Any]] = {}
    for path, value in values.items():
        target = top if len(path) == 1 else tables.setdefault(path[0], {})
        target[path[-1]] = value
    return _replace(Settings(**top), tables)


def _replace(settings: Settings, tables: dict[str, dict[str, Any]]) -> Settings:
    changed = {name: dataclasses.replace(getattr(settings, name), **values) for name, values in tables.items()}
    return dataclasses.replace(settings, **changed)
