"""What a model is, read from its GGUF file before llama.cpp sees it.

`gguf_file.py` reads the container; this gives its keys their meaning, and refuses what llama.cpp would end its
process over (the assertions of llama-model.cpp and llama-hparams.h).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from edgecli.ai.engines.llama_cpp.broken import broken
from edgecli.ai.engines.llama_cpp.gguf_file import GgufFile, Scalar, Stored, Tensor, read_file, read_strings
from edgecli.ai.engines.llama_cpp.gguf_parts import read_parts
from edgecli.ai.engines.llama_cpp.gguf_types import FILES

MAX_LAYERS = 512
"""llama.cpp's LLAMA_MAX_LAYERS."""
MAX_EXPERTS = 1024
"""llama.cpp's LLAMA_MAX_EXPERTS."""
_MAX_WIDTH = 1 << 24
_MAX_CONTEXT = (1 << 31) - 1
_GUESSED = 1024  # a file type that its writer guessed has this bit
_LAYER = re.compile(r"blk\.([0-9]{1,3})\.")
_INPUT = ("token_embd.", "position_embd.", "token_types.", "per_layer_token_embd.", "masked_embd_")
_ROPE_SCALING = ("none", "linear", "yarn", "longrope")


@dataclass(frozen=True)
class GgufHeader:
    """A model's shape and the places of its weights. Lengths are in tokens or elements, sizes in bytes."""

    files: tuple[Path, ...]
    """The model's file, or all its parts in order."""
    version: int
    architecture: str
    name: str
    """What its makers call it; may be empty."""
    file_type: str
    """Its quantization: `F16`, `Q4_K_M` …"""
    metadata: Mapping[str, Scalar | Stored]
    """Of the first file. `Stored` is what stays in the file: `strings` reads such an array."""
    tensors: tuple[Tensor, ...]
    block_count: int
    """Layers; the output is none of them."""
    context_length: int
    """Tokens it was trained on at a time."""
    embedding_length: int
    feed_forward_length: int
    """Of the widest layer, the experts of one token together; 0 where the file is silent."""
    head_count: tuple[int, ...]
    """Attention heads of each layer; 0 in a layer without attention."""
    head_count_kv: tuple[int, ...]
    """Heads of keys and values of each layer."""
    key_length: int
    """Elements of one head's key, in the layers where it is longest."""
    value_length: int
    """Likewise of its value; 0 if values are not kept (MLA: they are made of the keys)."""
    sliding_window: int
    """Tokens that the layers with a window look back; 0 without a window."""
    expert_count: int
    expert_used_count: int
    vocabulary_size: int

    @cached_property
    def weight_bytes(self) -> int:
        """Bytes of all weights."""
        return sum(tensor.size for tensor in self.tensors)

    @cached_property
    def layer_bytes(self) -> tuple[int, ...]:
        """Bytes of each layer's weights (`blk.N.`)."""
        sizes = [0] * self.block_count
        for tensor in self.tensors:
            layer = self._layer(tensor)
            if layer is not None:
                sizes[layer] += tensor.size
        return tuple(sizes)

    @cached_property
    def input_bytes(self) -> int:
        """Bytes of the embeddings, which llama.cpp always leaves with the CPU."""
        return sum(tensor.size for tensor in self.tensors if tensor.name.startswith(_INPUT))

    @cached_property
    def output_bytes(self) -> int:
        """Bytes of what is neither layer nor embedding: the output, its norm, factors of positions."""
        return self.weight_bytes - self.input_bytes - sum(self.layer_bytes)

    @cached_property
    def shared_output_bytes(self) -> int:
        """Bytes of the token embedding where it is the output too, which a GPU then holds a second time; else 0."""
        sizes = {tensor.name: tensor.size for tensor in self.tensors}
        return 0 if "output.weight" in sizes else sizes.get("token_embd.weight", 0)

    def strings(self, key: str) -> list[bytes]:
        """Read an array of texts from the file, such as `tokenizer.ggml.tokens`; empty if it is not there."""
        stored = self.metadata.get(key)
        if not isinstance(stored, Stored) or stored.kind != "string":
            return []
        return read_strings(self.files[0], stored)

    def _layer(self, tensor: Tensor) -> int | None:
        match = _LAYER.match(tensor.name)
        return int(match[1]) if match and int(match[1]) < self.block_count else None


def read_header(path: Path) -> GgufHeader:
    """Read what a model is; of a model in parts, `path` is the first.

    Raises EngineError, code `model_load_failed`, in words that say what is wrong: no GGUF file, a damaged or truncated
    one, a missing part, or numbers that no model has.
    """
    parts = read_parts(read_file(path))
    tensors = tuple(tensor for part in parts for tensor in part.tensors)
    facts = _Facts(parts[0])
    layers = facts.number("block_count", least=1, most=MAX_LAYERS)
    facts.number("nextn_predict_layers", default=0, most=layers)
    embedding = facts.number("embedding_length", least=1, most=_MAX_WIDTH)
    heads = facts.each_layer("attention.head_count", layers, default=0)
    heads_kv = facts.each_layer("attention.head_count_kv", layers, default=heads)
    facts.check_heads(heads, heads_kv)
    facts.check_rope()
    facts.check_norms()
    experts, used = facts.experts(layers)
    key, value = facts.lengths_of_a_head(embedding // heads[0] if heads[0] else 0)
    name = parts[0].metadata.get("general.name")
    return GgufHeader(
        files=tuple(part.path for part in parts),
        version=parts[0].version,
        architecture=facts.architecture,
        name=name if isinstance(name, str) else "",
        file_type=_file_type(parts[0], tensors),
        metadata=parts[0].metadata,
        tensors=tensors,
        block_count=layers,
        context_length=facts.number("context_length", least=1, most=_MAX_CONTEXT),
        embedding_length=embedding,
        feed_forward_length=max(
            *facts.each_layer("feed_forward_length", layers, default=0),
            facts.number("expert_feed_forward_length", default=0, most=_MAX_WIDTH) * max(1, used),
        ),
        head_count=heads,
        head_count_kv=heads_kv,
        key_length=key,
        value_length=value,
        sliding_window=facts.number("attention.sliding_window", default=0, most=_MAX_CONTEXT),
        expert_count=experts,
        expert_used_count=used,
        vocabulary_size=facts.vocabulary(tensors),
    )


def check_tokens(header: GgufHeader) -> None:
    """Raise EngineError if two tokens are spelled the same: llama.cpp would end the process.

    Reads the whole vocabulary, unlike `read_header`: some 20 ms for 128,000 tokens.
    """
    seen: set[bytes] = set()
    for number, token in enumerate(header.strings("tokenizer.ggml.tokens")):
        spelled = token or b"[EMPTY_%d]" % number  # as llama-vocab.cpp names it
        if spelled in seen:
            raise broken(header.files[0], f"token {number} is spelled as one before it: {token[:40]!r}")
        seen.add(spelled)


class _Facts:
    """The keys that begin with the architecture's name."""

    def __init__(self, file: GgufFile) -> None:
        self._path = file.path
        self._metadata = file.metadata
        architecture = file.metadata.get("general.architecture")
        if not isinstance(architecture, str) or not architecture:
            raise broken(self._path, "it does not say its `general.architecture`")
        if not architecture.isprintable() or len(architecture) > 100:
            raise broken(self._path, f"its `general.architecture` is {architecture[:40]!r}")
        self.architecture = architecture

    def number(self, key: str, *, most: int, least: int = 0, default: int | None = None) -> int:
        """Return a whole number of the file. Raises EngineError if it is missing without default, or out of range."""
        value = self._metadata.get(f"{self.architecture}.{key}", default)
        if value is None:
            raise broken(self._path, f"it does not say its `{self.architecture}.{key}`: no language model has none")
        return self._checked(key, value, least=least, most=most)

    def each_layer(self, key: str, layers: int, *, default: int | tuple[int, ...]) -> tuple[int, ...]:
        """Return a number for each layer: the file has one for all, or an array."""
        value = self._metadata.get(f"{self.architecture}.{key}")
        if value is None:
            return default if isinstance(default, tuple) else (default,) * layers
        if not isinstance(value, Stored):
            return (self._checked(key, value, most=_MAX_WIDTH),) * layers
        if value.items is None or value.count < layers:
            raise broken(self._path, f"`{self.architecture}.{key}` has {value.count} elements for {layers} layers")
        return tuple(self._checked(key, item, most=_MAX_WIDTH) for item in value.items[:layers])

    def check_heads(self, heads: tuple[int, ...], heads_kv: tuple[int, ...]) -> None:
        """Raise EngineError if heads cannot share keys and values evenly."""
        for layer, (count, shared) in enumerate(zip(heads, heads_kv, strict=True)):
            if count and shared and count % shared:
                raise broken(self._path, f"layer {layer} has {count} heads for {shared} heads of keys and values")

    def check_rope(self) -> None:
        """Raise EngineError if positions are scaled in an unknown way."""
        scaling = self._metadata.get(f"{self.architecture}.rope.scaling.type", "none")
        if scaling not in _ROPE_SCALING:
            raise broken(self._path, f"its `{self.architecture}.rope.scaling.type` is {str(scaling)[:40]!r}")

    def check_norms(self) -> None:
        """Raise EngineError if what keeps a norm from dividing by zero is no small positive number."""
        own = f"{self.architecture}."
        found = {key: value for key, value in self._metadata.items() if key.startswith(own) and key.endswith("epsilon")}
        for key, value in found.items():
            if not isinstance(value, int | float) or not 0 <= value <= 1:  # NaN is not either
                raise broken(self._path, f"its `{key}` is {str(value)[:40]}, not 0 to 1")

    def experts(self, layers: int) -> tuple[int, int]:
        """Return the number of experts, and how many of them a token takes at most."""
        count = self.number("expert_count", default=0, most=MAX_EXPERTS)
        used = max(self.each_layer("expert_used_count", layers, default=0))
        if used > count or (count and not used):
            raise broken(self._path, f"it takes {used} of {count} experts for each token")
        return count, used

    def lengths_of_a_head(self, default: int) -> tuple[int, int]:
        """Return the elements of a key and of a value that are kept; `default` is what a silent file means."""
        kept: list[int] = []
        for kind in ("key", "value"):
            usual = self.number(f"attention.{kind}_length", default=default, most=_MAX_WIDTH)
            window = self.number(f"attention.{kind}_length_swa", default=usual, most=_MAX_WIDTH)
            kept.append(max(usual, window))
        has_latent = f"{self.architecture}.attention.key_length_mla" in self._metadata
        return kept[0], 0 if has_latent else kept[1]

    def vocabulary(self, tensors: tuple[Tensor, ...]) -> int:
        """Return the number of tokens: as listed, as said, or as embedded."""
        tokens = self._metadata.get("tokenizer.ggml.tokens")
        if tokens is not None:
            if not isinstance(tokens, Stored) or tokens.kind != "string":
                raise broken(self._path, "its `tokenizer.ggml.tokens` is no array of texts")
            return tokens.count
        shape = next((tensor.shape for tensor in tensors if tensor.name == "token_embd.weight"), ())
        embedded = shape[1] if len(shape) > 1 and shape[1] <= _MAX_CONTEXT else 0
        return self.number("vocab_size", default=embedded, most=_MAX_CONTEXT)

    def _checked(self, key: str, value: object, *, most: int, least: int = 0) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            said = repr(value)[:40] if isinstance(value, Scalar) else "no number"
            raise broken(self._path, f"its `{self.architecture}.{key}` is {said}, not {least} to {most}")
        return value


def _file_type(file: GgufFile, tensors: tuple[Tensor, ...]) -> str:
    """Return what the file calls its quantization, or the type of most of its weights."""
    said = file.metadata.get("general.file_type")
    if isinstance(said, int) and said & ~_GUESSED in FILES:
        return FILES[said & ~_GUESSED]
    sizes: Counter[str] = Counter()
    for tensor in tensors:
        sizes[tensor.type] += tensor.size
    return max(sizes, key=lambda kind: sizes[kind], default="unknown")
