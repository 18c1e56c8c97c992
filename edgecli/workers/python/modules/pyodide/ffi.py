"""Conversions between Python and JavaScript, which do nothing here: there is no JavaScript beneath."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgecli.workers.python.web.values import ArrayBuffer, JsDict, JsException, from_js

JsProxy = JsDict
JsBuffer = ArrayBuffer
jsnull = None

__all__ = ["JsBuffer", "JsException", "JsProxy", "create_once_callable", "create_proxy", "jsnull", "to_js"]


def to_js(value: Any, *, dict_converter: Callable[..., Any] | None = None, **_options: Any) -> Any:
    """Return the value: dictionaries with attributes, tuples as lists, bytes as a buffer."""
    if isinstance(value, dict):
        return from_js(value)
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return ArrayBuffer(value)
    return value


def create_proxy(value: Any, **_options: Any) -> Any:
    """Return the value itself."""
    return value


create_once_callable = create_proxy
