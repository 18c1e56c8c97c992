"""What the catalog knows of a model, and what the store knows of its files."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class PullCancelled(BaseException):
    """Raised by a progress callback to end a pull whose caller has gone; what was fetched stays."""


class Task(StrEnum):
    """Cloudflare's names of the tasks, as `/ai/models/search` prints them."""

    TEXT_GENERATION = "Text Generation"
    TEXT_EMBEDDINGS = "Text Embeddings"
    TEXT_CLASSIFICATION = "Text Classification"
    SPEECH_RECOGNITION = "Automatic Speech Recognition"
    TEXT_TO_IMAGE = "Text-to-Image"
    IMAGE_TO_TEXT = "Image-to-Text"
    IMAGE_CLASSIFICATION = "Image Classification"
    OBJECT_DETECTION = "Object Detection"
    TRANSLATION = "Translation"
    SUMMARIZATION = "Summarization"
    TEXT_TO_SPEECH = "Text-to-Speech"
    VOICE_ACTIVITY = "Voice Activity Detection"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file, or one folder, that a model needs.

    `source` is `hf:owner/repo[@revision]/path`, `pypi:package==version/path-in-wheel`, `https://…` or
    `file:…`; a path that ends in `/` is a folder and is taken whole. `name` is the path below the model's own
    folder in the store. `sha256` maps a path below that folder to its expected hash; a path without one is
    hashed at pull time and checked against that from then on.
    """

    source: str
    name: str
    sha256: dict[str, str] = field(default_factory=dict[str, str])
    size: int | None = None
    """Bytes to download, where the catalog knows it."""


@dataclass(frozen=True, slots=True)
class LoraFile:
    """A LoRA adapter that a project has for a model."""

    name: str
    path: str
    """Its GGUF file."""
    scale: float = 1.0


WIRE_FORMS = frozenset(
    {"chat_completions", "openai_tool_calls", "content_parts", "responses", "strict", "contexts", "queries"}
)
"""Capabilities that say how a model is spoken to: they belong to the id that was asked for, whatever runs."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model of the catalog, with the project's settings applied."""

    id: str
    """The name clients use, `@cf/meta/llama-3.1-8b-instruct`."""
    task: Task
    engine: str
    """`llama_cpp`, `embedding` (ONNX or sentence-transformers, chosen at run time), or a later one."""
    files: tuple[ModelFile, ...]
    """Empty where the model has no known open weights: it can be listed, not pulled."""
    description: str = ""
    licence: str | None = None
    context: int | None = None
    """Tokens of prompt and answer together (generation), or of one text (embeddings)."""
    dimensions: int | None = None
    pooling: str | None = None
    """Default pooling of an embedding model: `mean`, `cls`, `lasttoken` or `max`."""
    query_prefix: str = ""
    passage_prefix: str = ""
    capabilities: tuple[str, ...] = ()
    """What the model can do, as data: `tools`, `json_mode`, `vision`, `reasoning`, `lora`, `batch`, `multilingual`,
    `matryoshka` (the first numbers of its vectors, brought to length 1, are vectors too);
    and its form on the wire (`WIRE_FORMS`): `chat_completions` takes and gives OpenAI's, `openai_tool_calls` gives
    only those, `content_parts` takes messages in parts, `strict` refuses fields that it does not know; of embedding
    models, `contexts` compares a query with contexts, `queries` takes queries and documents apart."""
    defaults: dict[str, float] = field(default_factory=dict[str, float])
    """`max_tokens` and `temperature`, where its schema on Workers AI has others than 256 and 0.6."""
    loras: tuple[LoraFile, ...] = ()
    neurons_input: float | None = None
    """Neurons per million input tokens, from Cloudflare's price list."""
    neurons_output: float | None = None
    neurons_other: dict[str, float] = field(default_factory=dict[str, float])
    """Neurons per other unit: `cached` (per million input tokens), `audio_minute`, `tile`, `step`, …"""
    repository: str | None = None
    """The open model it corresponds to, `owner/name` on the Hugging Face Hub."""
    requested_id: str | None = None
    """The id that was asked for, where the project lets this model stand in for another; else None."""
    origin: str = "catalog"
    """`catalog`, or the config file that defines the model."""

    @property
    def display_name(self) -> str:
        """Name the model so that a stand-in is never silent."""
        if self.requested_id and self.requested_id != self.id:
            return f"{self.requested_id} (stand-in: {self.id})"
        return self.id

    @property
    def download_size(self) -> int | None:
        """Bytes to download, if the catalog knows them for every file."""
        sizes = [file.size for file in self.files]
        return sum(size for size in sizes if size is not None) if sizes and None not in sizes else None


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model whose files lie whole and verified in the store."""

    id: str
    path: Path
    """The model's folder; each `ModelFile.name` lies below it."""
    size: int
    """Bytes on disk."""
    pulled_at: str
    """ISO 8601, UTC."""
    files: dict[str, str]
    """Path below the folder -> sha256."""
    task: str = ""
    engine: str = ""


@dataclass(frozen=True, slots=True)
class PullProgress:
    """One step of a pull, for a progress bar.

    `phase`: `check`, `wait` (another process pulls it), `download`, `unpack`, `verify`, `convert`, `skip`
    (`text` says what was left out and why), `done`, `present` (nothing was to do).
    """

    model: str
    phase: str
    file: str = ""
    done: int = 0
    """Bytes of this file so far."""
    total: int | None = None
    text: str = ""
    """For people: what is waited for, or what was left out."""

    def to_dict(self) -> dict[str, Any]:
        """Return the event as NDJSON carries it."""
        event = {
            "model": self.model,
            "phase": self.phase,
            "file": self.file,
            "done": self.done,
            "total": self.total,
        }
        return event | {"text": self.text} if self.text else event
