"""Where a GGUF file is being read: forward only, in bounded pieces, never beyond its end."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Generator
from contextlib import contextmanager
from operator import length_hint
from pathlib import Path
from typing import BinaryIO

from edgecli.ai.engines.llama_cpp.broken import broken

_PIECE = 1 << 20
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")


@contextmanager
def open_file(path: Path) -> Generator[Cursor]:
    """Open a file at its beginning. Raises EngineError, code `model_load_failed`, if it cannot be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would wait for a writer
            raise broken(path, "it is a directory" if path.is_dir() else "it is no file")
        with path.open("rb", buffering=0) as stream:
            yield Cursor(path, stream)
    except (OSError, ValueError) as error:  # ValueError: a path with a zero in it
        raise broken(path, getattr(error, "strerror", None) or str(error)) from error


class Cursor:
    """A place in a file, and the piece of the file around it."""

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self.path = path
        self.size = os.fstat(stream.fileno()).st_size
        """Bytes of the whole file."""
        self._stream = stream
        self._piece = b""
        self._start = 0
        self._at = 0

    @property
    def position(self) -> int:
        """The byte of the file that is read next."""
        return self._start + self._at

    def take(self, count: int, what: str) -> bytes:
        """Read bytes. Raises EngineError, in the words of `what`, if the file ends before."""
        end = self._at + count
        if end > len(self._piece):
            self._check(self.position + count, what)
            self._read(self.position, count)
            end = count
        data = self._piece[self._at : end]
        self._at = end
        return data

    def skip(self, count: int, what: str) -> None:
        """Step over bytes. Raises EngineError if the file ends before."""
        self._check(self.position + count, what)
        self._at += count

    def u32(self, what: str) -> int:
        """Read an unsigned number of 4 bytes."""
        return _U32.unpack(self.take(4, what))[0]

    def u64(self, what: str) -> int:
        """Read an unsigned number of 8 bytes."""
        return _U64.unpack(self.take(8, what))[0]

    def skip_strings(self, count: int, what: str) -> None:
        """Step over texts that begin with their length: some 8 million a second. Raises EngineError as `skip`."""
        length_at = _U64.unpack_from
        while count:
            data, at, steps = self._piece, self._at, iter(range(count))
            try:
                for _ in steps:
                    at += length_at(data, at)[0] + 8
                count = 0
            except (struct.error, OverflowError):  # at the end of this piece, or of a text that reaches beyond it
                count = length_hint(steps) + 1
            self._check(self._start + at, what)
            self._at = at
            if count:
                self._check(self.position + 8, what)
                self._read(self.position, 8)

    def strings(self, count: int, what: str) -> list[bytes]:
        """Read texts that begin with their length. Raises EngineError as `take`."""
        found: list[bytes] = []
        while len(found) < count:
            data, at, end = self._piece, self._at, len(self._piece)
            while at + 8 <= end and len(found) < count:
                stop = at + 8 + _U64.unpack_from(data, at)[0]
                if stop > end:
                    break
                found.append(data[at + 8 : stop])
                at = stop
            self._at = at
            if len(found) < count:  # the next one reaches beyond this piece
                found.append(self.take(self.u64(what), what))
        return found

    def _check(self, end: int, what: str) -> None:
        if end > self.size:
            raise broken(
                self.path, f"{what} ends at byte {end}, and the file has {self.size} bytes: it is cut short or damaged"
            )

    def _read(self, position: int, count: int) -> None:
        """Hold the piece of the file that begins at `position`, of `count` bytes at least."""
        self._stream.seek(position)
        wanted = max(count, min(_PIECE, self.size - position))
        parts: list[bytes] = []
        while wanted > 0:
            part = self._stream.read(wanted)
            if not part:
                break
            parts.append(part)
            wanted -= len(part)
        self._piece, self._start, self._at = b"".join(parts), position, 0
        if len(self._piece) < count:
            raise broken(self.path, "it was shortened while it was read")
