"""What a GGUF file says that it holds, with no number in it trusted: keys, values and tensors, not their meaning.

Source: ggml's docs/gguf.md, and gguf.cpp where llama.cpp takes less than that allows. Versions 2 and 3, which differ
in nothing but that 3 may be big-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgecli.ai.engines.llama_cpp.broken import broken
from edgecli.ai.engines.llama_cpp.gguf_cursor import Cursor, open_file
from edgecli.ai.engines.llama_cpp.gguf_types import (
    REMOVED_TENSORS,
    TENSORS,
    VALUE_ARRAY,
    VALUE_BOOL,
    VALUE_STRING,
    VALUES,
)

MAX_TENSORS = 1 << 16
MAX_KEYS = 1 << 16
MAX_ARRAY = 1 << 30
"""Elements; llama.cpp's GGUF_MAX_ARRAY_ELEMENTS."""
MAX_STRINGS = 1 << 23
"""Texts in all arrays together, as each has to be stepped over."""
MAX_TEXT = 1 << 30
"""Bytes; llama.cpp's GGUF_MAX_STRING_LENGTH."""
MAX_KEY = 65_535
MAX_TENSOR_NAME = 63
MAX_DIMENSIONS = 4
KEPT = 4 << 20
"""Bytes of keys, and of values, that are held in memory; keys beyond are refused, values stay in the file."""
KEPT_ITEMS = 1024
"""An array of numbers that is not longer is held in memory."""
_ITEM = 32
"""Bytes of a number in memory, roughly."""

Scalar = str | int | float | bool
Numbers = tuple[int, ...] | tuple[float, ...] | tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """A value that stays in the file: an array, or a long text."""

    kind: str
    """What its elements are: `string`, `uint32`, `float32` …; `text` for one long text."""
    count: int
    """Elements, or bytes of a text."""
    offset: int
    """Byte of the file where the first one begins."""
    items: Numbers | None = None
    """The numbers of a short array."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of weights."""

    name: str
    shape: tuple[int, ...]
    """Elements, the row's length first, as the file has them."""
    type: str
    """As ggml calls it: `F16`, `Q4_K` …"""
    offset: int
    """Byte of the file where it begins."""
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class GgufFile:
    """The contents of one file, weights left out."""

    path: Path
    version: int
    size: int
    """Bytes of the file."""
    metadata: Mapping[str, Scalar | Stored]
    kinds: Mapping[str, str]
    """The type of each value, `array` for arrays: llama.cpp ends the process over some that are not what it expects."""
    tensors: tuple[Tensor, ...]


def read_file(path: Path) -> GgufFile:
    """Read all of a file but its weights.

    Holds 4 MiB of keys, 4 MiB of values and 65,536 tensors at most, whatever the file says. Raises EngineError, code
    `model_load_failed`, if it is no GGUF file or says anything that cannot be true.
    """
    with open_file(path) as cursor:
        version = _read_version(cursor)
        tensor_count = cursor.u64("the number of tensors")
        key_count = cursor.u64("the number of keys")
        for count, limit, what in ((tensor_count, MAX_TENSORS, "tensors"), (key_count, MAX_KEYS, "keys")):
            if count > limit:
                raise broken(path, f"it says that it holds {count} {what}; {limit} are the most that is accepted")
        metadata, kinds = _Values(cursor).read(key_count)
        alignment = _alignment(path, metadata, kinds)
        tensors = _read_tensors(cursor, tensor_count, alignment)
    return GgufFile(path, version, cursor.size, metadata, kinds, tensors)


def read_strings(path: Path, stored: Stored) -> list[bytes]:
    """Read an array of texts that `read_file` left in the file. Raises EngineError if the file has changed."""
    with open_file(path) as cursor:
        cursor.skip(stored.offset, "the array")
        return cursor.strings(stored.count, "a text of the array")


def read_text(path: Path, stored: Stored) -> str:
    """Read a long text that `read_file` left in the file. Raises EngineError if the file has changed."""
    with open_file(path) as cursor:
        cursor.skip(stored.offset, "the text")
        return cursor.take(stored.count, "the text").decode("utf-8", "replace")


def _read_version(cursor: Cursor) -> int:
    if not cursor.size:
        raise broken(cursor.path, "it is empty")
    start = cursor.take(min(4, cursor.size), "the file")
    if start != b"GGUF":
        raise broken(cursor.path, f"it begins with {start!r}, a GGUF file with {b'GGUF'!r}")
    version = cursor.u32("the version")
    if version in (2, 3):
        return version
    if version == 1:
        raise broken(cursor.path, "it is of GGUF version 1, which llama.cpp no longer reads")
    if version & 0xFFFF == 0 and version:
        raise broken(cursor.path, "it is big-endian, for another kind of processor")
    raise broken(cursor.path, f"it is of GGUF version {version}; 2 and 3 are known")


class _Values:
    """Read the keys and their values."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._path = cursor.path
        self._key_bytes = 0
        self._kept = 0
        self._strings = 0

    def read(self, count: int) -> tuple[dict[str, Scalar | Stored], dict[str, str]]:
        metadata: dict[str, Scalar | Stored] = {}
        kinds: dict[str, str] = {}
        for number in range(count):
            key = _read_name(self._cursor, MAX_KEY, f"key {number + 1} of {count}")
            if key in metadata:
                raise broken(self._path, f"the key `{key}` is there twice")
            self._key_bytes += len(key)
            if self._key_bytes > KEPT:
                raise broken(self._path, f"its keys are longer than {KEPT >> 20} MiB together")
            kinds[key], metadata[key] = self._value(key)
        return metadata, kinds

    def _value(self, key: str) -> tuple[str, Scalar | Stored]:
        what = f"the value of `{key}`"
        kind = self._cursor.u32(what)
        if kind == VALUE_STRING:
            return "string", self._text(what)
        if kind == VALUE_ARRAY:
            return "array", self._array(key)
        if kind not in VALUES:
            raise broken(self._path, f"{what} is of the unknown type {kind}")
        name, form = VALUES[kind]
        number = struct.unpack(form, self._cursor.take(struct.calcsize(form), what))[0]
        if kind != VALUE_BOOL:
            return name, number
        if number > 1:
            raise broken(self._path, f"{what} is {number}, where only 0 and 1 are true or false")
        return name, number == 1

    def _text(self, what: str) -> str | Stored:
        length = self._cursor.u64(what)
        if length > MAX_TEXT:
            raise broken(self._path, f"{what} is a text of {length} bytes; {MAX_TEXT} are the most that is accepted")
        if self._kept + length > KEPT:
            stored = Stored("text", length, self._cursor.position)
            self._cursor.skip(length, what)
            return stored
        self._kept += length
        return self._cursor.take(length, what).decode("utf-8", "replace")

    def _array(self, key: str) -> Stored:
        what = f"the array `{key}`"
        kind = self._cursor.u32(what)
        count = self._cursor.u64(what)
        if count > MAX_ARRAY:
            raise broken(self._path, f"{what} has {count} elements; {MAX_ARRAY} are the most that is accepted")
        offset = self._cursor.position
        if kind == VALUE_STRING:
            self._strings += count
            if self._strings > MAX_STRINGS:
                raise broken(self._path, f"its arrays hold more than {MAX_STRINGS} texts")
            self._cursor.skip_strings(count, what)
            return Stored("string", count, offset)
        if kind == VALUE_ARRAY:
            raise broken(self._path, f"{what} has arrays in it, which llama.cpp does not read")
        if kind not in VALUES:
            raise broken(self._path, f"{what} has elements of the unknown type {kind}")
        name, form = VALUES[kind]
        size = struct.calcsize(form) * count
        if count > KEPT_ITEMS or self._kept + count * _ITEM > KEPT:
            self._cursor.skip(size, what)
            return Stored(name, count, offset)
        self._kept += count * _ITEM
        items = struct.unpack(f"<{count}{form[1]}", self._cursor.take(size, what))
        return Stored(name, count, offset, tuple(map(bool, items)) if kind == VALUE_BOOL else items)


def _alignment(path: Path, metadata: Mapping[str, Scalar | Stored], kinds: Mapping[str, str]) -> int:
    alignment = metadata.get("general.alignment", 32)
    if kinds.get("general.alignment", "uint32") != "uint32" or not isinstance(alignment, int):
        raise broken(path, f"`general.alignment` is of the type {kinds['general.alignment']}, not uint32")
    if alignment == 0 or alignment & (alignment - 1):
        raise broken(path, f"`general.alignment` is {alignment}, which is no power of two")
    return alignment


def _read_tensors(cursor: Cursor, count: int, alignment: int) -> tuple[Tensor, ...]:
    found = [_read_tensor(cursor, f"tensor {number + 1} of {count}", alignment) for number in range(count)]
    names: set[str] = set()
    for tensor in found:
        if tensor.name in names:
            raise broken(cursor.path, f"the tensor `{tensor.name}` is there twice")
        names.add(tensor.name)
    start = -(-cursor.position // alignment) * alignment
    tensors = [Tensor(one.name, one.shape, one.type, start + one.offset, one.size) for one in found]
    _check_places(cursor, tensors)
    return tuple(tensors)


def _read_tensor(cursor: Cursor, what: str, alignment: int) -> Tensor:
    """Read a tensor's description; its offset still counts from where the weights begin."""
    name = _read_name(cursor, MAX_TENSOR_NAME, f"the name of {what}")
    what = f"the tensor `{name}`"
    dimensions = cursor.u32(what)
    if dimensions > MAX_DIMENSIONS:
        raise broken(cursor.path, f"{what} has {dimensions} dimensions; {MAX_DIMENSIONS} are the most there are")
    shape = tuple(cursor.u64(what) for _ in range(dimensions))
    kind = cursor.u32(what)
    offset = cursor.u64(what)
    if kind not in TENSORS:
        known = f"{REMOVED_TENSORS[kind]}, which llama.cpp no longer reads" if kind in REMOVED_TENSORS else "unknown"
        raise broken(cursor.path, f"{what} is of the type {kind} ({known})")
    type_name, block, block_bytes = TENSORS[kind]
    elements = 1
    for length in shape:
        elements *= length
    if not 0 < elements < 1 << 63:
        raise broken(cursor.path, f"{what} has the shape {shape}: {elements} elements")
    row = shape[0] if shape else 1
    if row % block:
        raise broken(cursor.path, f"{what} has rows of {row} elements, which {type_name} holds in blocks of {block}")
    if offset % alignment:
        raise broken(cursor.path, f"{what} begins at {offset}, which is no multiple of the alignment {alignment}")
    return Tensor(name, shape, type_name, offset, elements // block * block_bytes)


def _check_places(cursor: Cursor, tensors: list[Tensor]) -> None:
    """Raise EngineError if tensors reach beyond the file, or into each other."""
    end, before = 0, ""
    for tensor in sorted(tensors, key=lambda tensor: tensor.offset):
        if tensor.offset < end:
            raise broken(cursor.path, f"the tensors `{before}` and `{tensor.name}` lie in the same place")
        end, before = tensor.offset + tensor.size, tensor.name
    if end > cursor.size:
        raise broken(cursor.path, f"its tensors end at byte {end}, and it has {cursor.size} bytes: it is cut short")


def _read_name(cursor: Cursor, limit: int, what: str) -> str:
    length = cursor.u64(what)
    if not 0 < length <= limit:
        raise broken(cursor.path, f"{what} has {length} bytes; it can have 1 to {limit}")
    data = cursor.take(length, what)
    try:
        name = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise broken(cursor.path, f"{what} is no text: {data[:40]!r}") from error
    if not name.isprintable():  # a zero would end it for llama.cpp, which then reads another name than we do
        raise broken(cursor.path, f"{what} has characters that no name has: {name[:40]!r}")
    return name
