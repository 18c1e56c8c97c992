"""The files that hold objects' bytes, each written once under a name of its own.

A file belongs to an object from the moment that SQLite says so; what a process that died has left is nobody's, and
`collect` deletes it. One that is being read is deleted when its last reader has left.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import IO, NamedTuple

from edgecli.errors import StateError
from edgecli.r2 import errors
from edgecli.r2.schema import MAX_PUT, Piece, Range
from edgecli.space import full_disk

BLOCK = 1 << 20
"""Bytes that are read or written at once."""


class Written(NamedTuple):
    """A file that is whole and on the disk."""

    piece: Piece
    digests: dict[str, bytes]
    """By their names in `DIGESTS`; `md5` is always there."""


class Reading:
    """The bytes of a range of an object; to be closed, read or not."""

    def __init__(self, files: Files, pieces: tuple[Piece, ...], wanted: Range) -> None:
        self._files = files
        self._pieces = pieces
        self._wanted = wanted
        self._open = True

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        start = 0
        for piece in self._pieces:
            first = max(self._wanted.offset - start, 0)
            last = min(self._wanted.offset + self._wanted.length - start, piece.size)
            if first < last:
                async with aclosing(self._files.read_file(piece.file, first, last)) as blocks:
                    async for data in blocks:
                        yield data
            start += piece.size

    async def aclose(self) -> None:
        """Let the files go."""
        if self._open:
            self._open = False
            self._files.release(self._pieces)


class Files:
    """The folder of the files. Its methods belong to one event loop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)
        self._readers: Counter[str] = Counter()
        self._doomed: set[str] = set()

    def collect(self, known: set[str]) -> None:
        """Delete the files that no object has; before any is written."""
        for path in self._folder.iterdir():
            if path.name not in known:
                path.unlink()

    async def write(self, source: AsyncIterable[bytes], digests: Iterable[str] = ()) -> Written:
        """Write a file, never more than a block of it in memory.

        Raises R2Error if there is too much of it, StateError if the disk does not take it, and what `source` raises.
        """
        name = secrets.token_hex(16)
        path = self._folder / name
        hashes = {each: hashlib.new(each, usedforsecurity=False) for each in {"md5", *digests}}
        size, block = 0, bytearray()

        def write(file: IO[bytes], data: bytes) -> None:
            for each in hashes.values():
                each.update(data)
            left = memoryview(data)
            while left:  # a disk that is nearly full takes a part, and says so at the next write
                left = left[file.write(left) :]

        try:
            with path.open("xb", buffering=0) as file:
                async for data in source:
                    block += data
                    size += len(data)
                    if size > MAX_PUT:
                        raise errors.entity_too_large()
                    if len(block) >= BLOCK:
                        await asyncio.to_thread(write, file, bytes(block))
                        block.clear()
                await asyncio.to_thread(write, file, bytes(block))
                await asyncio.to_thread(self._sync, file)
        except OSError as error:
            self.delete([name])
            raise full_disk(error, self._folder) or StateError(
                f"Cannot write a file of R2 in `{self._folder}`: {error.strerror or error}.",
                hint="Make the folder writable.",
                code="state_unwritable",
            ) from error
        except BaseException:
            self.delete([name])
            raise
        return Written(Piece(name, size), {each: value.digest() for each, value in hashes.items()})

    def _sync(self, file: IO[bytes]) -> None:
        os.fsync(file.fileno())
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)  # without it the name may be lost with the power
        finally:
            os.close(folder)

    def read(self, pieces: tuple[Piece, ...], wanted: Range) -> Reading | None:
        """Return the bytes of a range of the pieces, whose files stay until it is closed; None if one is gone."""
        if not all((self._folder / piece.file).exists() for piece in pieces):
            return None
        self._readers.update(piece.file for piece in pieces)
        return Reading(self, pieces, wanted)

    async def read_file(self, name: str, first: int, last: int) -> AsyncGenerator[bytes]:
        """Yield the bytes of a file from `first` to before `last`."""
        with (self._folder / name).open("rb", buffering=0) as file:
            file.seek(first)
            while first < last:
                data = await asyncio.to_thread(file.read, min(BLOCK, last - first))
                if not data:
                    raise damaged(name)
                first += len(data)
                yield data

    def release(self, pieces: Iterable[Piece]) -> None:
        """Let go of files that are not read any longer."""
        for name, _ in pieces:
            self._readers[name] -= 1
            if not self._readers[name]:
                del self._readers[name]
                if name in self._doomed:
                    self._doomed.discard(name)
                    self._unlink(name)

    def delete(self, names: Iterable[str]) -> None:
        """Delete files, those that are being read when that ends."""
        for name in names:
            if name in self._readers:
                self._doomed.add(name)
            else:
                self._unlink(name)

    def _unlink(self, name: str) -> None:
        with suppress(OSError):  # what stays is collected at the next start
            (self._folder / name).unlink()


def damaged(what: str) -> StateError:
    """Return the error for a file that was deleted or cut from outside."""
    return StateError(
        f"The file of `{what}` in R2 is gone, or shorter than it was.",
        hint="Something else than edgecli changed it. Put the object again.",
        code="state_damaged",
    )
