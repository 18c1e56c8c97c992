"""The part of JavaScript's globals that Python Workers import from `js`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from edgecli.workers.python.output import say
from edgecli.workers.python.sdk import fetch
from edgecli.workers.python.web.body import ReadableStream, TransformStream
from edgecli.workers.python.web.forms import Blob, File, FormData, URLSearchParams
from edgecli.workers.python.web.headers import Headers
from edgecli.workers.python.web.messages import Request, Response
from edgecli.workers.python.web.values import ArrayBuffer, JsDict, JsException, from_js

__all__ = [
    "JSON",
    "URL",
    "ArrayBuffer",
    "Blob",
    "Date",
    "Error",
    "File",
    "FormData",
    "Headers",
    "Math",
    "Object",
    "ReadableStream",
    "Request",
    "Response",
    "TextDecoder",
    "TextEncoder",
    "TransformStream",
    "URLSearchParams",
    "Uint8Array",
    "console",
    "fetch",
]

undefined = None


class _Console:
    def log(self, *values: Any) -> None:
        """Log values."""
        say("log", _line(values))

    def info(self, *values: Any) -> None:
        """Log values."""
        say("info", _line(values))

    def debug(self, *values: Any) -> None:
        """Log values."""
        say("debug", _line(values))

    def warn(self, *values: Any) -> None:
        """Log values."""
        say("warn", _line(values))

    def error(self, *values: Any) -> None:
        """Log values."""
        say("error", _line(values))


def _line(values: tuple[Any, ...]) -> str:
    return " ".join(each if isinstance(each, str) else repr(each) for each in values)


class JSON:
    """JSON."""

    @staticmethod
    def stringify(value: Any, _replacer: Any = None, indent: int | None = None) -> str:
        """Return JSON."""
        return json.dumps(value, ensure_ascii=False, indent=indent, separators=None if indent else (",", ":"))

    @staticmethod
    def parse(text: str) -> Any:
        """Read JSON. Raises JsException."""
        try:
            return from_js(json.loads(text))
        except ValueError as error:
            raise JsException(str(error), "SyntaxError") from None


class Object:
    """Objects."""

    @staticmethod
    def fromEntries(entries: Iterable[tuple[str, Any]]) -> JsDict:  # noqa: N802
        """Return an object of its entries."""
        return from_js(dict(entries))

    @staticmethod
    def new() -> JsDict:
        """Return an empty object."""
        return JsDict()

    @staticmethod
    def keys(value: Any) -> list[str]:
        """Return an object's keys."""
        return list(value)

    @staticmethod
    def entries(value: Any) -> list[list[Any]]:
        """Return an object's entries."""
        return [list(each) for each in value.items()]


class URL:
    """A URL in its parts. Raises JsException where it is none."""

    def __init__(self, url: str, base: str | None = None) -> None:
        from urllib.parse import urljoin

        self.href = urljoin(base, url) if base else url
        parts = urlsplit(self.href)
        if not parts.scheme:
            raise JsException(f"Invalid URL string: {url!r}.", "TypeError")
        self.protocol = f"{parts.scheme}:"
        self.host = parts.netloc.rpartition("@")[2]
        self.hostname = parts.hostname or ""
        self.port = str(parts.port or "")
        self.pathname = parts.path or "/"
        self.search = f"?{parts.query}" if parts.query else ""
        self.hash = f"#{parts.fragment}" if parts.fragment else ""
        self.origin = f"{parts.scheme}://{self.host}"
        self.searchParams = URLSearchParams(parts.query)

    @classmethod
    def new(cls, url: str, base: str | None = None) -> URL:
        """Do what `new URL(url, base)` does."""
        return cls(url, base)

    def __str__(self) -> str:
        return self.href

    toString = __str__  # noqa: N815


class TextEncoder:
    """Text to UTF-8."""

    @classmethod
    def new(cls) -> TextEncoder:
        """Do what `new TextEncoder()` does."""
        return cls()

    def encode(self, text: str = "") -> ArrayBuffer:
        """Return text as bytes."""
        return ArrayBuffer(text.encode())


class TextDecoder:
    """UTF-8 to text."""

    @classmethod
    def new(cls, *_options: Any) -> TextDecoder:
        """Do what `new TextDecoder()` does."""
        return cls()

    def decode(self, data: bytes = b"", *_options: Any) -> str:
        """Return bytes as text."""
        return bytes(data).decode("utf-8", "replace")


class Uint8Array:
    """Bytes."""

    @staticmethod
    def new(data: Any = b"") -> ArrayBuffer:
        """Return bytes: of a buffer, of numbers, or so many zeros."""
        return ArrayBuffer(data)


class Date:
    """Times."""

    @staticmethod
    def now() -> int:
        """Return milliseconds since 1970."""
        return int(datetime.now(UTC).timestamp() * 1000)

    @staticmethod
    def new(milliseconds: float | None = None) -> datetime:
        """Return a time."""
        return datetime.now(UTC) if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


class Error:
    """Errors."""

    @staticmethod
    def new(message: str = "") -> JsException:
        """Return an error to raise."""
        return JsException(message)


Math = math
console = _Console()


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"edgecli's `js` has no `{name}`: Python Workers run on CPython here, with"
        " Response, Request, Headers, URL, JSON, Object, console, fetch, TransformStream and a few more."
    )
