"""What the server and a model's process say to each other: frames of JSON, each behind its length.

Each frame of the server is one object with `do`; each frame of the model's process is a list of events
`[request, kind, value]`, all that one step brought.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

import orjson

from edgecli.ai.engines.generation import (
    Constraint,
    Cut,
    EngineFacts,
    GenerationRequest,
    LoraAdapter,
    Piece,
    TokenLogprob,
    Tool,
    ToolCallPart,
    Usage,
)

LENGTH = struct.Struct("<I")
_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY


def _bytes_as_numbers(value: Any) -> Any:
    if isinstance(value, bytes):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)  # pyright: ignore[reportUnknownArgumentType]
    raise TypeError(f"{type(value).__name__} does not go into a frame")


def frame(message: Any) -> bytes:
    """Return a message as it goes over the pipe; dataclasses become objects, bytes lists of numbers."""
    body = orjson.dumps(message, default=_bytes_as_numbers, option=_OPTIONS)
    return LENGTH.pack(len(body)) + body


def read_frame(stream: BinaryIO) -> Any | None:
    """Return the next message; None at the end of the stream, also where it breaks off in a message."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    body = stream.read(length)
    return orjson.loads(body) if len(body) == length else None


def request_from(body: dict[str, Any]) -> GenerationRequest:
    """Rebuild the request that `frame` wrote."""
    known = dict(body)
    known["stop"] = tuple(body["stop"])
    known["logit_bias"] = {int(token): bias for token, bias in body["logit_bias"].items()}
    known["tools"] = tuple(Tool(**tool) for tool in body["tools"])
    known["constraint"] = Constraint(**body["constraint"]) if body["constraint"] else None
    known["lora"] = LoraAdapter(**body["lora"]) if body["lora"] else None
    return GenerationRequest(**known)


def piece_from(body: dict[str, Any]) -> Piece:
    """Rebuild the piece that `frame` wrote."""
    return Piece(
        text=body["text"],
        tool_calls=tuple(ToolCallPart(**part) for part in body["tool_calls"]),
        logprobs=tuple(_logprob_from(each) for each in body["logprobs"]),
        reasoning=body["reasoning"],
        cut=Cut(**body["cut"]) if body["cut"] else None,
        warning=body["warning"],
        finish_reason=body["finish_reason"],
        stop_sequence=body["stop_sequence"],
        usage=Usage(**body["usage"]) if body["usage"] else None,
    )


def _logprob_from(body: dict[str, Any]) -> TokenLogprob:
    top = tuple((bytes(token), value) for token, value in body["top"])
    return TokenLogprob(bytes(body["token"]), body["logprob"], top)


def facts_from(body: dict[str, Any]) -> EngineFacts:
    """Rebuild the facts that `frame` wrote."""
    known: dict[str, Any] = dict(body)
    known["gpu_layers"] = tuple(body["gpu_layers"])
    known["notes"] = tuple(body["notes"])
    return EngineFacts(**known)
