"""What the server and a model's process say to each other: frames of JSON, and raw bytes behind it.

Each frame of the server is one object with `do`; each frame of the model's process is a list of events
`[request, kind, value]`. Raw bytes, where a frame has some, are the value of its last event.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

import orjson

HEAD = struct.Struct("<II")
"""Bytes of JSON, and raw bytes behind it."""
_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY


def _bytes_as_numbers(value: Any) -> Any:
    if isinstance(value, bytes):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)  # pyright: ignore[reportUnknownArgumentType]
    raise TypeError(f"{type(value).__name__} does not go into a frame")


def frame(message: Any, raw: bytes = b"") -> bytes:
    """Return a message as it goes over the pipe; dataclasses become objects, bytes in them lists of numbers."""
    body = orjson.dumps(message, default=_bytes_as_numbers, option=_OPTIONS)
    return HEAD.pack(len(body), len(raw)) + body + raw


def read_message(stream: BinaryIO) -> Any | None:
    """Return the server's next message; None at the end of the stream, also where it breaks off in a message."""
    head = stream.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    length, _ = HEAD.unpack(head)
    body = stream.read(length)
    return orjson.loads(body) if len(body) == length else None
