"""Keys in the order of their UTF-8 bytes, as KV and R2 list them: what a prefix spans, and where a page ended."""

from __future__ import annotations

import base64
import binascii

END = b"\xff"
"""Greater than every key: no UTF-8 text has this byte."""


def after_prefix(prefix: bytes) -> bytes:
    """Return the least bytes that are greater than everything that starts with `prefix`, which is UTF-8."""
    return prefix[:-1] + bytes([prefix[-1] + 1]) if prefix else END


def after_key(key: bytes) -> bytes:
    """Return the least bytes that are greater than `key`."""
    return key + b"\0"


def to_cursor(start: bytes) -> str:
    """Return the word with which a client asks for the page that begins at `start`."""
    return base64.urlsafe_b64encode(start).decode()


def from_cursor(cursor: str) -> bytes:
    """Return where a page begins. Raises ValueError for what is no cursor."""
    try:
        return base64.b64decode(cursor, altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(cursor) from error
