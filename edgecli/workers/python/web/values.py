"""Values as JavaScript hands them to Python: dictionaries with attributes, buffers, exceptions."""

from __future__ import annotations

from typing import Any


class JsException(Exception):  # noqa: N818 — Pyodide's name
    """An exception of a binding or of `fetch`; `str()` is `Name: message`, as Pyodide shows a JavaScript error."""

    __module__ = "pyodide.ffi"  # where a Worker imports it from, and what its traces name

    def __init__(self, message: str = "", name: str = "Error") -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message
        self.stack = str(self)


class JsDict(dict[str, Any]):
    """A dictionary whose keys are attributes too; where a key is also a method's name, the method wins."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def to_py(self, **_options: Any) -> Any:
        """Return itself: code that was written for JavaScript proxies asks for this."""
        return self


class ArrayBuffer(bytes):
    """Bytes, with the methods that a JavaScript buffer has in Python."""

    def to_bytes(self) -> bytes:
        """Return the bytes."""
        return bytes(self)

    def to_py(self, **_options: Any) -> memoryview:
        """Return a view of the bytes."""
        return memoryview(self)

    @property
    def byteLength(self) -> int:  # noqa: N802
        """How many bytes."""
        return len(self)


def from_js(value: Any) -> Any:
    """Return JSON data with `JsDict` at every depth."""
    if isinstance(value, dict):
        return JsDict({key: from_js(each) for key, each in value.items()})
    if isinstance(value, list) and any(isinstance(each, (dict, list)) for each in value):
        return [from_js(each) for each in value]
    return value
