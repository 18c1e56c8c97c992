"""Which headers a request takes along to workerd, and an answer back."""

from __future__ import annotations

from collections.abc import Iterable

DO_HEADER = "x-edgecli-do"
"""What edgecli asks of its own module in workerd; from a client it would be an order of a stranger's."""
CRON_HEADER = "x-edgecli-cron"
_NOT_PASSED = {
    *(
        b"connection",
        b"keep-alive",
        b"transfer-encoding",
        b"upgrade",
        b"te",
        b"trailer",
        b"proxy-connection",
        b"expect",
    ),
    *(DO_HEADER.encode(), CRON_HEADER.encode()),
}


def passed(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers, whose names are in small letters, that do not belong to one connection or to edgecli."""
    return [(name, value) for name, value in headers if name not in _NOT_PASSED]
