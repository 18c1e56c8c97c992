"""Forms, and the files in them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from email.message import Message
from typing import Any
from urllib.parse import parse_qsl, urlencode

from edgecli.workers.python.web.values import ArrayBuffer


class Blob:
    """Bytes with a type."""

    def __init__(self, blob_parts: Any, content_type: str | None = None, endings: Any = None) -> None:
        """Take one part or several: str, bytes or Blobs."""
        single = isinstance(blob_parts, (str, bytes, bytearray, memoryview, Blob))
        parts: list[Any] = [blob_parts] if single else list(blob_parts)
        if single and isinstance(blob_parts, Blob):
            content_type = content_type or blob_parts.content_type
        self.content = b"".join(_part(each) for each in parts)
        self.content_type = content_type or ""

    @property
    def type(self) -> str:
        """Its content type."""
        return self.content_type

    @property
    def size(self) -> int:
        """How many bytes."""
        return len(self.content)

    async def text(self) -> str:
        """Return its bytes as UTF-8."""
        return self.content.decode("utf-8", "replace")

    async def bytes(self) -> bytes:
        """Return its bytes."""
        return self.content

    async def arrayBuffer(self) -> ArrayBuffer:  # noqa: N802
        """Return its bytes as a buffer."""
        return ArrayBuffer(self.content)

    def slice(self, start: int | None = None, end: int | None = None, content_type: str | None = None) -> Blob:
        """Return a part of it."""
        return Blob([self.content[start:end]], content_type=content_type)


class File(Blob):
    """A Blob with a name."""

    def __init__(
        self,
        blob_parts: Any,
        filename: str,
        content_type: str | None = None,
        endings: Any = None,
        last_modified: int | None = None,
    ) -> None:
        super().__init__(blob_parts, content_type)
        self.name = filename
        self.last_modified = last_modified or time.time_ns() // 1_000_000


def _part(part: Any) -> bytes:
    if isinstance(part, Blob):
        return part.content
    if isinstance(part, str):
        return part.encode()
    if isinstance(part, (bytes, bytearray, memoryview)):
        return bytes(part)
    raise TypeError(f"Don't know how to handle {type(part)} for Blob()")


class Pairs(MutableMapping[str, Any]):
    """Names and values, a name as often as it was added."""

    def __init__(self, pairs: Iterable[tuple[str, Any]] = ()) -> None:
        self._pairs = list(pairs)

    def __getitem__(self, key: str) -> Any:
        return self.get(key)

    def __setitem__(self, key: str, value: Any) -> None:
        self._pairs = [pair for pair in self._pairs if pair[0] != key]
        self._pairs.append((key, value))

    def __delitem__(self, key: str) -> None:
        self._pairs = [pair for pair in self._pairs if pair[0] != key]

    def __contains__(self, key: object) -> bool:
        return any(name == key for name, _ in self._pairs)

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def get(self, key: str, default: Any = None) -> Any:
        """Return the first value of a name."""
        return next((value for name, value in self._pairs if name == key), default)

    def items(self) -> Any:
        """Return names and values, each as often as it was added."""
        return iter(list(self._pairs))

    def values(self) -> Any:
        """Return all values."""
        return (value for _, value in self._pairs)

    entries = items

    def append(self, key: str, value: Any, filename: str | None = None) -> None:
        """Add a value beside those of the same name; `filename` makes a File of a Blob."""
        if filename is not None and isinstance(value, Blob):
            value = File(value, filename, value.content_type)
        self._pairs.append((key, value))

    def get_all(self, key: str) -> list[Any]:
        """Return each value of a name."""
        return [value for name, value in self._pairs if name == key]

    getAll = get_all  # noqa: N815

    def has(self, key: str) -> bool:
        """Whether the name was added."""
        return key in self

    def set(self, key: str, value: Any) -> None:
        """Set a value in place of those of the same name."""
        self[key] = value

    def delete(self, key: str) -> None:
        """Remove a name."""
        del self[key]


class URLSearchParams(Pairs):
    """The parameters of a query."""

    def __init__(self, init: Any = "") -> None:
        if isinstance(init, str):
            super().__init__(parse_qsl(init.removeprefix("?"), keep_blank_values=True))
        else:
            super().__init__(init.items() if isinstance(init, Mapping) else init)

    @classmethod
    def new(cls, init: Any = "") -> URLSearchParams:
        """Do what `new URLSearchParams(init)` does."""
        return cls(init)

    def __str__(self) -> str:
        return urlencode(self._pairs)

    toString = __str__  # noqa: N815


class FormData(Pairs):
    """A form: names, and values that are text or files."""

    def __init__(self, form_data: Any = None) -> None:
        """Take a dict or another FormData. Raises TypeError for anything else."""
        if form_data is not None and not isinstance(form_data, Mapping):
            raise TypeError("Expected form_data to be a dict or an instance of FormData")
        super().__init__(form_data.items() if form_data else ())

    @classmethod
    def new(cls) -> FormData:
        """Do what `new FormData()` does."""
        return cls()

    @classmethod
    def decode(cls, content_type: str, body: bytes) -> FormData:
        """Read a form. Raises TypeError where the content type is not one of a form, or the body is damaged."""
        kind, options = _options(content_type)
        form = cls()
        if kind == "application/x-www-form-urlencoded":
            form._pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
        elif kind == "multipart/form-data" and options.get("boundary"):
            form._pairs = _parts(options["boundary"].encode(), body)
        else:
            raise TypeError(
                f"This body is no form: its content type is {content_type or 'not given'!r},"
                " not multipart/form-data or application/x-www-form-urlencoded."
            )
        return form

    def encode(self) -> tuple[bytes, str]:
        """Return the form as multipart, and its content type."""
        boundary = secrets.token_hex(16)
        written: list[bytes] = []
        for name, value in self._pairs:
            disposition = f'form-data; name="{_quoted(name)}"'
            head = ""
            if isinstance(value, Blob):
                filename = value.name if isinstance(value, File) else "blob"
                disposition += f'; filename="{_quoted(filename)}"'
                head = f"Content-Type: {value.content_type or 'application/octet-stream'}\r\n"
            data = value.content if isinstance(value, Blob) else str(value).encode()
            written += [
                f"--{boundary}\r\nContent-Disposition: {disposition}\r\n{head}\r\n".encode(),
                data,
                b"\r\n",
            ]
        return b"".join([*written, f"--{boundary}--\r\n".encode()]), f"multipart/form-data; boundary={boundary}"


def _quoted(name: str) -> str:
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _options(header: str) -> tuple[str, dict[str, str]]:
    message = Message()
    message["content-type"] = header
    found = message.get_params(failobj=[("", "")])
    return found[0][0].lower(), {name.lower(): value for name, value in found[1:]}


def _parts(boundary: bytes, body: bytes) -> list[tuple[str, Any]]:
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser, parse_options_header

    pairs: list[tuple[str, Any]] = []
    headers: dict[str, bytes] = {}
    name, value, data = bytearray(), bytearray(), bytearray()

    def header_end() -> None:
        headers[name.decode("latin-1").lower()] = bytes(value)
        name.clear()
        value.clear()

    def part_end() -> None:
        _, options = parse_options_header(headers.get("content-disposition", b""))
        key = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" in options:
            kind = headers.get("content-type", b"").decode("latin-1")
            pairs.append((key, File(bytes(data), options[b"filename"].decode("utf-8", "replace"), kind)))
        else:
            pairs.append((key, data.decode("utf-8", "replace")))
        headers.clear()
        data.clear()

    def into(target: bytearray) -> Any:
        def take(chunk: bytes, start: int, end: int) -> None:
            target.extend(memoryview(chunk)[start:end])

        return take

    parser = MultipartParser(
        boundary,
        {
            "on_header_field": into(name),
            "on_header_value": into(value),
            "on_header_end": header_end,
            "on_part_data": into(data),
            "on_part_end": part_end,
        },
    )
    try:
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise TypeError(f"This form could not be read: {error}") from None
    return pairs
