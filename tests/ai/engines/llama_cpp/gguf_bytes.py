"""Write GGUF files byte by byte, true ones and such as no library would write."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecli.ai.engines.llama_cpp.gguf_types import TENSORS

_NUMBERS = {name: number for number, (name, _, _) in TENSORS.items()}


@dataclass
class U16:
    """A number of the type uint16; plain ones become uint32."""

    value: int


@dataclass
class Raw:
    """A value as it is, after the number of its type."""

    kind: int
    data: bytes


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def value(of: Any) -> bytes:
    match of:
        case Raw():
            return struct.pack("<I", of.kind) + of.data
        case U16():
            return struct.pack("<IH", 2, of.value)
        case bool():
            return struct.pack("<IB", 7, of)
        case int():
            return struct.pack("<II", 4, of)
        case float():
            return struct.pack("<If", 6, of)
        case str() | bytes():
            return struct.pack("<I", 8) + text(of)
        case [str() | bytes(), *_]:
            return struct.pack("<IIQ", 9, 8, len(of)) + b"".join(map(text, of))
        case [int(), *_]:
            return struct.pack(f"<IIQ{len(of)}i", 9, 5, len(of), *of)
    raise TypeError(of)


def tensor(name: str | bytes, shape: Sequence[int], kind: int, offset: int) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def size_of(shape: Sequence[int], kind: str) -> int:
    _, block, block_bytes = TENSORS[_NUMBERS[kind]]
    elements = 1
    for length in shape:
        elements *= length
    return elements // block * block_bytes


def header(metadata: Mapping[str, Any], tensors: Sequence[bytes] = (), *, version: int = 3, **counts: int) -> bytes:
    """Return a file up to its weights, padded; `tensors` and `keys` say other counts than are there."""
    data = b"GGUF" + struct.pack("<I", version)
    data += struct.pack("<QQ", counts.get("tensor_count", len(tensors)), counts.get("key_count", len(metadata)))
    data += b"".join(text(key) + value(of) for key, of in metadata.items()) + b"".join(tensors)
    return data + bytes(-len(data) % 32)


def model(metadata: Mapping[str, Any], tensors: Mapping[str, tuple[Sequence[int], str]]) -> tuple[bytes, int]:
    """Return a true file up to its weights, and the bytes of the weights."""
    infos: list[bytes] = []
    offset = 0
    for name, (shape, kind) in tensors.items():
        infos.append(tensor(name, shape, _NUMBERS[kind], offset))
        offset += -(-size_of(shape, kind) // 32) * 32
    return header(metadata, infos), offset


def write_model(path: Path, metadata: Mapping[str, Any], tensors: Mapping[str, tuple[Sequence[int], str]]) -> Path:
    """Write a file whose weights are all zero, and take no place on the disk."""
    start, weights = model(metadata, tensors)
    with path.open("wb") as stream:
        stream.write(start)
        stream.truncate(len(start) + weights)
    return path


def llama(
    *,
    layers: int = 2,
    embedding: int = 64,
    heads: int = 4,
    heads_kv: int = 2,
    feed_forward: int = 128,
    vocabulary: int = 32,
    context: int = 128,
    kind: str = "F16",
    shared_output: bool = False,
) -> tuple[dict[str, Any], dict[str, tuple[Sequence[int], str]]]:
    """Return the keys and tensors of a Llama of this shape. `kind` is the type of its matrices."""
    kv = embedding // heads * heads_kv
    metadata: dict[str, Any] = {
        "general.architecture": "llama",
        "general.name": "Made for a test",
        "llama.block_count": layers,
        "llama.context_length": context,
        "llama.embedding_length": embedding,
        "llama.feed_forward_length": feed_forward,
        "llama.attention.head_count": heads,
        "llama.attention.head_count_kv": heads_kv,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": embedding // heads,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": [f"t{number}" for number in range(vocabulary)],
        "tokenizer.ggml.merges": ["t 0"],
    }
    tensors: dict[str, tuple[Sequence[int], str]] = {
        "token_embd.weight": ((embedding, vocabulary), kind),
        "output_norm.weight": ((embedding,), "F32"),
    }
    if not shared_output:
        tensors["output.weight"] = ((embedding, vocabulary), kind)
    for layer in range(layers):
        for name, shape in {
            "attn_q": (embedding, embedding),
            "attn_k": (embedding, kv),
            "attn_v": (embedding, kv),
            "attn_output": (embedding, embedding),
            "ffn_gate": (embedding, feed_forward),
            "ffn_up": (embedding, feed_forward),
            "ffn_down": (feed_forward, embedding),
        }.items():
            tensors[f"blk.{layer}.{name}.weight"] = (shape, kind)
        for name in ("attn_norm", "ffn_norm"):
            tensors[f"blk.{layer}.{name}.weight"] = ((embedding,), "F32")
    return metadata, tensors


LLAMA_3_8B: dict[str, Any] = {
    "layers": 32,
    "embedding": 4096,
    "heads": 32,
    "heads_kv": 8,
    "feed_forward": 14336,
    "vocabulary": 128_256,
    "context": 131_072,
    "kind": "Q4_K",
}
