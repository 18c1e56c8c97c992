"""Vectors out of a body that comes in pieces: lines of JSON, or `{"vectors": […]}`.

Each vector is handed on as soon as its last byte is there, so no more than one of them is held as JSON.
"""

from __future__ import annotations

import re
from typing import Any, Protocol

import orjson

from edgecli.errors import UsageError
from edgecli.vectorize.limits import MAX_LINE_BYTES, MAX_LINES, unreadable_vectors

_HEAD_BYTES = 64
_WINDOW_BYTES = 1 << 20
_UTF8_MARK = b"\xef\xbb\xbf"
_OTHER_MARKS = {
    b"\xff\xfe": "UTF-16 or UTF-32",
    b"\xfe\xff": "UTF-16 or UTF-32",
    b"\x1f\x8b": "gzip, and its Content-Encoding does not say so",
    b"PK\x03\x04": "a zip file",
}
_ARRAY = re.compile(rb'\s*(?:\{\s*"vectors"\s*:\s*)?\[')
# Strings as a whole, so that brackets within them do not count; a lone quote is a string that has not ended yet. The
# numbers before are skipped by the pattern itself, which takes half the time of a search.
_TOKEN = re.compile(rb'[^"{}\[\]]*+("(?:[^"\\]++|\\.)*+"|["{}\[\]])', re.DOTALL)
_BETWEEN = re.compile(rb"\s*,\s*")
_NO_NUMBER = re.compile(rb"[\[,:\s][+-]?(?:nan|inf)", re.IGNORECASE)


class Rows(Protocol):
    """Takes vectors in their wire shape, unchecked, with the line each began on if the body has lines."""

    def add(self, raw: Any, *, line: int | None = None) -> None: ...


class VectorLines:
    """Read a body and give its vectors to `rows`.

    With `discard`, lines that are no JSON object are left out, and `left_out` names them. Raises UsageError that
    names the first line at fault.
    """

    def __init__(self, rows: Rows, *, discard: bool = False) -> None:
        self._rows = rows
        self._discard = discard
        self._rest = b""
        self._reader: _Lines | _Array | None = None
        self.left_out: list[int] = []

    def feed(self, piece: bytes) -> None:
        """Take the next bytes."""
        for start in range(0, len(piece), _WINDOW_BYTES):
            data = self._rest + piece[start : start + _WINDOW_BYTES]
            if self._reader is None:
                self._rest = data
                if len(data.lstrip()) < _HEAD_BYTES and len(data) < MAX_LINE_BYTES:
                    continue
                data = self._begin()
            assert self._reader is not None
            self._rest = self._reader.take(data)
            if len(self._rest) > MAX_LINE_BYTES:
                raise unreadable_vectors(
                    f"{self._reader.place()} is longer than {MAX_LINE_BYTES:,} bytes",
                    hint="Each line is one vector and ends with a newline. Nothing was written.",
                )

    def close(self) -> None:
        """Take note that the body ends here."""
        if self._reader is None:
            self._rest = self._begin()
            assert self._reader is not None
            self._rest = self._reader.take(self._rest)
        self._reader.end(self._rest)

    def _begin(self) -> bytes:
        """Choose a reader by the first bytes and return what is for it."""
        data = self._rest.removeprefix(_UTF8_MARK)
        for mark, name in _OTHER_MARKS.items():
            if data.startswith(mark):
                raise _encoding(name)
        if b"\0" in data[:4]:
            raise _encoding("UTF-16 or UTF-32")
        head = _ARRAY.match(data)
        if head is not None:
            self._reader = _Array(self._rows, head.group())
            return data[head.end() :]
        self._reader = _Lines(self._rows, self.left_out if self._discard else None)
        return data


class _Lines:
    def __init__(self, rows: Rows, left_out: list[int] | None) -> None:
        self._rows = rows
        self._left_out = left_out
        self._number = 0

    def place(self) -> str:
        return f"line {self._number + 1}"

    def take(self, data: bytes) -> bytes:
        *lines, rest = data.split(b"\n")
        if self._number + len(lines) > MAX_LINES:
            raise unreadable_vectors(
                f"the body has more than {MAX_LINES:,} lines", hint="Send it in several requests. Nothing was written."
            )
        for line in lines:
            self._line(line)
        return rest

    def end(self, rest: bytes) -> None:
        self._line(rest, ended=False)

    def _line(self, line: bytes, *, ended: bool = True) -> None:
        self._number += 1
        line = line.strip()
        if not line:
            return
        try:
            raw = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            if self._left_out is None:
                raise self._unreadable(line, error, ended=ended) from error
            raw = None
        if self._left_out is not None and not isinstance(raw, dict):
            self._left_out.append(self._number)
        else:
            self._rows.add(raw, line=self._number)

    def _unreadable(self, line: bytes, error: orjson.JSONDecodeError, *, ended: bool) -> UsageError:
        what = f"line {self._number} is no JSON: {error}"
        hint = "Each line is one vector, in UTF-8."
        try:
            line.decode()
        except UnicodeDecodeError as fault:
            what = f"line {self._number} is no UTF-8: byte 0x{line[fault.start]:02x} at {fault.start}"
        else:
            if _NO_NUMBER.search(line) or "infinity" in str(error):
                what = f"line {self._number} holds NaN or infinity, for which JSON has no number"
                hint = "Look at what made the vectors."
            elif not ended:
                what = f"the last line, {self._number}, is unfinished: {error}"
                hint = "The file was cut off; make or copy it again."
        return unreadable_vectors(what, hint=f"{hint} Nothing was written.")


class _Array:
    """The elements of an array whose opening bracket has been read."""

    def __init__(self, rows: Rows, head: bytes) -> None:
        self._rows = rows
        self._head = head
        self._count = 0
        self._depth = 0
        self._at = 0
        self._ended = False

    def place(self) -> str:
        return "what follows the vectors" if self._ended else f"vector {self._count + 1}"

    def take(self, data: bytes) -> bytes:
        """Hand on the elements that are complete and return the bytes of the others."""
        done = 0
        while not self._ended:
            token = _TOKEN.match(data, self._at)
            if token is None or token.group(1) == b'"':
                self._at = len(data) if token is None else token.start(1)
                break
            self._at = token.end()
            if token.group(1) in b"{[":
                if self._depth == 0:
                    self._check_gap(data[done : token.start(1)], first=self._count == 0)
                    done = token.start(1)
                self._depth += 1
            elif token.group(1) in b"}]":
                self._depth -= 1
                if self._depth == 0:
                    self._element(data[done : self._at])
                    done = self._at
                elif self._depth < 0:
                    self._check_gap(data[done : token.start(1)], first=True)
                    self._ended, done = True, token.start(1)
        self._at -= done
        return data[done:]

    def _check_gap(self, gap: bytes, *, first: bool) -> None:
        if gap.strip() if first else not _BETWEEN.fullmatch(gap):
            raise self._unreadable("it is no object", hint='Like {"id": "a", "values": [0.1, 0.2]}.')

    def _element(self, text: bytes) -> None:
        try:
            raw = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise self._unreadable(f"it is no JSON: {error}") from error
        self._rows.add(raw)
        self._count += 1

    def end(self, rest: bytes) -> None:
        """Check that what surrounds the elements is JSON."""
        if not self._ended:
            raise self._unreadable("the body ends within it, or before it")
        try:
            orjson.loads(self._head + rest)
        except orjson.JSONDecodeError as error:
            raise unreadable_vectors(f"what follows the vectors is no JSON: {error}") from error

    def _unreadable(self, why: str, *, hint: str = "") -> UsageError:
        return unreadable_vectors(f"vector {self._count + 1}: {why}", hint=f"{hint} Nothing was written.".strip())


def _encoding(name: str) -> UsageError:
    return unreadable_vectors(f"the body is {name}", hint="Send it as UTF-8. Nothing was written.")
