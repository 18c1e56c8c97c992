"""A file of vectors as lines of JSON, read as a stream: at no time more than one batch of it is in memory."""

from __future__ import annotations

import contextlib
import re
import shlex
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import orjson

from edgecli.errors import EdgeError, NotFoundError, UsageError
from edgecli.vectorize.limits import MAX_LINE_BYTES

MAX_BATCH_BYTES = 32 * 1024 * 1024
"""Of the lines of one batch together; Cloudflare takes 100 MB a request."""

_NO_NUMBER = re.compile(rb"[\[,:\s]-?(?:NaN|Infinity)")
_UTF8_MARK = b"\xef\xbb\xbf"
_ENCODINGS = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
_UNPACKERS = {
    b"\x1f\x8b": "gunzip -c",
    b"BZh": "bunzip2 -c",
    b"\xfd7zXZ": "xz -dc",
    b"\x28\xb5\x2f\xfd": "zstd -dc",
    b"PK\x03\x04": "unzip -p",
}


class FileBatch(NamedTuple):
    """Some lines of a file."""

    lines: list[bytes]
    numbers: list[int]
    """The place of each line in the file, counted from 1; empty lines count."""


class Fault(NamedTuple):
    """What is wrong with a line, and what may help."""

    line: int
    what: str
    hint: str


class VectorFile:
    """An open file of vectors, or standard input."""

    def __init__(self, file: str, stream: IO[bytes], size: int | None, command: str) -> None:
        self.file = file
        self.size = size
        """Bytes of the file, None if it is a pipe."""
        self.command = command
        """The command line that reads the same from its standard input."""
        self.line = 0
        """Lines that were read."""
        self.bytes_read = 0
        self._stream = stream
        self._ahead: list[bytes] = []

    @property
    def shown(self) -> str:
        return "standard input" if self.file == "-" else f"`{self.file}`"

    @classmethod
    @contextmanager
    def open(cls, file: str, command: str) -> Generator[VectorFile]:
        """Open a file, or standard input for `-`, and look at how it begins.

        Raises NotFoundError or UsageError for what is no file of lines of JSON in UTF-8.
        """
        with contextlib.ExitStack() as stack:
            if file == "-":
                stream: IO[bytes] = sys.stdin.buffer
                size = None
            else:
                stream, size = _open(file)
                stack.enter_context(stream)
            opened = cls(file, stream, size, command)
            opened._look_at_the_beginning()
            yield opened

    def header(self) -> dict[str, Any]:
        """Return what the first line of an export says of its index. Raises UsageError if it is none."""
        first = self._first()
        index = first.get("index") if isinstance(first, dict) else None
        if not isinstance(index, dict) or not isinstance(index.get("config"), dict):
            raise UsageError(
                f"{self.shown} is no export of an index: its first line does not describe one.",
                hint="`edgecli vectorize export` writes such files; `edgecli vectorize upsert` reads plain vectors.",
                code="no_export",
            )
        self._readline()
        return cast("dict[str, Any]", index)

    def check_is_plain(self) -> None:
        """Raise UsageError if the file was written by `export`."""
        first = self._first()
        if isinstance(first, dict) and "index" in first and "id" not in first:
            raise UsageError(
                f"{self.shown} was written by `edgecli vectorize export`: its first line describes an index.",
                hint=f"Read it with `edgecli vectorize import --file {shlex.quote(self.file)}`.",
                code="is_export",
            )

    def batches(self, rows: int) -> Iterator[FileBatch]:
        """Yield the lines that are not empty, at most `rows` together."""
        batch, size = FileBatch([], []), 0
        while line := self._readline():
            stripped = line.strip()
            if not stripped:
                continue
            if len(batch.lines) == rows or (batch.lines and size + len(stripped) > MAX_BATCH_BYTES):
                yield batch
                batch, size = FileBatch([], []), 0
            batch.lines.append(stripped)
            batch.numbers.append(self.line)
            size += len(stripped)
        if batch.lines:
            yield batch

    def _readline(self) -> bytes:
        line = self._ahead.pop() if self._ahead else self._stream.readline(MAX_LINE_BYTES + 1)
        if line:
            self.line += 1
            self.bytes_read += len(line)
        if len(line) > MAX_LINE_BYTES:
            raise UsageError(
                f"Line {self.line} of {self.shown} is longer than {MAX_LINE_BYTES:,} bytes.",
                hint="Each line is one vector; `jq -c '.[]'` makes lines of a JSON array.",
                code="line_too_long",
            )
        return line.removeprefix(_UTF8_MARK) if self.line == 1 else line

    def _first(self) -> Any:
        """Return what the next line says, None if it is no JSON, and leave the line to be read."""
        if not self._ahead:
            self._ahead.append(self._stream.readline(MAX_LINE_BYTES + 1))
        try:
            return orjson.loads(self._ahead[0].removeprefix(_UTF8_MARK))
        except orjson.JSONDecodeError:
            return None

    def _look_at_the_beginning(self) -> None:
        peek = getattr(self._stream, "peek", None)
        head: bytes = peek(4096)[:4096] if peek is not None else b""
        if not head.strip():
            raise _unusable(self.file, "It is empty.")
        for mark, encoding in _ENCODINGS:
            if head.startswith(mark):
                raise self._in_another_encoding(encoding)
        for mark, unpacker in _UNPACKERS.items():
            if head.startswith(mark):
                raise UsageError(
                    f"{self.shown} is packed.", hint=f"Unpack it: `{self._piped(unpacker)}`.", code="packed_file"
                )
        if b"\0" in head:
            halves = head[0::2].count(0), head[1::2].count(0)
            if max(halves) > len(head) // 4 and min(halves) == 0:
                raise self._in_another_encoding("UTF-16LE" if halves[1] else "UTF-16BE")
            raise UsageError(
                f"{self.shown} holds binary data.",
                hint="Each line is one vector as JSON, in UTF-8.",
                code="binary_file",
            )
        if head.removeprefix(_UTF8_MARK).lstrip().startswith(b"["):
            split = "jq -c '.[]'"
            raise UsageError(
                f"{self.shown} is a JSON array, not one vector a line.",
                hint=f"Make lines of it: `{self._piped(split)}`.",
                code="json_array",
            )

    def _in_another_encoding(self, encoding: str) -> UsageError:
        recode = f"iconv -f {encoding} -t UTF-8"
        return UsageError(
            f"{self.shown} is written in {encoding}, not in UTF-8.",
            hint=f"Recode it: `{self._piped(recode)}`.",
            code="wrong_encoding",
        )

    def _piped(self, program: str) -> str:
        file = "" if self.file == "-" else f" {shlex.quote(self.file)}"
        return f"{program}{file} | {self.command}"

    def rest_from(self, line: int) -> str:
        """Return the command that goes on with a line of this file."""
        return f"`{self._piped(f'tail -n +{line}')}`"


def _open(file: str) -> tuple[IO[bytes], int | None]:
    path = Path(file)
    try:
        if path.is_dir():
            raise _unusable(file, "It is a directory.")
        stream = path.open("rb")
    except FileNotFoundError as error:
        raise NotFoundError(
            f"🚨 Cannot read invalid or empty file: {file}.", hint="There is no such file.", code="no_such_file"
        ) from error
    except (OSError, ValueError) as error:
        raise _unusable(file, f"{getattr(error, 'strerror', None) or error}.") from error
    return stream, path.stat().st_size if path.is_file() else None


def _unusable(file: str, why: str) -> EdgeError:
    return UsageError(f"🚨 Cannot read invalid or empty file: {file}.", hint=why, code="unusable_file")


def find_fault(batch: FileBatch) -> Fault | None:
    """Return the first line of a batch that is no JSON object."""
    for line, number in zip(batch.lines, batch.numbers, strict=True):
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            return _fault(line, number, error)
        if not isinstance(value, dict):
            return Fault(number, "is no JSON object", 'A line is like {"id": "a", "values": [0.1, 0.2]}.')
    return None


def _fault(line: bytes, number: int, error: orjson.JSONDecodeError) -> Fault:
    try:
        line.decode()
    except UnicodeDecodeError as wrong:
        return Fault(
            number, f"is not UTF-8: byte 0x{line[wrong.start]:02x} at column {wrong.start + 1}", "Save it as UTF-8."
        )
    hint = ""
    if line in {b"{", b"["}:
        hint = "Each vector stands on a line of its own; `jq -c .` makes such lines."
    elif _NO_NUMBER.search(line):
        hint = "JSON has no NaN and no infinity; look at what made the vectors."
    elif line.startswith(b"{") and error.pos >= len(line.decode()) - 1:
        hint = "It ends in the middle of the vector."
    return Fault(number, f"is no JSON: {error.msg} (column {error.colno})", hint)
