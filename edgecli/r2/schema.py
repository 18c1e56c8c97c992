"""Objects, the conditions under which they are read and written, and ranges of them."""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from edgecli.r2 import errors

MAX_KEY = 1024
"""Bytes."""
MAX_OBJECT = 5 << 40
"""Bytes of an object of many parts."""
MAX_PUT = (5 << 30) - (5 << 20)
"""Bytes of one upload or part."""
MAX_METADATA = 8192
"""Bytes of the custom metadata, keys and values."""
MAX_LIST = 1000
MIN_PART = 5 << 20
"""Bytes of each part but the last."""
MAX_PARTS = 10_000
DIGESTS = ("md5", "sha1", "sha256", "sha384", "sha512")
"""In the order of their numbers on the wire."""

_RANGE = re.compile(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", re.IGNORECASE)


class Piece(NamedTuple):
    """One file of an object; those that were uploaded in parts have many."""

    file: str
    size: int


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a caller says of an object."""

    http: dict[str, Any] = field(default_factory=dict[str, Any])
    """`contentType`, `contentLanguage`, …, `cacheExpiry` (milliseconds of the UNIX epoch)."""
    custom: dict[str, str] = field(default_factory=dict[str, str])
    storage_class: str = "Standard"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object without its bytes."""

    key: str
    version: str
    size: int
    etag: str
    """MD5 in hex; of an object of parts, that of their MD5s and `-` and their number."""
    uploaded: int
    """Milliseconds of the UNIX epoch."""
    checksums: dict[str, str]
    """Hex, by the names in `DIGESTS`."""
    attributes: Attributes
    pieces: tuple[Piece, ...]


class Range(NamedTuple):
    """A part of an object: `length` bytes from `offset`."""

    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class AskedRange:
    """A range as a caller names it."""

    offset: int | None = None
    length: int | None = None
    suffix: int | None = None
    header: str | None = None
    """A `Range` header; it counts alone."""

    def of(self, size: int) -> Range:
        """Return the range of an object of `size` bytes. Raises R2Error if there is none."""
        if self.header is not None:
            return _of_header(self.header, size)
        if self.suffix is not None:
            if self.suffix <= 0:
                raise errors.invalid_range()
            length = min(self.suffix, size)
            return Range(size - length, length)
        offset = self.offset or 0
        length = size - offset if self.length is None else min(self.length, size - offset)
        whole = self.offset is None and self.length is None
        if offset < 0 or (length <= 0 and not (whole and size == 0)):
            raise errors.invalid_range()
        return Range(offset, length)


def _of_header(header: str, size: int) -> Range:
    """Read a header of one range; as RFC 9110 has it, one that makes no sense is none, and several are the whole."""
    found = _RANGE.fullmatch(header)
    first, last = found.groups() if found else ("", "")
    if not first and not last:
        return Range(0, size)
    if not first:
        return AskedRange(suffix=int(last)).of(size)
    if last and int(last) < int(first):
        return Range(0, size)
    return AskedRange(offset=int(first), length=int(last) - int(first) + 1 if last else None).of(size)


class Etag(NamedTuple):
    """An etag in a condition."""

    type: Literal["strong", "weak", "wildcard"]
    value: str = ""


@dataclass(frozen=True, slots=True)
class Condition:
    """`onlyIf`: when an object is read or written."""

    matches: tuple[Etag, ...] | None = None
    differs: tuple[Etag, ...] | None = None
    before: int | None = None
    """Milliseconds of the UNIX epoch."""
    after: int | None = None
    by_second: bool = False
    """Times are compared as headers have them, in whole seconds."""

    def check(self, found: StoredObject | None) -> None:
        """Raise R2Error, with the object, unless the condition holds; the rules are RFC 9110's, section 13.2.2."""
        if not (self._holds(found) if found else self.matches is None and self.after is None):
            error = errors.precondition_failed()
            error.found = found
            raise error

    def _holds(self, found: StoredObject) -> bool:
        same = self.matches is None or _among(found.etag, self.matches, weak=False)
        other = self.differs is None or not _among(found.etag, self.differs, weak=True)
        uploaded = self._time(found.uploaded)
        later = self.after is None or self._time(self.after) < uploaded or (self.differs is not None and other)
        earlier = self.before is None or uploaded < self._time(self.before) or (self.matches is not None and same)
        return same and other and later and earlier

    def _time(self, milliseconds: int) -> int:
        return milliseconds // 1000 if self.by_second else milliseconds


def _among(etag: str, wanted: tuple[Etag, ...], *, weak: bool) -> bool:
    return any(each.type == "wildcard" or (each.value == etag and (weak or each.type == "strong")) for each in wanted)


def check_key(key: str) -> bytes:
    """Return the key's bytes. Raises R2Error."""
    try:
        encoded = key.encode()
    except UnicodeEncodeError as error:
        raise errors.invalid_object_name() from error
    if not 0 < len(encoded) <= MAX_KEY:
        raise errors.invalid_object_name()
    return encoded


def check_attributes(attributes: Attributes) -> None:
    """Raise R2Error for metadata that is too large."""
    if sum(len(key.encode()) + len(value.encode()) for key, value in attributes.custom.items()) > MAX_METADATA:
        raise errors.metadata_too_large()


def new_version() -> str:
    """Return the name of a version of an object."""
    return secrets.token_hex(16)


def milliseconds() -> int:
    """Return the time, in milliseconds of the UNIX epoch."""
    return time.time_ns() // 1_000_000
