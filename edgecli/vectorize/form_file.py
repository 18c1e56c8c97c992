"""The file of a form that comes in pieces, handed on as it comes."""

from __future__ import annotations

from typing import Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from edgecli.vectorize.limits import unreadable_vectors

_FIELD = b"vectors"


class Sink(Protocol):
    """Takes bytes as they come, and their end."""

    def feed(self, piece: bytes) -> None: ...

    def close(self) -> None: ...


class FormFile:
    """Give the first file of a `multipart/form-data` body, or the field `vectors`, to `sink`; other parts are ignored.

    Raises UsageError if the form is broken or has no file.
    """

    def __init__(self, content_type: str, sink: Sink) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
        if not boundary:
            raise unreadable_vectors("the form's content type names no boundary")
        self._sink = sink
        self._header = b""
        self._value = b""
        self._disposition = b""
        self._inside = self._found = self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begins,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_ends,
                "on_headers_finished": self._headers_end,
                "on_part_data": self._part_data,
                "on_part_end": self._part_ends,
                "on_end": self._form_ends,
            },
        )

    def feed(self, piece: bytes) -> None:
        """Take the next bytes of the form."""
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise unreadable_vectors(f"the form cannot be read: {error}") from error

    def close(self) -> None:
        """Take note that the body ends here."""
        if not self._ended:
            raise unreadable_vectors(
                "the form ends before its closing boundary", hint="Send it again. Nothing was written."
            )
        if not self._found:
            raise unreadable_vectors("the form has no file", hint="Send the lines as a file in the field `vectors`.")
        self._sink.close()

    def _part_begins(self) -> None:
        self._header = self._value = self._disposition = b""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_ends(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _headers_end(self) -> None:
        options = parse_options_header(self._disposition)[1]
        wanted = b"filename" in options or options.get(b"name") == _FIELD
        self._inside = wanted and not self._found

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._inside:
            self._sink.feed(data[start:end])

    def _part_ends(self) -> None:
        self._found = self._found or self._inside
        self._inside = False

    def _form_ends(self) -> None:
        self._ended = True
